//! mess822: injection: qmail-inject, sendmail, programs before the queue, and
//! the header tools.
//!
//! Each tool runs as whoever calls it, under its own name or as the first
//! argument of `mess822`. None may be set-uid.

mod batv;
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
use std::process::ExitCode;

use run::{Exit, ProgramEnd, family};

use tools::{TOOLS, Tool};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = family::choose(TOOLS, |tool| tool.name, &mut arguments);
    run::process(called.map_or("mess822-tools", |tool| tool.name), || {
        family::refuse_set_uid()?;
        if let Some(tool) = called {
            let words: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
            return call(tool, &words);
        }
        let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        let help = format!(
            "usage: mess822-tools TOOL [argument...]\n\nTools: {}\n\
             Exit codes: those of the tool, 100 wrong use.",
            names.join(" ")
        );
        match run::usage::help(&help, &arguments) {
            true => Ok(().into()),
            false => Err(run::usage::misused(&help)),
        }
    })
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
