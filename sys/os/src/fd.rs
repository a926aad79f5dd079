//! Descriptors that were given to us by number, and what hangs on them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

/// Takes over a descriptor the program was started with. Each number may be
/// taken once; `None` when it is not open.
pub fn inherit(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl on any number is harmless; it fails when it is not open.
    let open = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) } != -1;
    // SAFETY: the descriptor is open, and the programs of this project take
    // each inherited number once, at the start of main.
    open.then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// As [`inherit`], as a file.
pub fn inherit_file(number: RawFd) -> Option<File> {
    inherit(number).map(File::from)
}

/// Opens `/dev/null` on every one of the descriptors 0, 1 and 2 that is
/// closed, so that no file opened later takes their place.
pub fn fill_standard() -> io::Result<()> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&null);
        if 2 < number {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// Closes every descriptor from `first` up.
pub fn close_from(first: u32) {
    // SAFETY: called at the start of main, before anything owns a descriptor.
    unsafe { nix::libc::close_range(first, u32::MAX, 0) };
}

/// Closes every descriptor from `first` up but one.
pub fn close_from_except(first: u32, kept: Option<RawFd>) {
    let Some(kept) = kept.and_then(|kept| u32::try_from(kept).ok()) else {
        return close_from(first);
    };
    if first < kept {
        // SAFETY: as in [`close_from`].
        unsafe { nix::libc::close_range(first, kept - 1, 0) };
    }
    close_from(kept.saturating_add(1).max(first));
}

/// Chooses whether reads and writes wait.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> io::Result<()> {
    let mut flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Chooses whether a program started later has the descriptor.
pub fn set_close_on_exec(fd: impl AsFd, close: bool) -> io::Result<()> {
    let flags = if close {
        FdFlag::FD_CLOEXEC
    } else {
        FdFlag::empty()
    };
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// A pipe, both ends closed on exec: where to read, where to write.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Says whether this is a pipe that was read to its end and that nobody can
/// write to any more.
pub fn is_finished_pipe(fd: impl AsFd) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut found = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let is_pipe = nix::sys::stat::fstat(fd.as_fd())
        .is_ok_and(|stat| stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFIFO);
    is_pipe
        && poll(&mut found, PollTimeout::ZERO).is_ok()
        && found[0].revents() == Some(PollFlags::POLLHUP)
}

/// Takes over descriptors a program was started with and moves them above 2,
/// closed on exec; `None` for those that are not open. Descriptors 0 to 2 are
/// `/dev/null` afterwards, so that a stray message on stderr cannot end up in
/// a protocol. To be called once, at the start of main.
pub fn take_over(numbers: &[RawFd]) -> io::Result<Vec<Option<OwnedFd>>> {
    let inherited: Vec<Option<OwnedFd>> = numbers.iter().map(|&n| inherit(n)).collect();
    let moved = inherited
        .iter()
        .map(|fd| fd.as_ref().map(OwnedFd::try_clone).transpose())
        .collect();
    drop(inherited);
    fill_standard()?;
    moved
}

/// Sends everything written to stderr to a descriptor from now on.
pub fn redirect_stderr(to: impl AsFd) -> io::Result<()> {
    Ok(nix::unistd::dup2_stderr(to)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_pipe_is_finished_when_it_is_read_and_nobody_writes() {
        let (read, write) = pipe().unwrap();
        let (mut read, mut write) = (File::from(read), File::from(write));
        assert!(!is_finished_pipe(&read));
        write.write_all(b"x").unwrap();
        drop(write);
        assert!(!is_finished_pipe(&read));
        read.read_exact(&mut [0]).unwrap();
        assert!(is_finished_pipe(&read));
        assert!(!is_finished_pipe(File::open("/dev/null").unwrap()));
    }
}
