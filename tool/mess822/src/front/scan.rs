//! `QHPSI`: a program looks for viruses in the message
//! (smtp-receiving.md §5.7).
//!
//! Differs from the original: the scanner is started here, as the caller,
//! and not by the set-uid program.

use std::io::{self, Write};

use run::Exit;
use scanner::{Consequence, Scanner};

use super::multi::{Passage, Verdict};
use super::{CODE_VIRUS, EXTRA_BYTES_MAX, no_temporary};

/// The stage.
pub fn scan(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let failed = |error: scanner::Error| Exit::new(error.exit_code(), run::chain(&error));
    let Some(scanner) = Scanner::configured(passage.settings).map_err(failed)? else {
        return Ok(Verdict::Pass);
    };
    let mut message = passage.message()?;
    let bytes = message.metadata().map_err(no_temporary)?.len();
    if !scanner.wants(bytes) {
        return Ok(Verdict::Pass);
    }
    // The scanner needs a name; only we and it can open it.
    let mut file = tempfile::Builder::new()
        .prefix("qmail-multi.")
        .tempfile_in(filter::temporary_directory())
        .map_err(no_temporary)?;
    io::copy(&mut message, file.as_file_mut()).map_err(no_temporary)?;
    file.flush().map_err(no_temporary)?;
    let finding = scanner.scan(file.path()).map_err(failed)?;
    if let Some(line) = finding.header() {
        passage.add_header(line);
    }
    match scanner.consequence(finding) {
        Consequence::Pass => Ok(Verdict::Pass),
        Consequence::Discard => Ok(Verdict::Discard),
        Consequence::Refuse => Ok(Verdict::Answer(CODE_VIRUS)),
        Consequence::Forward(address) => {
            redirect(passage, address)?;
            Ok(Verdict::Pass)
        }
        Consequence::ForwardAndRefuse(address) => {
            redirect(passage, address)?;
            let code = passage.queue_now()?;
            Ok(Verdict::Answer(if code == 0 { CODE_VIRUS } else { code }))
        }
    }
}

/// From now on the message goes to this address; a line names those it was
/// for.
fn redirect(passage: &mut Passage<'_>, address: &[u8]) -> Result<(), Exit> {
    let mut line = [b"X-Quarantine-ID: ", address].concat();
    let sender = passage.take_envelope(|recipient| {
        if line.len() + recipient.len() < EXTRA_BYTES_MAX / 2 {
            line.push(b',');
            line.extend(recipient.iter().filter(|b| !b.is_ascii_control()));
        }
        Ok(())
    })?;
    passage.add_header(&line);
    passage.replace_envelope(&sender, address)
}
