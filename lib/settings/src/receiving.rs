//! Settings of taking mail from the network.

use crate::{Kind, Setting};

/// Who reads these.
const READERS: &[&str] = &["qmail-smtpd"];

/// Limits hold for mail from the network and from this machine.
const LIMITS: &[&str] = &["qmail-smtpd", "qmail-inject", "sendmail"];

/// Readers that are given, else those of the group.
macro_rules! readers {
    () => {
        READERS
    };
    ($readers:expr) => {
        $readers
    };
}

/// Declares settings, and the list of all of them.
macro_rules! settings {
    ($($name:ident: $file:literal, $variable:literal, $kind:ident, $default:expr, $meaning:literal $(, $readers:expr)?;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: Setting = Setting {
                file: $file,
                variable: $variable,
                kind: Kind::$kind,
                default: $default,
                readers: readers!($($readers)?),
                meaning: $meaning,
            };
        )*

        /// Settings of this group.
        pub static ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    RCPTHOSTS: "rcpthosts", "", List, None,
        "Domains mail is taken for; without the file qmail-smtpd refuses to start.";
    SMTPGREETING: "smtpgreeting", "SMTPGREETING", ListOrMe, None,
        "Lines of the greeting; the first word should be the host's name.";
    LOCALIPHOST: "localiphost", "", LineOrMe, None,
        "Stands for the host's bracketed IP address in recipients.";
    TIMEOUTSMTPD: "timeoutsmtpd", "TIMEOUTSMTPD", Integer, Some("1200"),
        "Seconds an SMTP client may be silent.";
    DATABYTES: "databytes", "DATABYTES", Integer, Some("0"),
        "Largest message taken, in bytes; 0 is no limit.", LIMITS;
    MAXRECIPIENTS: "maxrecipients", "MAXRECIPIENTS", Integer, Some("0"),
        "Most recipients of a message; 0 is as many as the queue takes.", LIMITS;
    MAXHOPS: "maxhops", "MAXHOPS", Integer, Some("100"),
        "Received lines from which on a message is called looping.";
    GREETDELAY: "greetdelay", "GREETDELAY", Integer, Some("0"),
        "Seconds a client must wait for the greeting, in silence.";
    TARPITCOUNT: "tarpitcount", "TARPITCOUNT", Integer, Some("0"),
        "Recipient from which on each is answered late; 0 is never.";
    TARPITDELAY: "tarpitdelay", "TARPITDELAY", Integer, Some("5"),
        "Seconds of that delay.";
    QREGEX: "qregex", "QREGEX", Integer, Some("0"),
        "When not 0, the lines of address lists and the patterns of envrules files are regular expressions.";
    CONCURRENCYINCOMING: "concurrencyincoming", "MAXDAEMONS", Integer, Some("1000"),
        "Most SMTP sessions of one listener at once.";
    MAXPERIP: "", "MAXPERIP", Integer, Some("20"),
        "Most SMTP sessions of one client address at once; this host's own are not counted unless a rule says so.";
    BADMAILFROM: "badmailfrom", "BADMAILFROM", List, None,
        "Envelope senders that are refused.";
    BADMAILPATTERNS: "badmailpatterns", "BADMAILPATTERNS", List, None,
        "Patterns of envelope senders that are refused.";
    BADRCPTTO: "badrcptto", "BADRCPTTO", List, None,
        "Recipients that are refused.";
    BADRCPTPATTERNS: "badrcptpatterns", "BADRCPTPATTERNS", List, None,
        "Patterns of recipients that are refused.";
    GOODRCPTTO: "goodrcptto", "GOODRCPTTO", List, None,
        "Recipients that badrcptto and the check for existence spare.";
    GOODRCPTPATTERNS: "goodrcptpatterns", "GOODRCPTPATTERNS", List, None,
        "Patterns of recipients that are spared.";
    BLACKHOLEDSENDER: "blackholedsender", "BLACKHOLEDSENDER", List, None,
        "Senders whose mail is taken and thrown away.";
    BLACKHOLEDPATTERNS: "blackholedpatterns", "BLACKHOLEDPATTERNS", List, None,
        "Patterns of senders whose mail is thrown away.";
    BLACKHOLEDRCPT: "blackholedrcpt", "BLACKHOLEDRCPT", List, None,
        "Recipients that are accepted and dropped.";
    BLACKHOLEDRCPTPATTERNS: "blackholedrcptpatterns", "BLACKHOLEDRCPTPATTERNS", List, None,
        "Patterns of recipients that are accepted and dropped.";
    RELAYMAILFROM: "relaymailfrom", "RELAYMAILFROM", List, None,
        "Senders that may relay; forgeable, so better not used.";
    AUTHDOMAINS: "authdomains", "AUTHDOMAINS", List, None,
        "Senders that must authenticate whoever they write to.";
    HOSTACCESS: "hostaccess", "HOSTACCESS", List, None,
        "Which client addresses may send for which domains, DOMAIN:IPPATTERN.";
    ACCESSLIST: "accesslist", "ACCESSLIST", List, None,
        "Who may write to whom, rcpt:SENDER:RECIPIENT and from:SENDER:RECIPIENT.";
    PARANOID: "", "PARANOID", Presence, None,
        "A domain in hostaccess comes from its addresses only.";
    DOMAIN_MASQUERADE: "", "DOMAIN_MASQUERADE", Presence, None,
        "An address in hostaccess may send for other domains, too.";
    BADHELO: "badhelo", "BADHELO", List, None,
        "HELO names that are refused.";
    RELAYCLIENTS: "relayclients", "", List, None,
        "Addresses of clients that may relay, IP:suffix.";
    RELAYDOMAINS: "relaydomains", "", List, None,
        "Confirmed names of clients that may relay, host:suffix.";
    RELAYCLIENT: "", "RELAYCLIENT", Line, None,
        "The client may relay; the value is appended to each recipient.";
    REQUIREAUTH: "", "REQUIREAUTH", Presence, None,
        "Mail is taken from authenticated clients only.";
    SMTPAUTH: "", "SMTPAUTH", Presence, None,
        "AUTH is offered where it is not by default.";
    AUTH_ALL: "", "AUTH_ALL", Presence, None,
        "Recipients in rcpthosts need authentication, too.";
    ANTISPOOFING: "", "ANTISPOOFING", Presence, None,
        "Senders in rcpthosts must authenticate.";
    MASQUERADE: "", "MASQUERADE", Line, None,
        "Authenticated clients may use this sender, or any when it is empty.";
    PLAINTEXT_AUTH: "", "PLAINTEXT_AUTH", Presence, None,
        "Passwords are taken over unencrypted connections; dangerous.";
    FORCE_TLS: "", "FORCE_TLS", Presence, None,
        "Mail is taken over TLS only.";
    STARTTLS: "", "STARTTLS", Presence, None,
        "A session on descriptors 0 and 1 offers STARTTLS.";
    SERVERCERT: "", "SERVERCERT", Line, Some("servercert.pem"),
        "Name of the certificate the signer is asked for.";
    OLD_CLIENT: "", "OLD_CLIENT", Presence, None,
        "EHLO repeats the mechanisms after AUTH= for old clients.";
    ENFORCE_FQDN_HELO: "", "ENFORCE_FQDN_HELO", Presence, None,
        "HELO names must have a dot.";
    NODNSCHECK: "", "NODNSCHECK", Presence, None,
        "Senders need no domain.";
    SHUTDOWN: "", "SHUTDOWN", Line, None,
        "No mail is taken; the value may say why, after a reply code.";
    OPENRELAY: "", "OPENRELAY", Presence, None,
        "The client is an open relay and is refused.";
    BOUNCEMAIL: "", "BOUNCEMAIL", Line, None,
        "Every sender is refused with this text.";
    DISABLE_HELP: "", "DISABLE_HELP", Presence, None,
        "HELP is not answered.";
    DISABLE_VRFY: "", "DISABLE_VRFY", Presence, None,
        "VRFY is not answered.";
    NULLQUEUE: "", "NULLQUEUE", Presence, None,
        "Messages are taken and thrown away.";
}
