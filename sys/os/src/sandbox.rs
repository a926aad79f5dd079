//! What a process gives up after start-up: files, programs, the network.
//!
//! Landlock decides which directories can still be opened, seccomp which
//! system calls can still be made. A kernel without one of them enforces the
//! other; [`Sandbox::enter`] says what holds, so that it can be logged. Both
//! close around the calling thread and all it starts later: enter before any
//! other thread runs.

mod calls;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

/// A sandbox about to be entered. It starts with nothing allowed that can be
/// taken away: no files, no programs.
#[derive(Debug, Default)]
pub struct Sandbox {
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    programs: Programs,
    network: Network,
    ports: Vec<u16>,
}

/// May it start programs?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Programs {
    /// No.
    #[default]
    Refused,
    /// Yes.
    Allowed,
}

/// May it open network sockets?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Network {
    /// Only Unix sockets; those it has stay usable.
    #[default]
    UnixOnly,
    /// Internet sockets too.
    Internet,
}

/// What the kernel enforces after [`Sandbox::enter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enforced {
    /// Landlock restricts files.
    pub files: bool,
    /// seccomp restricts system calls.
    pub calls: bool,
}

impl Sandbox {
    /// Allows reading below a path. A path that does not exist is skipped.
    pub fn read(mut self, path: impl AsRef<Path>) -> Self {
        self.readable.push(path.as_ref().to_owned());
        self
    }

    /// Allows reading and writing below a path.
    pub fn write(mut self, path: impl AsRef<Path>) -> Self {
        self.writable.push(path.as_ref().to_owned());
        self
    }

    /// Allows starting programs (which inherit the rest of the sandbox).
    pub fn programs(mut self) -> Self {
        self.programs = Programs::Allowed;
        self
    }

    /// Allows internet sockets.
    pub fn internet(mut self) -> Self {
        self.network = Network::Internet;
        self
    }

    /// Allows TCP connections to this port, and with it sockets; of all hosts,
    /// because the kernel's rules know no addresses. (Datagrams have no rule
    /// there yet.)
    pub fn connect(mut self, port: u16) -> Self {
        self.network = Network::Internet;
        self.ports.push(port);
        self
    }

    /// Closes the sandbox, irrevocably. What this kernel cannot enforce is
    /// left open and reported. Nobody can trace the process afterwards, and
    /// it leaves no core: what it holds of passwords stays its own.
    pub fn enter(self) -> Enforced {
        let _ = nix::sys::prctl::set_no_new_privs();
        let _ = nix::sys::prctl::set_dumpable(false);
        let files = self.enter_landlock().unwrap_or(false);
        let calls = calls::refuse(self.programs, self.network).is_ok();
        Enforced { files, calls }
    }

    fn enter_landlock(&self) -> Result<bool, landlock::RulesetError> {
        // Older kernels enforce what they know of it.
        let abi = ABI::V6;
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .scope(Scope::AbstractUnixSocket)?;
        if self.programs == Programs::Refused {
            ruleset = ruleset.scope(Scope::Signal)?;
        }
        if self.network == Network::UnixOnly || !self.ports.is_empty() {
            // A connection that was accepted could be dissolved and connected
            // to somewhere else: no new socket is needed for that.
            ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
        }
        let mut ruleset = ruleset.create()?;
        for port in &self.ports {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        let mut read = AccessFs::from_read(abi);
        if self.programs == Programs::Refused {
            read &= !AccessFs::Execute;
        }
        let rules = self.readable.iter().map(|path| (path, read));
        let all = AccessFs::from_all(abi);
        for (path, access) in rules.chain(self.writable.iter().map(|path| (path, all))) {
            let Ok(fd) = PathFd::new(path) else { continue };
            // A rule for a file cannot hold what only directories have.
            let access = if path.is_dir() {
                access
            } else {
                access & AccessFs::from_file(abi)
            };
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
        Ok(ruleset.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }
}

/// The version of Landlock this kernel enforces; 0 when it has none.
pub fn landlock_version() -> u32 {
    const CREATE_RULESET_VERSION: nix::libc::c_uint = 1;
    // SAFETY: without attributes the call only asks for a number.
    let version = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_landlock_create_ruleset,
            std::ptr::null::<nix::libc::c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}
