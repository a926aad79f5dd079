//! A logger that outlived the svscan it worked for.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it may take to write what it has.
const END_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// Ends what runs in a service directory, if anything does: told to at first,
/// killed when that does not help.
pub fn end(directory: &Path) {
    for letters in [&b"dx"[..], b"kdx"] {
        if !lives(directory) {
            return;
        }
        let control = os::file::open_fifo_write(&directory.join("supervise/control"));
        if let Ok(mut control) = control {
            let _ = control.write_all(letters);
        }
        let deadline = Instant::now() + END_MAX;
        while lives(directory) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

/// supervise keeps this open for as long as it lives.
fn lives(directory: &Path) -> bool {
    os::file::open_fifo_write(&directory.join("supervise/ok")).is_ok()
}
