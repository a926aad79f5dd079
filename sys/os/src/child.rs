//! Starting programs: as whom, with which descriptors, and how they ended.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::account::Identity;

/// How a child ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

/// What a program gets beside its arguments and environment.
#[derive(Debug, Default)]
pub struct Setup {
    /// Descriptors of the child: its number there, and what it is here.
    /// Everything else is closed on exec; 0, 1 and 2 are inherited when not
    /// named.
    pub descriptors: Vec<(RawFd, OwnedFd)>,
    /// Becomes this user first, without supplementary groups. Whoever is not
    /// root stays who it is, but for a set-uid program: its children become
    /// its caller for good, whatever stands here.
    pub identity: Option<Identity>,
    /// Starts a session of its own, so that signals of a terminal do not
    /// reach it.
    pub new_session: bool,
    /// Gets this signal when the thread that started it ends, however it
    /// ends.
    pub signal_when_parent_ends: Option<nix::sys::signal::Signal>,
}

/// What a program started by `nohup`, or from a shell's background, may have
/// inherited as ignored.
const SIGNALS_RESET: [nix::libc::c_int; 8] = [
    nix::libc::SIGHUP,
    nix::libc::SIGINT,
    nix::libc::SIGQUIT,
    nix::libc::SIGTERM,
    nix::libc::SIGALRM,
    nix::libc::SIGCHLD,
    nix::libc::SIGUSR1,
    nix::libc::SIGUSR2,
];

/// As [`prepare`] with nothing but descriptors. Where the child has nothing
/// else to do than exec, this process is not copied for it, which for one with
/// many threads costs more than the program.
pub fn hand_over(command: &mut Command, descriptors: Vec<(RawFd, OwnedFd)>) {
    let are_standard = descriptors
        .iter()
        .all(|(number, _)| matches!(number, 0..=2));
    if !are_standard || crate::account::is_set_uid() || !are_signals_default() {
        let setup = Setup {
            descriptors,
            ..Setup::default()
        };
        return prepare(command, setup);
    }
    for (number, descriptor) in descriptors {
        match number {
            0 => command.stdin(descriptor),
            1 => command.stdout(descriptor),
            _ => command.stderr(descriptor),
        };
    }
}

/// Says whether a child would inherit nothing that [`prepare`] takes back.
fn are_signals_default() -> bool {
    SIGNALS_RESET.iter().all(|&signal| {
        let mut found = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
        // SAFETY: nothing is set; the kernel writes one sigaction to where it
        // is told, which is read only when it did.
        unsafe {
            nix::libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) == 0
                && found.assume_init().sa_sigaction != nix::libc::SIG_IGN
        }
    })
}

/// Prepares a command: after this, `spawn` or `exec` on it does what
/// [`Setup`] says. In the child no signal is blocked, and those that programs
/// are told things with are not ignored.
pub fn prepare(command: &mut Command, setup: Setup) {
    if let Some(identity) = setup.identity.filter(|_| crate::account::is_root()) {
        // The standard library drops supplementary groups before the user.
        command.uid(identity.uid).gid(identity.gid);
    }
    let caller = crate::account::is_set_uid().then(|| Caller::of(setup.identity));
    let descriptors = setup.descriptors;
    let new_session = setup.new_session;
    let last_signal = setup.signal_when_parent_ends;
    // What the parent must be then: this process, or after an exec without a
    // fork the parent it has now.
    let (this, parent_of_this) = (nix::unistd::getpid(), nix::unistd::getppid());
    // SAFETY: between fork and exec only async-signal-safe calls are made:
    // setgroups, setresgid, setresuid, sigprocmask, signal, setsid, prctl,
    // getpid, getppid, fcntl and dup2 on numbers; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            if let Some(caller) = &caller {
                caller.assume()?;
            }
            for signal in SIGNALS_RESET {
                nix::libc::signal(signal, nix::libc::SIG_DFL);
            }
            SigSet::empty().thread_set_mask()?;
            if new_session {
                nix::libc::setsid();
            }
            if let Some(signal) = last_signal {
                let number = signal as nix::libc::c_ulong;
                if nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, number) == -1 {
                    return Err(io::Error::last_os_error());
                }
                // It may have ended before we asked to be told.
                let parent = match nix::unistd::getpid() == this {
                    true => parent_of_this,
                    false => this,
                };
                if nix::unistd::getppid() != parent {
                    return Err(io::ErrorKind::NotConnected.into());
                }
            }
            place(&descriptors)
        });
    }
}

/// Who a child of a set-uid program becomes.
struct Caller {
    identity: Identity,
    is_root: bool,
}

impl Caller {
    fn of(wanted: Option<Identity>) -> Self {
        let real = Identity {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
        };
        let is_root = real.uid == 0;
        Self {
            identity: wanted.filter(|_| is_root).unwrap_or(real),
            is_root,
        }
    }

    /// For good: real, effective and saved.
    fn assume(&self) -> io::Result<()> {
        use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
        let (uid, gid) = (
            Uid::from_raw(self.identity.uid),
            Gid::from_raw(self.identity.gid),
        );
        if self.is_root {
            let root = Uid::from_raw(0);
            setresuid(root, root, root)?;
            setgroups(&[gid])?;
        }
        setresgid(gid, gid, gid)?;
        Ok(setresuid(uid, uid, uid)?)
    }
}

/// What this process gets when its parent ends, if that was asked for. The
/// kernel forgets it when a process changes its user.
pub fn signal_when_parent_ends() -> Option<nix::sys::signal::Signal> {
    let mut number: nix::libc::c_int = 0;
    // SAFETY: the kernel writes one int to where it is told.
    let result = unsafe { nix::libc::prctl(nix::libc::PR_GET_PDEATHSIG, &raw mut number) };
    if result == -1 {
        return None;
    }
    nix::sys::signal::Signal::try_from(number).ok()
}

/// Puts each descriptor on its number, in an order-independent way: first all
/// of them above every target, then down.
fn place(descriptors: &[(RawFd, OwnedFd)]) -> io::Result<()> {
    const SLOTS: usize = 16;
    let mut moved = [-1; SLOTS];
    let above = descriptors
        .iter()
        .map(|(target, _)| *target)
        .max()
        .unwrap_or(0)
        + 1;
    for (slot, (_, source)) in moved.iter_mut().zip(descriptors) {
        // SAFETY: duplicating an open descriptor to a free number.
        *slot = unsafe {
            nix::libc::fcntl(source.as_raw_fd(), nix::libc::F_DUPFD_CLOEXEC, above.max(3))
        };
        if *slot == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    for (slot, (target, _)) in moved.iter().zip(descriptors) {
        // SAFETY: both are numbers; the target is meant to be replaced.
        if unsafe { nix::libc::dup2(*slot, *target) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    if SLOTS < descriptors.len() {
        Err(io::ErrorKind::InvalidInput.into())
    } else {
        Ok(())
    }
}

/// Collects one child that ended, without waiting; `None` when none has.
pub fn collect() -> Option<(u32, Ended)> {
    match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => Some((pid.as_raw() as u32, Ended::Code(code))),
        Ok(WaitStatus::Signaled(pid, signal, _)) => {
            Some((pid.as_raw() as u32, Ended::Signal(signal as i32)))
        }
        _ => None,
    }
}

/// Waits for a child to end.
pub fn wait(mut child: Child) -> io::Result<Ended> {
    use std::os::unix::process::ExitStatusExt;
    let status = child.wait()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    })
}
