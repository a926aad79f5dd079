//! Settings of choosing the queue program, and of programs between an
//! injector and the queue.

use crate::{Kind, Setting};

const MULTI: &[&str] = &["qmail-multi"];
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
    SPAMFILTER: "", "SPAMFILTER", Line, None, MULTI,
        "Program, and arguments, that judges and may rewrite every message that is not relayed.";
    SPAMFILTERARGS: "", "SPAMFILTERARGS", Line, None, MULTI,
        "Further arguments of SPAMFILTER.";
    SPAMEXITCODE: "", "SPAMEXITCODE", Integer, None, MULTI,
        "Exit code by which SPAMFILTER says that a message is spam.";
    REJECTSPAM: "", "REJECTSPAM", Integer, Some("0"), MULTI,
        "What happens to spam: 0 it is taken, 1 it is refused, more it is thrown away.";
    SPAMREDIRECT: "globalspamredirect", "SPAMREDIRECT", Line, None, MULTI,
        "Address that gets spam, without a sender, instead of its recipients.";
    FILTERARGS: "", "FILTERARGS", Line, None, MULTI,
        "Shell command every message is piped through: exit 0 go on, 2 and 99 throw away, 31 and 100 refuse, else not now.";
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
