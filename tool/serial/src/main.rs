//! Programs that send on what is in a maildir, one binary with many names
//! (queue-and-delivery.md §6.9): for hosts that are not always there.
//!
//! All run as whoever owns the maildir. maildirserial knows maildirs and
//! decides what becomes of each message; a client, serialsmtp or serialqmtp,
//! knows a protocol and reports; maildirsmtp and maildirqmtp put them together
//! over a connection.
//!
//! Differs from the original: maildirsmtp and maildirqmtp connect themselves, and
//! a message that came in this very second is waited for instead of left.

mod bounce;
mod client;
mod connect;
mod maildir;
mod maildirserial;
mod serialqmtp;
mod serialsmtp;

use std::process::ExitCode;

use run::Exit;
use run::family::{Family, Tool};

const TOOLS: &[Tool] = &[
    Tool {
        name: "maildirserial",
        usage: "maildirserial [-b] [-t SECONDS] DIRECTORY PREFIX CLIENT ARGUMENTS...\n\nLets CLIENT send the messages of the maildir DIRECTORY that were delivered to an\naddress that begins with PREFIX, oldest first. What was sent is removed; what\nwas not, and is older than SECONDS, has failed. -b bounces what has failed and\nremoves it.\nExit codes: 0 done, 100 wrong use, 111 not all could be tried.",
        run: maildirserial::main,
    },
    Tool {
        name: "maildirsmtp",
        usage: "maildirsmtp DIRECTORY PREFIX HOST HELOHOST\n\nSends the messages of a maildir to HOST over SMTP, on the port that the variable\nPORT names (25), and bounces those that fail or are older than queuelifetime\n(1209600 seconds).\nExit codes: as maildirserial.",
        run: connect::maildirsmtp,
    },
    Tool {
        name: "maildirqmtp",
        usage: "maildirqmtp DIRECTORY PREFIX HOST\n\nSends the messages of a maildir to HOST over QMTP, on the port that the variable\nPORT names (209), and bounces those that fail or are older than 1209600 seconds.\nExit codes: as maildirserial.",
        run: connect::maildirqmtp,
    },
    Tool {
        name: "serialsmtp",
        usage: "serialsmtp PREFIX HELOHOST [ANY]\n\nClient of maildirserial: SMTP on descriptors 6 and 7. PREFIX is cut from each\nrecipient. With a third argument the session is not ended with QUIT.\nExit codes: 0 done, 100 wrong use, 111 the connection failed.",
        run: serialsmtp::main,
    },
    Tool {
        name: "serialqmtp",
        usage: "serialqmtp PREFIX\n\nClient of maildirserial: QMTP on descriptors 6 and 7. PREFIX is cut from each\nrecipient.\nExit codes: 0 done, 100 wrong use, 111 the connection failed.",
        run: serialqmtp::main,
    },
    Tool {
        name: connect::NAME,
        usage: "serialconnect HOST PORT PROGRAM ARGUMENTS...\n\nRuns PROGRAM with a connection to HOST on descriptors 6 and 7.\nExit codes: those of PROGRAM, 100 wrong use, 111 no connection.",
        run: connect::main,
    },
];

const FAMILY: Family = Family {
    name: "serial-tools",
    tools: TOOLS,
    exit_codes: "Exit codes: 0 done, 100 wrong use, 111 trouble.",
};

fn main() -> ExitCode {
    FAMILY.main()
}

/// The end of a program that was called in a wrong way.
fn usage(name: &str) -> Exit {
    FAMILY.misused(name)
}

fn temporary(text: impl Into<String>) -> Exit {
    Exit::new(run::TEMPORARY, text)
}
