//! Programs for lines of `.qmail` files and for maildirs, one binary with many
//! names; [`TOOLS`] has them all.
//!
//! The name it was called by says which; under another name the first
//! argument does. Most run as the recipient, started by qmail-local, with the
//! message on descriptor 0 and what qmail-local knows in the environment
//! (qmail-command(8)). They exit 0, 99 (success, read no further lines), 100
//! or 111.

mod autoresponder;
mod conditional;
mod dot_forward;
mod fastforward;
mod forward;
mod glance;
mod ismaildup;
mod mailbox;
mod maildirmake;
mod message;
mod preline;
mod program;
mod qbiff;
mod qlist;
mod qreceipt;
mod tables;
mod to_maildir;

use std::process::ExitCode;

use run::Exit;
use run::family::{Family, Tool};

const TOOLS: &[Tool] = &[
    Tool {
        name: "autoresponder",
        usage: "autoresponder [-cqlLN] [-n MAX] [-t SECONDS] [-T TYPE] [-s PREFIX] [-S SUBJECT] [-b BEGIN] [-e END] [-f FROM] TEXT DIRECTORY\n\nAnswers the message with TEXT, a file, unless it comes from a list or a robot or\nits sender got MAX answers (1) in SECONDS (604800; -1: ever); DIRECTORY keeps\nwho did. -c attaches the message, -q is silent about errors, -l answers mail\nthat names the recipient nowhere, -L makes no hard links, -N prints the answer.\nBEGIN and END are \"YYYY-mm-dd HH:MM:SS\".",
        run: autoresponder::main,
    },
    Tool {
        name: "bouncesaying",
        usage: "bouncesaying TEXT [PROGRAM ARGUMENTS...]\n\nBounces the message with TEXT, if PROGRAM exits 0 or is not given.",
        run: conditional::bouncesaying,
    },
    Tool {
        name: "condredirect",
        usage: "condredirect [-r] ADDRESS PROGRAM ARGUMENTS...\n\nForwards the message to ADDRESS, and ends the list, if PROGRAM exits 0\n(with -r: if it exits with anything but 0, 100 and 111).",
        run: conditional::condredirect,
    },
    Tool {
        name: "condtomaildir",
        usage: "condtomaildir [-r] MAILDIR PROGRAM ARGUMENTS...\n\nDelivers the message into MAILDIR, and ends the list, if PROGRAM exits 0\n(with -r: if it exits with anything but 0, 100 and 111).",
        run: to_maildir::condtomaildir,
    },
    Tool {
        name: "dot-forward",
        usage: "dot-forward [-nN] FILE...\n\nFollows the first of the files that is there, in the format of sendmail's\n.forward. -n prints what would be done.",
        run: dot_forward::main,
    },
    Tool {
        name: "elq",
        usage: "elq [ARGUMENTS...]\n\nMoves new mail to the mbox as maildir2mbox does and becomes elm.",
        run: mailbox::elq,
    },
    Tool {
        name: "except",
        usage: "except PROGRAM ARGUMENTS...\n\nExits 100 if PROGRAM exits 0, 111 if it exits 111, else 0.",
        run: conditional::except,
    },
    Tool {
        name: "fastforward",
        usage: "fastforward [-nNpPdD] TABLE\n\nSends the message on as TABLE, made by setforward or newaliases, says of its\nrecipient. -n prints what would be done; -p leaves unknown recipients to the\nnext line and ends the list for the others; -d takes DEFAULT@HOST (or EXT@HOST)\nfor the recipient.",
        run: fastforward::main,
    },
    Tool {
        name: "forward",
        usage: "forward ADDRESS...\n\nForwards the message to the addresses.",
        run: forward::main,
    },
    Tool {
        name: "ismaildup",
        usage: "ismaildup MAILDIR [PROGRAM ARGUMENTS...]\n\nEnds the list if MAILDIR got another copy of the message in the last\nELIMINATE_DUPS_INT seconds (900). What PROGRAM prints of the message says,\ntogether with the Message-ID, whether two are the same; else their headers do.",
        run: ismaildup::main,
    },
    Tool {
        name: "maildir2mbox",
        usage: "maildir2mbox\n\nMoves the messages of the maildir MAILDIR to the end of the mbox MAIL, through a\ncopy MAILTMP on the same file system; these are variables.",
        run: mailbox::maildir2mbox,
    },
    Tool {
        name: "maildirdeliver",
        usage: "maildirdeliver MAILDIR\n\nDelivers the message into MAILDIR.",
        run: to_maildir::maildirdeliver,
    },
    Tool {
        name: "maildirmake",
        usage: "maildirmake DIRECTORY\n\nMakes a maildir, or what is missing of one.",
        run: maildirmake::main,
    },
    Tool {
        name: "maildirwatch",
        usage: "maildirwatch\n\nShows every 30 seconds what is new in the maildir MAILDIR, a variable.",
        run: mailbox::maildirwatch,
    },
    Tool {
        name: "newaliases",
        usage: "newaliases [FILE]\n\nCompiles aliases in sendmail's format, /etc/aliases or FILE, to FILE.cdb for\nfastforward.",
        run: tables::newaliases,
    },
    Tool {
        name: "newinclude",
        usage: "newinclude LIST\n\nCompiles a file that aliases name with :include: to LIST.bin.",
        run: tables::newinclude,
    },
    Tool {
        name: "pinq",
        usage: "pinq [ARGUMENTS...]\n\nMoves new mail to the mbox as maildir2mbox does and becomes pine.",
        run: mailbox::pinq,
    },
    Tool {
        name: "preline",
        usage: "preline [-frde] PROGRAM ARGUMENTS...\n\nRuns PROGRAM on the message with a From line, Return-Path, Delivered-To and the\nheader lines of the queue in front; -f, -r, -d and -e leave them out.",
        run: preline::main,
    },
    Tool {
        name: "printforward",
        usage: "printforward < TABLE\n\nPrints a forwarding table as setforward reads it.",
        run: tables::printforward,
    },
    Tool {
        name: "printmaillist",
        usage: "printmaillist < LIST\n\nPrints a compiled list as setmaillist reads it.",
        run: tables::printmaillist,
    },
    Tool {
        name: "qail",
        usage: "qail [ARGUMENTS...]\n\nMoves new mail to the mbox as maildir2mbox does and becomes Mail.",
        run: mailbox::qail,
    },
    Tool {
        name: "qbiff",
        usage: "qbiff\n\nTells the user of the message on terminals that accept it (biff y).",
        run: qbiff::main,
    },
    Tool {
        name: "qlist",
        usage: "qlist\n\nExplains that mailing lists are the job of ezmlm, and bounces the message.",
        run: qlist::main,
    },
    Tool {
        name: "qmaildirmake",
        usage: "qmaildirmake DIRECTORY\n\nMakes a maildir, or what is missing of one.",
        run: maildirmake::main,
    },
    Tool {
        name: "qmaildirwatch",
        usage: "qmaildirwatch\n\nShows every 30 seconds what is new in the maildir MAILDIR, a variable.",
        run: mailbox::maildirwatch,
    },
    Tool {
        name: "qreceipt",
        usage: "qreceipt ADDRESS\n\nTells the sender that the message arrived, if it asked for that with a field\nNotice-Requested-Upon-Delivery-To that names ADDRESS.",
        run: qreceipt::main,
    },
    Tool {
        name: "setforward",
        usage: "setforward TABLE TEMPORARY < SOURCE\n\nCompiles \"target: command, command;\" to TABLE for fastforward, by way of\nTEMPORARY in the same directory.",
        run: tables::setforward,
    },
    Tool {
        name: "setmaillist",
        usage: "setmaillist LIST TEMPORARY < SOURCE\n\nCompiles the members of a list, one a line, for fastforward, by way of TEMPORARY\nin the same directory.",
        run: tables::setmaillist,
    },
];

const FAMILY: Family = Family {
    name: "local-tools",
    tools: TOOLS,
    exit_codes: "Exit codes: 0 done, 99 done and no further lines, 100 never, 111 later.",
};

fn main() -> ExitCode {
    FAMILY.main()
}

/// The end of a program that was called in a wrong way.
fn usage(name: &str) -> Exit {
    FAMILY.misused(name)
}
