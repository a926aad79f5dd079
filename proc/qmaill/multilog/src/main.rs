//! multilog: writes lines to log directories that stay small
//! (operations.md §1.7).
//!
//! `multilog ACTION...`: for every line of descriptor 0 the actions are done
//! in order. Runs as `qmaill`, started by a `log/run` through setuidgid;
//! writes to its log directories and status files only. Without a processor
//! (`!CMD`) it can start no program.
//!
//! ALRM: rotate now. TERM: read to the next newline, exit 0. At the end of
//! the input: exit 0. Exit 100 for a wrong call, 111 when a directory cannot
//! be used. While it runs, trouble with the disk makes it pause, never lose a
//! line.

mod action;
mod directory;
mod line;
mod pattern;
mod recover;
mod rotate;

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::ExitCode;

use os::signal::{Interest, Signal, Signals};
use run::Exit;

use action::{Action, Script};
use line::Lines;

const PROGRAM: &str = "multilog";
const READ_BYTES: usize = 64 * 1024;

const HELP: &str = "\
usage: multilog ACTION...

t         stamp each line (first action only)
-PATTERN  deselect matching lines        +PATTERN  select them
e         selected lines to stderr       =FILE     last selected line to FILE
sSIZE     bytes per file, 4096 to 16777215; without it a file only grows
nNUMBER   files kept, at least 2 (10)    rSECONDS  rotate at these times too
!COMMAND  processor of finished files
DIR       a log directory; begins with . or /

Exit codes: 0 end of input or TERM, 111 something went wrong.
";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let fatal = |text: String| Exit::new(run::TEMPORARY, text);
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if arguments
            .first()
            .is_some_and(|argument| argument == "--help")
        {
            print!("{HELP}");
            return Ok(());
        }
        let caught = [Signal::SIGALRM, Signal::SIGTERM];
        let mut signals = Signals::collect(&caught)
            .map_err(|e| fatal(format!("unable to collect signals: {e}")))?;
        let script = Script::open(&arguments)?;
        close_sandbox(&script);
        let input =
            os::fd::inherit_file(0).ok_or_else(|| fatal("descriptor 0 is not open".to_owned()))?;
        let mut lines = Lines::new(script);
        let end = read_lines(&mut lines, input, &mut signals);
        lines.finish();
        end.map_err(|error| fatal(format!("unable to read input: {error}")))
    })
}

fn close_sandbox(script: &Script) {
    if script.has_processor() {
        return;
    }
    let places = script.actions().iter().filter_map(Action::directory);
    run::sandboxes::multilog(places).enter();
}

fn read_lines(lines: &mut Lines, mut input: File, signals: &mut Signals) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut ending = false;
    loop {
        if ending && lines.at_line_start() {
            return Ok(());
        }
        let waits = [
            (signals.as_fd(), Interest::Read),
            (input.as_fd(), Interest::Read),
        ];
        let ready = os::signal::poll(&waits, lines.wait_max())?;
        while let Some(signal) = signals.take() {
            match signal {
                Signal::SIGALRM => lines.rotate_now(),
                _ => ending = true,
            }
        }
        lines.rotate_due();
        if !ready[1] || (ending && lines.at_line_start()) {
            continue;
        }
        // After TERM, nothing behind the newline may be taken.
        let room = if ending { 1 } else { READ_BYTES };
        match input.read(&mut buffer[..room]) {
            Ok(0) => return Ok(()),
            Ok(length) => lines.take(&buffer[..length]),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => return Err(error),
        }
    }
}
