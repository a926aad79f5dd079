//! Files that are run as soon as they are written.
//!
//! A test never has such a file open for writing itself: a child that
//! another test forks at that moment holds it open until its own exec, and
//! the kernel runs no file that somebody may still write (ETXTBSY).

use std::path::Path;
use std::process::Command;

use crate::program::run;

/// Puts a copy of a program into a directory or at a path.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    run(Command::new("cp").arg(from.as_ref()).arg(to.as_ref()), b"").good();
}

/// Writes a script, its first line included, that everybody may run.
///
/// # Panics
/// When it cannot be written.
pub fn write_script(path: impl AsRef<Path>, text: &str) {
    run(
        Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(path.as_ref()),
        text.as_bytes(),
    )
    .good();
}
