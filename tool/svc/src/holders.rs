//! setlock, pgrphack, fghack: what a child holds, or holds us.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use os::child::Ended;
use run::Exit;

use crate::exec::{child, exec, system, usage};

/// Descriptors given to the child of fghack: more than it will close.
const HOLDING: usize = 30;

/// Takes a lock and runs the child with it.
pub fn setlock(arguments: &[OsString]) -> Result<u8, Exit> {
    let is_option = |argument: &&OsString| argument.as_bytes().starts_with(b"-");
    let count = arguments.iter().take_while(is_option).count();
    let (mut waits, mut silent) = (true, false);
    for option in arguments[..count]
        .iter()
        .flat_map(|option| &option.as_bytes()[1..])
    {
        match option {
            b'n' => waits = false,
            b'N' => waits = true,
            b'x' => silent = true,
            b'X' => silent = false,
            _ => return Err(usage()),
        }
    }
    let (file, rest) = arguments[count..].split_first().ok_or_else(usage)?;
    let command = child(rest)?;
    let path = Path::new(file);
    let quiet = |error: Exit| if silent { Exit::new(0, "") } else { error };
    let open = OpenOptions::new().append(true).create(true).open(path);
    let open = open.map_err(|error| quiet(system(format!("open {}", path.display()))(error)))?;
    let lock = match waits {
        true => os::file::lock(open).map(Some),
        false => os::file::try_lock(open),
    };
    let lock = lock.and_then(|lock| lock.ok_or_else(|| std::io::Error::other("somebody has it")));
    let lock = lock.map_err(|error| quiet(system(format!("lock {}", path.display()))(error)))?;
    os::fd::set_close_on_exec(&*lock, false).map_err(system("keep the lock"))?;
    let error = exec(command);
    drop(lock);
    Err(error)
}

/// Runs the child as the leader of a new session and process group.
pub fn pgrphack(arguments: &[OsString]) -> Result<u8, Exit> {
    let command = child(arguments)?;
    // Fails only when this process leads a group already.
    let _ = nix::unistd::setsid();
    Err(exec(command))
}

/// Runs the child and stays until everything it started is gone.
pub fn fghack(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut command = child(arguments)?;
    let (read, write) = os::fd::pipe().map_err(system("create a pipe"))?;
    let holding: Vec<OwnedFd> = (0..HOLDING)
        .map(|_| {
            let copy = write.try_clone()?;
            os::fd::set_close_on_exec(&copy, false)?;
            Ok(copy)
        })
        .collect::<std::io::Result<_>>()
        .map_err(system("copy descriptors"))?;
    let program = Path::new(&arguments[0]).display().to_string();
    let started = command.spawn().map_err(system(format!("run {program}")))?;
    drop((write, holding));
    let mut nothing = Vec::new();
    File::from(read)
        .read_to_end(&mut nothing)
        .map_err(system("wait for the child"))?;
    match os::child::wait(started).map_err(system("wait for the child"))? {
        Ended::Code(code) => Ok(u8::try_from(code).unwrap_or(run::TEMPORARY)),
        Ended::Signal(signal) => Err(Exit::new(
            run::TEMPORARY,
            format!("child died by signal {signal}"),
        )),
    }
}
