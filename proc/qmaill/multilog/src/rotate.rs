//! What happens to a finished file.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use os::child::{Ended, Setup, prepare, wait};
use tai::{Label, UnixTime};

use crate::directory::{CLOSED_MODE, insist, pause};

/// Shortest name of a finished file: `@`, 24 digits.
const FINISHED_NAME_MIN: usize = 25;

/// Gives a file of the directory its name by the time: `.s` for a whole one,
/// `.u` for one that may have been cut.
pub fn finish(directory: &Path, name: &str, suffix: &str) -> io::Result<()> {
    let file = directory.join(name);
    loop {
        let (seconds, nanoseconds) = os::clock::now();
        let label = Label(UnixTime {
            seconds,
            nanoseconds,
        });
        let finished = directory.join(format!("{label}.{suffix}"));
        match std::fs::hard_link(&file, &finished) {
            Ok(()) => break,
            // Two files in one tick of the clock.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    std::fs::remove_file(&file)
}

/// Removes the oldest finished files until there is room for one fewer than
/// the limit.
pub fn prune(directory: &Path, files_max: usize) -> io::Result<()> {
    let mut finished = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"@") && FINISHED_NAME_MIN <= bytes.len() {
            finished.push(name);
        }
    }
    finished.sort();
    let excess = (finished.len() + 1).saturating_sub(files_max);
    for name in &finished[..excess] {
        std::fs::remove_file(directory.join(name))?;
    }
    Ok(())
}

/// Sends `previous` through the processor until that works.
pub fn process(directory: &Path, command: &OsStr) {
    loop {
        match try_process(directory, command) {
            Ok(Ended::Code(0)) => break,
            Ok(how) => {
                let error = io::Error::other(format!("processor ended with {how:?}"));
                pause("process previous in", directory, &error);
            }
            Err(error) => pause("process previous in", directory, &error),
        }
    }
    insist("finish processed in", directory, || {
        let processed = File::open(directory.join("processed"))?;
        processed.sync_all()?;
        processed.set_permissions(Permissions::from_mode(CLOSED_MODE))?;
        match std::fs::rename(directory.join("newstate"), directory.join("state")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // From here on `processed` counts, and `previous` does not.
        match std::fs::remove_file(directory.join("previous")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        finish(directory, "processed", "s")
    });
}

fn try_process(directory: &Path, command: &OsStr) -> io::Result<Ended> {
    let new = |name: &str| {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .open(directory.join(name))
    };
    let mut state = OpenOptions::new();
    let state = state
        .read(true)
        .append(true)
        .create(true)
        .open(directory.join("state"))?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).current_dir(directory);
    shell.stdin(Stdio::from(File::open(directory.join("previous"))?));
    shell.stdout(Stdio::from(new("processed")?));
    let descriptors = vec![(4, state.into()), (5, new("newstate")?.into())];
    prepare(
        &mut shell,
        Setup {
            descriptors,
            ..Setup::default()
        },
    );
    wait(shell.spawn()?)
}
