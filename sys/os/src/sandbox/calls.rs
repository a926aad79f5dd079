//! System calls a sandboxed process cannot make.
//!
//! What is refused fails with EPERM, so that a library can go another way; a
//! call of another architecture ends the process.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{Network, Programs};

/// Calls no program of ours has a use for. The rings of io_uring open files
/// and sockets without the calls that are looked at here.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses them to the calling thread and all it starts.
pub fn refuse(programs: Programs, network: Network) -> Result<(), seccompiler::Error> {
    let mut rules: Rules = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    if programs == Programs::Refused {
        for call in [libc::SYS_execve, libc::SYS_execveat] {
            rules.insert(call, Vec::new());
        }
    }
    rules.insert(libc::SYS_socket, vec![sockets_but(families(network))?]);
    rules.insert(libc::SYS_clone, new_namespaces()?);
    apply(rules, libc::EPERM)?;
    // Its flags are in memory, where no filter sees them. Without the call
    // libraries use `clone`.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    apply(clone3, libc::ENOSYS)?;
    other_numbers::refuse()
}

fn apply(rules: Rules, errno: libc::c_int) -> Result<(), seccompiler::Error> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}

fn families(network: Network) -> &'static [libc::c_int] {
    match network {
        Network::UnixOnly => &[libc::AF_UNIX],
        // The resolver of the C library asks netlink for our addresses.
        Network::Internet => &[
            libc::AF_UNIX,
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
        ],
    }
}

/// Matches `socket` calls for every family but these.
fn sockets_but(families: &[libc::c_int]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions: Result<_, _> = families
        .iter()
        .map(|family| condition(SeccompCmpOp::Ne, *family))
        .collect();
    SeccompRule::new(conditions?)
}

/// Matches `clone` calls that make a namespace of any kind.
fn new_namespaces() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    NAMESPACES
        .iter()
        .map(|&flag| {
            let mask = u64::from(flag.unsigned_abs());
            SeccompRule::new(vec![condition(SeccompCmpOp::MaskedEq(mask), flag)?])
        })
        .collect()
}

/// About the first argument of a call.
fn condition(
    operator: SeccompCmpOp,
    value: libc::c_int,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    let value = u64::from(value.unsigned_abs());
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value)
}

/// x86-64 kernels may know a second set of numbers for the same calls (x32),
/// which a list of numbers would let through.
#[cfg(target_arch = "x86_64")]
mod other_numbers {
    use nix::libc;
    use seccompiler::sock_filter;

    /// First of the second set: `__X32_SYSCALL_BIT`.
    const FIRST: u32 = 0x4000_0000;

    pub fn refuse() -> Result<(), seccompiler::Error> {
        let step = |code: u32, jt, jf, k| sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        // The number is the first word the filter sees.
        let program = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, FIRST),
            step(
                libc::BPF_RET | libc::BPF_K,
                0,
                0,
                libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs(),
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        seccompiler::apply_filter(&program)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod other_numbers {
    pub fn refuse() -> Result<(), seccompiler::Error> {
        Ok(())
    }
}
