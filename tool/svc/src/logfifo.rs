//! qmail-cat: prints what is written to a FIFO, for the spamlogger service
//! (smtp-receiving.md §5.9).

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use run::Exit;

use crate::exec::{system, usage};

/// Programs of many users write to it, and none of them reads it.
const MODE: u32 = 0o622;
const READ_BYTES: usize = 64 * 1024;

/// `qmail-cat FIFO`.
pub fn qmail_cat(arguments: &[OsString]) -> Result<u8, Exit> {
    let [path] = arguments else {
        return Err(usage());
    };
    let path = Path::new(path);
    let what = format!("read {}", path.display());
    os::file::make_fifo(path, MODE).map_err(system(&what))?;
    // Open for writing as well, so that it does not end with its last writer.
    let fifo = File::options().read(true).write(true).open(path);
    let mut fifo = fifo.map_err(system(&what))?;
    let mut out = std::io::stdout();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match fifo.read(&mut buffer) {
            Ok(length) => out
                .write_all(&buffer[..length])
                .and_then(|()| out.flush())
                .map_err(system("write"))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(system(&what)(error)),
        }
    }
}
