//! `QHPSI`: a program looks for viruses in the message
//! (smtp-receiving.md §5.7).
//!
//! Differs from the original: the scanner is started here, as the caller,
//! and not by the set-uid program; and scanners loaded into the process
//! (`plugin:`) are refused.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use os::child::{Ended, Setup};
use run::Exit;
use settings::front_ends::{
    QHPSI, QHPSIFORWARD, QHPSIMAXSIZE, QHPSIMINSIZE, QHPSIRC, QHPSIRN, REJECTVIRUS,
};

use super::multi::{Passage, Verdict};
use super::{
    CODE_CONFIGURATION, CODE_SCANNER, CODE_VIRUS, EXTRA_BYTES_MAX, no_temporary,
    temporary_directory, wait, words,
};

/// What stands for the file in the scanner's arguments.
const FILE: &str = "%s";

/// The stage.
pub fn scan(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let Some(line) = passage.variable(QHPSI.variable) else {
        return Ok(Verdict::Pass);
    };
    if line.starts_with(b"plugin:") {
        let text = "QHPSI names a plugin; only programs are started";
        return Err(Exit::new(CODE_CONFIGURATION, text));
    }
    let mut message = passage.message()?;
    let bytes = message.metadata().map_err(no_temporary)?.len();
    let smallest = passage.integer(&QHPSIMINSIZE)?.max(0).unsigned_abs();
    let largest = passage.integer(&QHPSIMAXSIZE)?.max(0).unsigned_abs();
    if bytes < smallest || (0 < largest && largest < bytes) {
        return Ok(Verdict::Pass);
    }
    // The scanner needs a name; only we and it can open it.
    let mut file = tempfile::Builder::new()
        .prefix("qmail-multi.")
        .tempfile_in(temporary_directory())
        .map_err(no_temporary)?;
    io::copy(&mut message, file.as_file_mut()).map_err(no_temporary)?;
    file.flush().map_err(no_temporary)?;
    let code = run_scanner(&line, file.path())?;
    let (infected, clean) = (passage.integer(&QHPSIRC)?, passage.integer(&QHPSIRN)?);
    if code == clean {
        passage.add_header(b"X-QHPSI: clean");
        return Ok(Verdict::Pass);
    }
    if code != infected {
        let text = format!("the scanner of QHPSI ended with {code}");
        return Err(Exit::new(CODE_SCANNER, text));
    }
    passage.add_header(b"X-QHPSI: Virus found");
    act(passage)
}

fn run_scanner(line: &[u8], file: &std::path::Path) -> Result<i64, Exit> {
    let line = words(line)?;
    let mut command = Command::new(&line[0]);
    match &line[1..] {
        [] => command.arg(file),
        arguments => command.args(arguments.iter().map(|word| match word {
            word if word == FILE => file.as_os_str(),
            word => word,
        })),
    };
    command.stdin(Stdio::null());
    // Descriptor 1 is the envelope; the scanner writes where nobody reads.
    command.stdout(Stdio::null());
    os::child::prepare(&mut command, Setup::default());
    let shown = line[0].to_string_lossy().into_owned();
    let cannot = |error| Exit::new(CODE_SCANNER, format!("cannot run {shown}: {error}"));
    match wait(command, cannot)? {
        Some(Ended::Code(code)) => Ok(code.into()),
        Some(Ended::Signal(_)) => Err(Exit::new(CODE_SCANNER, format!("{shown} crashed"))),
        None => Err(Exit::new(CODE_SCANNER, format!("{shown} took too long"))),
    }
}

fn act(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let forward = passage
        .variable(QHPSIFORWARD.variable)
        .or_else(|| passage.variable("VIRUSFORWARD"));
    let reject = passage.integer(&REJECTVIRUS)?;
    let Some(address) = forward else {
        return Ok(match reject {
            0 => Verdict::Pass,
            2 => Verdict::Discard,
            _ => Verdict::Answer(CODE_VIRUS),
        });
    };
    let mut line = [b"X-Quarantine-ID: ", &address[..]].concat();
    let sender = passage.take_envelope(|recipient| {
        if line.len() + recipient.len() < EXTRA_BYTES_MAX / 2 {
            line.push(b',');
            line.extend(recipient.iter().filter(|b| !b.is_ascii_control()));
        }
        Ok(())
    })?;
    passage.add_header(&line);
    passage.replace_envelope(&sender, &address)?;
    match reject {
        0 | 2 => Ok(Verdict::Pass),
        _ => {
            let code = passage.queue_now()?;
            Ok(Verdict::Answer(if code == 0 { CODE_VIRUS } else { code }))
        }
    }
}
