//! The tools of this family.

use run::{Exit, ProgramEnd};

use crate::inject::{self, Style};
use crate::{batv, front, header, ofmip, sendmail, small};

/// A tool: its name, its usage when it does not print one itself, what it
/// does with its arguments.
pub struct Tool {
    pub name: &'static str,
    pub usage: Option<&'static str>,
    pub run: fn(&[Vec<u8>]) -> Result<ProgramEnd, Exit>,
}

fn qmail_inject(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    inject::main(arguments, Style::Classic)?;
    Ok(().into())
}

fn new_inject(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    inject::main(arguments, Style::New)?;
    Ok(().into())
}

const fn tool(
    name: &'static str,
    usage: Option<&'static str>,
    run: fn(&[Vec<u8>]) -> Result<ProgramEnd, Exit>,
) -> Tool {
    Tool { name, usage, run }
}

pub const TOOLS: &[Tool] = &[
    tool("qmail-inject", None, qmail_inject),
    tool("new-inject", None, new_inject),
    tool("sendmail", None, sendmail::main),
    tool(
        "mailq",
        Some(
            "usage: mailq\n\nShows the queue, as qmail-qread does.\nExit codes: those of qmail-qread.",
        ),
        |_| sendmail::show_queue(),
    ),
    tool(
        "newaliases",
        Some("usage: newaliases\n\nTells where aliases are.\nExit codes: 100 always."),
        |_| sendmail::new_aliases(),
    ),
    tool("predate", None, small::predate),
    tool("datemail", None, small::datemail),
    tool("mailsubj", None, small::mailsubj),
    tool("rmail", None, small::rmail),
    tool("batv", None, batv::main),
    tool("qmail-multi", None, front::multi),
    tool("qmail-nullqueue", None, front::nullqueue),
    tool("qmail-dk", None, front::dk),
    tool("qmail-spamfilter", None, front::spamfilter),
    tool("qmail-qfilter", None, front::qfilter),
    tool("qscanq", None, front::qscanq),
    tool("qscanq-stdin", None, front::qscanq_stdin),
    tool("qmail-qmqpc", None, front::qmqpc),
    tool(
        "ofmipd",
        Some(
            "usage: ofmipd [NAMES.CDB]\n\nTakes mail over SMTP on descriptors 0 and 1, repairs its header as new-inject\ndoes and queues it, to anywhere. NAMES.CDB, made by ofmipname, gives senders\ntheir addresses and names.\nExit codes: 0 the session is over, 100 wrong use, 111 the connection broke.",
        ),
        ofmip::serve,
    ),
    tool(
        "ofmipname",
        Some(
            "usage: ofmipname CDB TEMPORARY < list\n\nMakes a table for ofmipd of lines key:name:address: where key is a sender or\nwhat stands before its @. TEMPORARY is not used.\nExit codes: 0 done, 100 the list makes no sense, 111 trouble.",
        ),
        ofmip::make_names,
    ),
    tool(
        "822field",
        Some(
            "usage: 822field [FIELD] < message\n\nPrints the values of a field (default Subject), one a line.\nExit codes: 0 found, 100 none, 111 trouble.",
        ),
        header::field,
    ),
    tool(
        "822fields",
        Some(
            "usage: 822fields [FIELD...] < message\n\nPrints the values of fields (default Subject), one a line.\nExit codes: 0 found, 100 none, 111 trouble.",
        ),
        header::some_fields,
    ),
    tool(
        "822header",
        Some(
            "usage: 822header [-X FIELD]... [-I FIELD]... < message\n\nPrints the header: without the fields of -X, only those of -I.\nExit codes: 0 done, 100 wrong use, 111 trouble.",
        ),
        header::header,
    ),
    tool(
        "822body",
        Some("usage: 822body < message\n\nPrints the body.\nExit codes: 0 done, 111 trouble."),
        header::body,
    ),
    tool(
        "822addr",
        Some(
            "usage: 822addr [FIELD...] < message\n\nPrints the addresses of fields (default To and Cc) behind +, names and comments\nbehind (.\nExit codes: 0 found, 100 none or malformed, 111 trouble.",
        ),
        header::addr,
    ),
    tool(
        "822headerok",
        Some(
            "usage: 822headerok < message\n\nSays whether the header is well-formed.\nExit codes: 0 it is, 100 it is not, 111 trouble.",
        ),
        header::header_ok,
    ),
    tool(
        "822headerfilter",
        Some(
            "usage: 822headerfilter PROGRAM [ARGUMENT...] < message\n\nRuns PROGRAM on the header.\nExit codes: those of PROGRAM, 100 wrong use, 111 trouble.",
        ),
        header::header_filter,
    ),
    tool(
        "822bodyfilter",
        Some(
            "usage: 822bodyfilter PROGRAM [ARGUMENT...] < message\n\nPrints the header, then what PROGRAM makes of the body; the message must be a\nfile.\nExit codes: those of PROGRAM, 100 wrong use, 111 trouble.",
        ),
        header::body_filter,
    ),
    tool(
        "822date",
        Some(
            "usage: 822date [FIELD] < message\n\nPrints the date of a field (default Date) in its own zone, in UTC, and in local\ntime.\nExit codes: 0 found, 100 none, 111 trouble.",
        ),
        header::date,
    ),
    tool(
        "822received",
        Some(
            "usage: 822received < message\n\nPrints the way of a message, oldest step first: when, how many seconds after\nthe step before, what.\nExit codes: 0 found, 100 no Received field, 111 trouble.",
        ),
        header::received,
    ),
    tool(
        "822print",
        Some(
            "usage: 822print < message\n\nPrints a message for reading: the important fields, bold and underlined by\noverstriking, then the body.\nExit codes: 0 done, 111 trouble.",
        ),
        header::print,
    ),
    tool(
        "iftocc",
        Some(
            "usage: iftocc [ADDRESS...] < message\n\nSays whether an address (default $RECIPIENT), or somebody of @DOMAIN, is in To\nor Cc.\nExit codes: 0 it is, 100 it is not, 111 trouble.",
        ),
        header::if_to_cc,
    ),
    tool(
        "iftoccfrom",
        Some(
            "usage: iftoccfrom [ADDRESS...] < message\n\nAs iftocc, in To, Cc or From.\nExit codes: 0 it is, 100 it is not, 111 trouble.",
        ),
        header::if_to_cc_from,
    ),
    tool(
        "ifaddr",
        Some(
            "usage: ifaddr [FIELD... :] [ADDRESS...] < message\n\nAs iftocc, in any fields (default To and Cc).\nExit codes: 0 it is, 100 it is not, 111 trouble.",
        ),
        header::if_addr,
    ),
];
