//! Settings of taking mail from the network.

use crate::{Kind, Setting};

/// Who reads these.
const READERS: &[&str] = &["qmail-smtpd"];

/// Limits hold for mail from the network and from this machine.
const LIMITS: &[&str] = &["qmail-smtpd", "qmail-inject", "sendmail"];

/// Who tags senders, and who looks for the tags.
const BATV: &[&str] = &["qmail-smtpd", "qmail-remote"];

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
    PROXYHOSTS: "proxyhosts", "", List, None,
        "Balancers, as addresses, networks or patterns, that say in a PROXY header who connects; they must, and nobody else may.";
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
    CHECKRECIPIENT: "", "CHECKRECIPIENT", Line, None,
        "Who says which recipients exist: 1 users (as without it), 2 users/recipients.cdb, then users, 3 or empty users/recipients.cdb alone.";
    CHKRCPTDOMAINS: "chkrcptdomains", "CHKRCPTDOMAINS", List, None,
        "Recipients that are asked for; without the file all are.";
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
    CHECKRELAY: "", "CHECKRELAY", Presence, None,
        "A sender may relay who has just read mail from the client's address; see RELAY_CLEAR_MINUTES.";
    ETRNHOSTS: "etrnhosts", "", List, None,
        "Domains whose hosts may ask for their mail by ETRN and ATRN; they must be in rcpthosts, too.";
    ATRNACCESS: "atrnaccess", "", List, None,
        "Which users may fetch mail of which domains by ATRN, USER:DOMAIN,DOMAIN.";
    ODMR: "", "ODMR", Presence, None,
        "Mail is fetched here by ATRN, whatever the port; on port 366 it is anyway.";
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
        "Domains of senders need not exist.";
    NODNSCHECK_LIST: "nodnscheck", "", List, None,
        "Senders, and @names of HELO, whose domains need not exist.";
    BADHELOCHECK: "", "BADHELOCHECK", Presence, None,
        "HELO names must exist, and must not be ours.";
    CUGMAIL: "", "CUGMAIL", Presence, None,
        "Closed user group: only existing users of rcpthosts write, and only to rcpthosts.";
    SPFBEHAVIOUR: "spfbehavior", "SPFBEHAVIOUR", Integer, Some("0"),
        "What SPF decides: 0 nothing, 1 a header line, 2 defer when DNS fails, 3 refuse fail, 4 softfail, 5 neutral, 6 none.";
    SPFRULES: "spfrules", "SPFRULES", Line, None,
        "SPF terms evaluated before the final all of each record.";
    SPFGUESS: "spfguess", "SPFGUESS", Line, None,
        "SPF terms for domains that publish none.";
    SPFEXP: "spfexp", "SPFEXP", Line, None,
        "Explanation of a refusal, with SPF macros, for domains that publish none.";
    AUTHRESULTS: "authresults", "AUTHRESULTS", Integer, Some("1"),
        "When not 0, SPF, DKIM and DMARC of mail from strangers are checked and told in Authentication-Results.";
    DMARCREJECT: "dmarcreject", "DMARCREJECT", Integer, Some("0"),
        "When not 0, mail is refused that the DMARC policy of its author's domain says to refuse, or whose author nobody can tell; while that cannot be found out, it waits.";
    WARNMAIL: "", "WARNMAIL", Line, None,
        "Every message gets a line X-Spam-Warning that says this; WARNMAIL0 to WARNMAIL9 are further lines.";
    BODYCHECK: "bodycheck", "BODYCHECK", List, None,
        "Patterns of messages that are refused, REGEX:description:-header or -body; looked at when the variable is set.";
    VIRUSCHECK: "", "VIRUSCHECK", Line, None,
        "Which checks for viruses are made: internal (1 to 4), external (2, 4, 5, 6), attach (3, 4, 5, 7).";
    SIGNATURES: "signatures", "SIGNATURES", List, None,
        "How parts of messages begin that are refused, PREFIX:description.";
    BATVKEY: "batvkey", "BATVKEY", Line, None,
        "Key of the tags on our senders, without which bounces are refused (BATV).", BATV;
    SIGNKEY: "signkey", "SIGNKEY", Line, None,
        "Older name of batvkey.", BATV;
    BATVKEYSTALE: "batvkeystale", "BATVKEYSTALE", Line, None,
        "Days a tag is good for; 7 without it.", BATV;
    SIGNKEYSTALE: "signkeystale", "SIGNKEYSTALE", Line, None,
        "Older name of batvkeystale.", BATV;
    BATVNOSIGNREMOTE: "batvnosignremote", "BATVNOSIGNREMOTE", List, None,
        "Hosts to which no tag is sent, and whose bounces need none.", BATV;
    NOSIGNHOSTS: "nosignhosts", "NOSIGNHOSTS", List, None,
        "Older name of batvnosignremote.", BATV;
    BATVNOSIGNLOCALS: "batvnosignlocals", "BATVNOSIGNLOCALS", List, None,
        "Our domains whose senders get no tag.", BATV;
    NOSIGNMYDOMS: "nosignmydoms", "NOSIGNMYDOMS", List, None,
        "Older name of batvnosignlocals.", BATV;
    GREYIP: "", "GREYIP", Line, None,
        "Greylisting server, IP, IP@PORT or @ for this machine.";
    GREYCLOSED: "", "GREYCLOSED", Presence, None,
        "Without an answer of the greylisting server no mail is taken.";
    SHUTDOWN: "", "SHUTDOWN", Line, None,
        "No mail is taken; the value may say why, after a reply code.";
    RBLSMTPD: "", "RBLSMTPD", Line, None,
        "The client is on a list and is refused: for good with a hyphen before the text, else for now; empty lets it in.", &["qmail-smtpd", "rblsmtpd"];
    DNSBL: "dnsbl", "DNSBL", List, None,
        "Lists in the DNS that know bad clients, NAME or NAME:TEXT; they are refused for now, after a hyphen for good, and after ! let in.";
    CLIENTNAMES: "clientnames", "CLIENTNAMES", Integer, Some("0"),
        "When not 0, a listener looks up the names of clients, for rules, relaydomains and Received; read at the start.";
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
