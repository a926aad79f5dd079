//! Signals as something to poll, so that no code runs inside a handler.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
pub use nix::poll::PollFlags;
use nix::poll::{PollFd, PollTimeout};
pub use nix::sys::signal::Signal;
use nix::sys::signal::{SigHandler, SigSet};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that are collected instead of handled.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks these signals in this process; call before any thread starts.
    /// Children started through [`crate::child`] get them unblocked.
    pub fn collect(signals: &[Signal]) -> std::io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
        )?))
    }

    /// The next signal that arrived, `None` when there is none.
    pub fn take(&mut self) -> Option<Signal> {
        let info = self.0.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes writes to a closed pipe an error instead of the end of the process.
pub fn ignore_pipe() {
    // SAFETY: ignoring a signal installs no handler.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}

/// Makes writes beyond the file size limit an error instead of the end of the
/// process.
pub fn ignore_file_size() {
    // SAFETY: ignoring a signal installs no handler.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}

/// Ends this process with SIGALRM's default action when it lives longer.
pub fn set_alarm(seconds: u32) {
    nix::unistd::alarm::set(seconds);
}

/// Ends this process at once, with code 52 and without any clean-up, when it
/// lives longer: the documented end of qmail-queue(8).
pub fn exit_52_after(seconds: u32) {
    extern "C" fn exit_52(_: nix::libc::c_int) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { nix::libc::_exit(52) }
    }
    // SAFETY: the handler makes one async-signal-safe call and never returns.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGALRM, SigHandler::Handler(exit_52)) };
    // A caller may have blocked it.
    let _ = SigSet::from(Signal::SIGALRM).thread_unblock();
    nix::unistd::alarm::set(seconds);
}

/// Sends a signal to a process.
pub fn send(pid: u32, signal: Signal) -> std::io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    Ok(nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        signal,
    )?)
}

/// Sends a signal to a process that leads a group, as one that was started
/// with a session of its own does, and to all others of the group.
pub fn send_to_group(leader: u32, signal: Signal) -> std::io::Result<()> {
    let leader = i32::try_from(leader).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    Ok(nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(leader),
        signal,
    )?)
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
}

/// Waits until a descriptor is ready or the time is over; for each whether it
/// is ready. A signal makes it return early with none ready.
pub fn poll(
    waits: &[(BorrowedFd<'_>, Interest)],
    timeout: Option<Duration>,
) -> std::io::Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> = waits
        .iter()
        .map(|(fd, interest)| {
            PollFd::new(
                *fd,
                match interest {
                    Interest::Read => PollFlags::POLLIN,
                    Interest::Write => PollFlags::POLLOUT,
                    Interest::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
                },
            )
        })
        .collect();
    // Round up, so that a deadline has passed when the wait for it is over.
    let timeout = timeout.map_or(PollTimeout::NONE, |wait| {
        let milliseconds = wait.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX))
            .unwrap_or(PollTimeout::MAX)
    });
    match nix::poll::poll(&mut fds, timeout) {
        Ok(_) => Ok(fds.iter().map(|fd| fd.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; waits.len()]),
        Err(error) => Err(error.into()),
    }
}
