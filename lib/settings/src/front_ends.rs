//! Settings of choosing the queue program, and of programs between an
//! injector and the queue.

use crate::{Kind, Setting};

const MULTI: &[&str] = &["qmail-multi"];
const FILTERS: &[&str] = &["qmail-multi", "spawn-filter"];
const LOGGED: &[&str] = &["qmail-smtpd", "spawn-filter"];
const SPAWN: &[&str] = &["spawn-filter"];
const SCANQ: &[&str] = &["qscanq", "qscanq-stdin"];
const QFILTER: &[&str] = &["qmail-qfilter"];
const DKIM: &[&str] = &["qmail-dkim"];
const QMQPC: &[&str] = &["qmail-qmqpc"];
const INJECTORS: &[&str] = &[
    "qmail-inject",
    "new-inject",
    "sendmail",
    "qmail-smtpd",
    "qmail-local",
    "qmail-send",
];

/// Declares settings, and the list of all of them.
macro_rules! settings {
    ($($name:ident: $file:literal, $variable:literal, $kind:ident, $default:expr, $readers:expr, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: Setting = Setting {
                file: $file,
                variable: $variable,
                kind: Kind::$kind,
                default: $default,
                readers: $readers,
                meaning: $meaning,
            };
        )*

        /// Settings of this group.
        pub static ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    QMAILQUEUE: "", "QMAILQUEUE", Line, None, INJECTORS,
        "Program, and arguments, that takes messages instead of qmail-queue; a relative path starts at the root.";
    ERROR_FD: "", "ERROR_FD", Integer, Some("2"), INJECTORS,
        "Descriptor on which a queue program that exits 88 says why; -1 for none.";
    QUEUEPROG: "", "QUEUEPROG", Line, None, MULTI,
        "Program, and arguments, that qmail-multi becomes instead of qmail-queue.";
    SPAMFILTER: "", "SPAMFILTER", Line, None, FILTERS,
        "Program, and arguments, that judges and may rewrite every message that is not relayed.";
    SPAMFILTERARGS: "", "SPAMFILTERARGS", Line, None, FILTERS,
        "Further arguments of SPAMFILTER.";
    SPAMEXITCODE: "", "SPAMEXITCODE", Integer, None, FILTERS,
        "Exit code by which SPAMFILTER says that a message is spam.";
    REJECTSPAM: "", "REJECTSPAM", Integer, Some("0"), FILTERS,
        "What happens to spam: 0 it is taken, 1 it is refused, more it is thrown away.";
    SPAMREDIRECT: "globalspamredirect", "SPAMREDIRECT", Line, None, FILTERS,
        "Address that gets spam, without a sender, instead of its recipients.";
    FILTERARGS: "", "FILTERARGS", Line, None, FILTERS,
        "Shell command every message is piped through: exit 0 go on, 2 and 99 throw away, 31 and 100 refuse, else not now.";
    SPAM_FILTERS: "spamfilter", "", List, None, SPAWN,
        "SPAMFILTER by recipient: lines DOMAIN:[local:|remote:]COMMAND, of which the first that fits counts.";
    SPAM_REJECTS: "rejectspam", "", List, None, SPAWN,
        "REJECTSPAM by recipient: lines DOMAIN:[local:|remote:]NUMBER, of which the first that fits counts.";
    SPAM_REDIRECTS: "spamredirect", "", List, None, SPAWN,
        "SPAMREDIRECT by recipient: lines DOMAIN:[local:|remote:]ADDRESS, of which the first that fits counts.";
    FILTERS_BY_DOMAIN: "filterargs", "", List, None, SPAWN,
        "FILTERARGS by recipient: lines DOMAIN:[local:|remote:]COMMAND, of which the first that fits counts.";
    HAMEXITCODE: "", "HAMEXITCODE", Integer, None, FILTERS,
        "Exit code by which SPAMFILTER says that a message is none; 0, 1 and 2 are fine without it.";
    UNSUREEXITCODE: "", "UNSUREEXITCODE", Integer, None, FILTERS,
        "Exit code by which SPAMFILTER says that it does not know; 0, 1 and 2 are fine without it.";
    SPAMIGNORE: "spamignore", "SPAMIGNORE", List, None, SPAWN,
        "Senders, or @domains, whose mail spawn-filter shows to no spam filter.";
    SPAMIGNOREPATTERNS: "spamignorepatterns", "SPAMIGNOREPATTERNS", List, None, SPAWN,
        "Patterns for spamignore; later lines overrule earlier ones, ! takes back.";
    FROMD_RULES: "fromd.envrules", "", List, None, SPAWN,
        "Lines pattern:VAR=value,VAR= that set variables of a delivery by its sender; FROMRULES names another file.";
    RCPTRULES: "rcpt.envrules", "RCPTRULES", List, None, SPAWN,
        "Lines pattern:VAR=value,VAR= that set variables of a delivery by its recipient, after those of its sender.";
    LOGFILTER: "", "LOGFILTER", Line, None, LOGGED,
        "The spam filter finds a file on descriptor 255, whose first line goes into the log; a path names a FIFO that gets a line for each recipient, too.";
    LOGFD: "", "LOGFD", Integer, Some("255"), LOGGED,
        "Descriptor of LOGFILTER; SPAMFD is its older name.";
    SCANCMD: "", "SCANCMD", Line, Some("clamdscan --quiet ./"), SCANQ,
        "Program, and arguments, that qscanq-stdin looks for viruses with; %s stands for the message.";
    SCANDIR: "", "SCANDIR", Line, None, SCANQ,
        "Directory in which qscanq unpacks messages; qscanq/root/scanq below the root without it.";
    BADEXT: "badext", "BADEXT", List, None, SCANQ,
        "Names and .extensions of attachments that are refused.";
    BADEXTPATTERNS: "badextpatterns", "BADEXTPATTERNS", List, None, SCANQ,
        "Patterns for badext; later lines overrule earlier ones, ! takes back.";
    QQF_QMAILQUEUE: "", "QQF_QMAILQUEUE", Line, None, QFILTER,
        "Program, and arguments, that qmail-qfilter becomes instead of qmail-queue.";
    DKIMQUEUE: "", "DKIMQUEUE", Line, None, DKIM,
        "Program, and arguments, that qmail-dkim becomes instead of qmail-multi.";
    DKQUEUE: "", "DKQUEUE", Line, None, &["qmail-dk"],
        "Program, and arguments, that qmail-dk becomes instead of qmail-multi.";
    DKIMSIGN_KEY: "", "DKIMSIGN", Line, None, DKIM,
        "File with the private key that qmail-dkim signs with; % stands for the domain, the last part of the path is the selector.";
    DKIMKEY: "", "DKIMKEY", Line, Some("domainkeys/%/default"), DKIM,
        "As DKIMSIGN, for relay clients and users who logged in when nothing says whether to sign.";
    DKIMDOMAIN: "", "DKIMDOMAIN", Line, None, DKIM,
        "Domain, or address in it, that signs, instead of that of Sender or From.";
    DKIMIDENTITY: "", "DKIMIDENTITY", Line, None, DKIM,
        "Identity (i=) of the signature.";
    DKIMEXPIRE: "", "DKIMEXPIRE", Line, None, DKIM,
        "Seconds for which the signature is good; - is for ever.";
    DKIMSIGNOPTIONS: "", "DKIMSIGNOPTIONS", Line, None, DKIM,
        "How to sign: -c r, s, t or u for the canonicalizations, -i IDENTITY, -x SECONDS; -l, -h, -q, -t, -b and -z are taken for compatibility.";
    DKIMVERIFY: "", "DKIMVERIFY", Line, None, DKIM,
        "Letters of the results for which mail is refused, for now when they are lower case.";
    UNSIGNED_FROM: "", "UNSIGNED_FROM", Presence, None, DKIM,
        "A message with a From that its signature leaves out is not verified.";
    SIGN_PRACTICE: "", "SIGN_PRACTICE", Line, Some("local"), DKIM,
        "Whose word counts when a signature fails: local asks signaturedomains and nosignaturedomains, anything else nobody.";
    DKIMPRACTICE: "", "DKIMPRACTICE", Line, None, DKIM,
        "Letters of the results for which SIGN_PRACTICE is asked; empty is FGHIJKLMNPQRSTUVWX.";
    SIGNATUREDOMAINS: "signaturedomains", "SIGNATUREDOMAINS", List, None, DKIM,
        "Domains that always sign; anything wrong with theirs is a failure.";
    NOSIGNATUREDOMAINS: "nosignaturedomains", "NOSIGNATUREDOMAINS", List, None, DKIM,
        "Domains that need not sign; * is all but signaturedomains.";
    QHPSI: "", "QHPSI", Line, None, MULTI,
        "Program, and arguments, that scans every message for viruses; %s in the arguments stands for the file.";
    QHPSIRC: "", "QHPSIRC", Integer, Some("1"), MULTI,
        "Exit code by which QHPSI says that a message is infected.";
    QHPSIRN: "", "QHPSIRN", Integer, Some("0"), MULTI,
        "Exit code by which QHPSI says that a message is clean.";
    QHPSIMINSIZE: "", "QHPSIMINSIZE", Integer, Some("0"), MULTI,
        "Smallest message in bytes that is scanned.";
    QHPSIMAXSIZE: "", "QHPSIMAXSIZE", Integer, Some("0"), MULTI,
        "Largest message in bytes that is scanned; 0 is no limit.";
    REJECTVIRUS: "", "REJECTVIRUS", Integer, Some("1"), MULTI,
        "What happens to infected mail: 0 it is taken, 2 it is thrown away, else it is refused.";
    QHPSIFORWARD: "", "QHPSIFORWARD", Line, None, MULTI,
        "Address that gets infected mail instead of its recipients.";
    QMQPSERVERS: "qmqpservers", "", List, None, QMQPC,
        "Servers, as IP or IP:port, that qmail-qmqpc hands messages to: the first that answers.";
}
