//! Settings of qmail-send, qmail-todo and the spawners.

use crate::{Kind, Setting};

const SEND: &[&str] = &["qmail-send"];
const TODO: &[&str] = &["qmail-todo"];

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $file:literal $variable:literal $kind:ident $default:expr, $readers:expr, $meaning:literal;)*) => {
        $($(#[$doc])* pub static $name: Setting = Setting {
            file: $file,
            variable: $variable,
            kind: Kind::$kind,
            default: $default,
            readers: $readers,
            meaning: $meaning,
        };)*
        /// Settings of this group.
        pub static ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    /// Domains whose mail is delivered here.
    LOCALS: "locals" "" ListOrMe None, TODO,
        "Domains whose recipients are users of this host.";
    /// Domains handed to a local user.
    VIRTUALDOMAINS: "virtualdomains" "" List None, &["qmail-todo", "qmail-send"],
        "Users and domains, each with what is put in front of their local parts.";
    /// Domains in which a percent sign routes.
    PERCENTHACK: "percenthack" "" List None, TODO,
        "Domains for which user%host stands for user@host.";
    /// Domain of recipients without one.
    ENVNOATHOST: "envnoathost" "" LineOrMe Some("envnoathost"), TODO,
        "Domain added to envelope recipients that have none.";
    /// Shortest time between two scans.
    TODO_INTERVAL: "todointerval" "TODO_INTERVAL" Integer None, TODO,
        "Least seconds between two scans for new messages; without it every trigger scans.";
    /// Deliveries at once, local.
    CONCURRENCYLOCAL: "concurrencylocal" "" Integer Some("10"), SEND,
        "Most local deliveries at once; 0 holds them all.";
    /// Deliveries at once, remote.
    CONCURRENCYREMOTE: "concurrencyremote" "" Integer Some("20"), SEND,
        "Most remote deliveries at once; 0 holds them all.";
    /// Start no local deliveries.
    HOLDLOCAL: "holdlocal" "" Integer Some("0"), SEND,
        "When not 0, local deliveries wait until it is 0 again.";
    /// Start no remote deliveries.
    HOLDREMOTE: "holdremote" "" Integer Some("0"), SEND,
        "When not 0, remote deliveries wait until it is 0 again.";
    /// How long a message is tried.
    QUEUELIFETIME: "queuelifetime" "" Integer Some("604800"), SEND,
        "Seconds a message is tried before it bounces.";
    /// How long a bounce is tried.
    BOUNCELIFETIME: "bouncelifetime" "" Integer None, SEND,
        "Seconds a bounce is tried, at most queuelifetime.";
    /// Local part of bounce authors.
    BOUNCEFROM: "bouncefrom" "" Line Some("MAILER-DAEMON"), SEND,
        "Local part of the author of bounces.";
    /// Domain of bounce authors.
    BOUNCEHOST: "bouncehost" "" LineOrMe Some("bouncehost"), SEND,
        "Domain of the author of bounces, and the name bounces say they come from.";
    /// Subject of bounces.
    BOUNCESUBJECT: "bouncesubject" "" Line Some("failure notice"), SEND,
        "Subject of bounces.";
    /// Subject of double bounces.
    DOUBLEBOUNCESUBJECT: "doublebouncesubject" "" Line Some("failure notice"), SEND,
        "Subject of double bounces.";
    /// First paragraph of bounces.
    BOUNCEMESSAGE: "bouncemessage" "" Native None, SEND,
        "Replaces the first paragraph of bounces.";
    /// First paragraph of double bounces.
    DOUBLEBOUNCEMESSAGE: "doublebouncemessage" "" Native None, SEND,
        "Replaces the first paragraph of double bounces.";
    /// Who gets double bounces.
    DOUBLEBOUNCETO: "doublebounceto" "" Line Some("postmaster"), SEND,
        "Local part that gets double bounces; an empty line or @ discards them.";
    /// Domain of who gets double bounces.
    DOUBLEBOUNCEHOST: "doublebouncehost" "" LineOrMe Some("doublebouncehost"), SEND,
        "Domain of the recipient of double bounces.";
    /// Bytes of the message in a bounce.
    BOUNCEMAXBYTES: "bouncemaxbytes" "" Integer Some("50000"), SEND,
        "Most bytes of the message that a bounce repeats; 0 repeats its header only.";
    /// How bounces are built.
    BOUNCEFORMAT: "bounceformat" "" Line Some("report"), SEND,
        "How bounces are built: report (RFC 3464 with QSBMF as its text), mixed (QSBMF and the message as MIME parts), plain (QSBMF alone).";
    /// Variables for bounces, by sender.
    BOUNCERULES: "bounce.envrules" "BOUNCERULES" List None, SEND,
        "Rules pattern:VAR=value,... that set variables for a bounce by the sender of the message that failed, CONTROLDIR included; the variable names another file.";
    /// When a sender who asked for it hears of a delay.
    DELAYNOTICE: "delaynotice" "" Integer Some("14400"), SEND,
        "Seconds after which a sender who asked for it (DSN NOTIFY=DELAY) is told, once, that a message is still waiting.";
    /// Where rates of domains are.
    RATELIMIT_DIR: "" "RATELIMIT_DIR" Line None, SEND,
        "Directory with a file for each domain whose deliveries are limited, instead of ratelimit in the queue.";
    /// When their counts begin again.
    RATELIMIT_INTERVAL: "" "RATELIMIT_INTERVAL" Integer Some("86400"), SEND,
        "Seconds after which the counts of the deliveries to a domain begin again.";
    /// Program that queues bounces.
    BOUNCEQUEUE: "" "BOUNCEQUEUE" Line None, SEND,
        "Program that queues bounces instead of the persistent queue writer.";
    /// Program that judges bounces.
    BOUNCEPROCESSOR: "" "BOUNCEPROCESSOR" Line None, SEND,
        "Program asked before each bounce; exit 0 sends it, 1 drops it, others try later.";
    /// Program of local deliveries.
    QMAILLOCAL: "" "QMAILLOCAL" Line None, &["qmail-lspawn"],
        "Program run for each local delivery instead of qmail-local.";
    /// Program of remote deliveries.
    QMAILREMOTE: "" "QMAILREMOTE" Line None, &["qmail-rspawn"],
        "Program run for each remote delivery instead of qmail-remote.";
    /// Program that finds users.
    QMAILGETPW: "" "QMAILGETPW" Line None, &["qmail-lspawn"],
        "Program that maps local parts to users instead of qmail-getpw.";
}
