//! mess822: injection: qmail-inject, sendmail and the header tools.
//!
//! Each tool runs as whoever calls it, under its own name or as the first
//! argument of `mess822`. None may be set-uid.

mod follow;
mod front;
mod inject;
mod sendmail;
mod small;
mod submit;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use run::Exit;

const NAMES: &str = "qmail-inject sendmail mailq newaliases predate datemail mailsubj \
    qmail-multi qmail-nullqueue qmail-qmqpc";

fn main() -> ExitCode {
    let mut arguments: Vec<Vec<u8>> = std::env::args_os().map(OsString::into_vec).collect();
    let mut name = name_of(&arguments);
    if !NAMES.split(' ').any(|known| known == name) && 1 < arguments.len() {
        arguments.remove(0);
        name = name_of(&arguments);
    }
    let arguments = arguments.get(1..).unwrap_or_default();
    if os::account::is_set_uid() {
        return run::process("mess822", || -> Result<(), Exit> {
            Err(Exit::new(run::PERMANENT, "I refuse to run set-uid"))
        });
    }
    match name.as_str() {
        "qmail-inject" => run::process("qmail-inject", || inject::main(arguments)),
        "sendmail" => run::process("sendmail", || sendmail::main(arguments)),
        "mailq" => run::process("mailq", sendmail::show_queue),
        "newaliases" => run::process("newaliases", sendmail::new_aliases),
        "predate" => run::process("predate", || small::predate(arguments)),
        "datemail" => run::process("datemail", || small::datemail(arguments)),
        "mailsubj" => run::process("mailsubj", || small::mailsubj(arguments)),
        "qmail-multi" => run::process("qmail-multi", || front::multi(arguments)),
        "qmail-nullqueue" => run::process("qmail-nullqueue", || front::nullqueue(arguments)),
        "qmail-qmqpc" => run::process("qmail-qmqpc", || front::qmqpc(arguments)),
        "--help" => {
            println!(
                "usage: mess822-tools TOOL [argument...]\n\nTools: {NAMES}\nExit codes: those of the tool, 100 wrong use."
            );
            ExitCode::SUCCESS
        }
        _ => run::process("mess822", || -> Result<(), Exit> {
            Err(Exit::new(
                run::PERMANENT,
                format!("call me by one of these names, or give it as first argument: {NAMES}"),
            ))
        }),
    }
}

fn name_of(arguments: &[Vec<u8>]) -> String {
    let first = arguments.first().map(|a| String::from_utf8_lossy(a));
    let path = first.unwrap_or_default().into_owned();
    let name = Path::new(&path).file_name();
    name.map_or(path.clone(), |name| name.to_string_lossy().into_owned())
}
