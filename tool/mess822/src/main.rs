//! mess822: injection: qmail-inject, sendmail, programs before the queue, and
//! the header tools.
//!
//! Each tool runs as whoever calls it, under its own name or as the first
//! argument of `mess822`. None may be set-uid.

mod follow;
mod front;
mod header;
mod inject;
mod ofmip;
mod sendmail;
mod small;
mod tools;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use run::{Exit, ProgramEnd};

use tools::{TOOLS, Tool};

fn main() -> ExitCode {
    let mut arguments: Vec<Vec<u8>> = std::env::args_os().map(OsString::into_vec).collect();
    let mut name = name_of(&arguments);
    if find(&name).is_none() && 1 < arguments.len() {
        arguments.remove(0);
        name = name_of(&arguments);
    }
    let arguments = arguments.get(1..).unwrap_or_default();
    if os::account::is_set_uid() {
        return run::process("mess822", || -> Result<(), Exit> {
            Err(Exit::new(run::PERMANENT, "I refuse to run set-uid"))
        });
    }
    match find(&name) {
        Some(tool) => run::process(tool.name, || call(tool, arguments)),
        None if name == "--help" => {
            println!(
                "usage: mess822-tools TOOL [argument...]\n\nTools: {}",
                names()
            );
            println!("Exit codes: those of the tool, 100 wrong use.");
            ExitCode::SUCCESS
        }
        None => run::process("mess822", || -> Result<(), Exit> {
            let text = format!(
                "call me by one of these names, or give it as first argument: {}",
                names()
            );
            Err(Exit::new(run::PERMANENT, text))
        }),
    }
}

fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

fn names() -> String {
    let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
    names.join(" ")
}

/// Runs a tool; those with a usage text here have no long options but
/// `--help`.
fn call(tool: &Tool, arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if let Some(usage) = tool.usage {
        let shown: Vec<OsString> = arguments.iter().cloned().map(OsString::from_vec).collect();
        if run::usage::help(usage, &shown) {
            return Ok(().into());
        }
        run::usage::no_options(tool.name, &shown)?;
    }
    (tool.run)(arguments)
}

fn name_of(arguments: &[Vec<u8>]) -> String {
    let first = arguments.first().map(|a| String::from_utf8_lossy(a));
    let path = first.unwrap_or_default().into_owned();
    let name = Path::new(&path).file_name();
    name.map_or(path.clone(), |name| name.to_string_lossy().into_owned())
}
