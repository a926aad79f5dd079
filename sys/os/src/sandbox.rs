//! What a process gives up after start-up: files, programs, the network.
//!
//! Landlock decides which directories can still be opened, seccomp which
//! system calls can still be made. A kernel without one of them enforces the
//! other; [`Sandbox::enter`] says what holds, so that it can be logged. Both
//! close around the calling thread and all it starts later: enter before any
//! other thread runs.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus,
};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// A sandbox about to be entered. It starts with nothing allowed that can be
/// taken away: no files, no programs.
#[derive(Debug, Default)]
pub struct Sandbox {
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    programs: Programs,
    network: Network,
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

    /// Closes the sandbox, irrevocably. What this kernel cannot enforce is
    /// left open and reported.
    pub fn enter(self) -> Enforced {
        let _ = nix::sys::prctl::set_no_new_privs();
        let files = self.enter_landlock().unwrap_or(false);
        let calls = self.enter_seccomp().is_ok();
        Enforced { files, calls }
    }

    fn enter_landlock(&self) -> Result<bool, landlock::RulesetError> {
        let abi = ABI::V3;
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .create()?;
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

    fn enter_seccomp(&self) -> Result<(), seccompiler::Error> {
        let mut refused = vec![
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_kexec_load,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_sethostname,
        ];
        if self.programs == Programs::Refused {
            refused.extend([libc::SYS_execve, libc::SYS_execveat]);
        }
        let mut rules: std::collections::BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
            refused.into_iter().map(|call| (call, Vec::new())).collect();
        if self.network == Network::UnixOnly {
            rules.insert(libc::SYS_socket, internet_sockets()?);
        }
        let arch: TargetArch = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM as u32),
            arch,
        )?;
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter(&program)
    }
}

/// Matches `socket` calls for IPv4, IPv6, raw packets and netlink.
fn internet_sockets() -> Result<Vec<seccompiler::SeccompRule>, seccompiler::BackendError> {
    use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
    [
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_PACKET,
        libc::AF_NETLINK,
    ]
    .into_iter()
    .map(|family| {
        SeccompRule::new(vec![SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            family as u64,
        )?])
    })
    .collect()
}
