//! Each test closes a sandbox around a thread of its own and tries to get
//! out of it. Where the kernel has no Landlock what only Landlock refuses is
//! not asserted; the output says so.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::libc;

use super::{Sandbox, landlock_version};

/// First versions of Landlock that know files and TCP.
const KNOWS_FILES: u32 = 1;
const KNOWS_TCP: u32 = 4;

fn inside<T: Send>(sandbox: Sandbox, attempt: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let enforced = sandbox.enter();
            assert!(enforced.calls);
            assert_eq!(enforced.files, KNOWS_FILES <= landlock_version());
            attempt()
        });
        thread.join().unwrap()
    })
}

fn landlock(version: u32) -> bool {
    let found = landlock_version();
    eprintln!("this kernel enforces Landlock {found}; {version} is needed here");
    version <= found
}

/// The error of a raw system call.
fn call(number: i64, arguments: [i64; 3]) -> Option<i32> {
    let [a, b, c] = arguments;
    // SAFETY: the tests pass numbers and null pointers only.
    let result = unsafe { libc::syscall(number, a, b, c) };
    (result == -1).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

#[test]
fn nothing_can_be_opened_that_was_not_named() {
    if !landlock(KNOWS_FILES) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x");
    std::fs::write(&file, "x").unwrap();
    inside(Sandbox::default(), || {
        assert!(std::fs::read(&file).is_err());
        assert!(std::fs::read("/etc/passwd").is_err());
        assert!(std::fs::write(directory.path().join("y"), "y").is_err());
        assert!(std::fs::remove_file(&file).is_err());
    });
    inside(Sandbox::default().read(directory.path()), || {
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        assert!(std::fs::write(&file, "y").is_err());
        assert!(std::fs::rename(&file, directory.path().join("z")).is_err());
    });
    inside(Sandbox::default().write(directory.path()), || {
        std::fs::write(&file, "y").unwrap();
        assert!(std::fs::hard_link("/etc/passwd", directory.path().join("p")).is_err());
    });
}

#[test]
fn no_program_can_be_started() {
    inside(Sandbox::default().read("/"), || {
        assert!(std::process::Command::new("/bin/true").status().is_err());
        assert_eq!(call(libc::SYS_execve, [0; 3]), Some(libc::EPERM));
        assert_eq!(call(libc::SYS_execveat, [0; 3]), Some(libc::EPERM));
    });
    inside(Sandbox::default().read("/").programs(), || {
        let status = std::process::Command::new("/bin/true").status();
        assert!(status.unwrap().success());
    });
}

#[test]
fn one_port_can_be_connected_to_and_no_other() {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, other] = listeners.each_ref().map(|l| l.local_addr().unwrap());
    inside(Sandbox::default().connect(allowed.port()), || {
        std::net::TcpStream::connect(allowed).unwrap();
        // Landlock rules ports from its fourth version on.
        if 4 <= super::landlock_version() {
            assert!(std::net::TcpStream::connect(other).is_err());
            assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
        }
    });
}

#[test]
fn only_unix_sockets_can_be_made() {
    inside(Sandbox::default(), || {
        for family in [
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
            libc::AF_PACKET,
            libc::AF_VSOCK,
            libc::AF_ALG,
        ] {
            let made = call(
                libc::SYS_socket,
                [family.into(), libc::SOCK_DGRAM.into(), 0],
            );
            assert_eq!(made, Some(libc::EPERM), "family {family}");
        }
        std::os::unix::net::UnixDatagram::unbound().unwrap();
    });
    inside(Sandbox::default().internet(), || {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let vsock = call(
            libc::SYS_socket,
            [libc::AF_VSOCK.into(), libc::SOCK_STREAM.into(), 0],
        );
        assert_eq!(vsock, Some(libc::EPERM));
    });
}

#[test]
fn rings_do_what_the_filter_does_not_see_and_are_refused() {
    inside(Sandbox::default(), || {
        for number in [
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ] {
            assert_eq!(call(number, [0; 3]), Some(libc::EPERM), "{number}");
        }
    });
}

#[test]
fn an_accepted_connection_cannot_be_turned_elsewhere() {
    if !landlock(KNOWS_TCP) {
        return;
    }
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let connected = inside(Sandbox::default(), || {
        dissolve(&accepted);
        connect(&accepted, port)
    });
    assert_eq!(connected, Err(libc::EACCES));
    // Without a sandbox it works, so the test tries what can be done.
    dissolve(&accepted);
    assert_eq!(connect(&accepted, port), Ok(()));
}

fn dissolve(socket: &TcpStream) {
    // SAFETY: all-zero bytes are a valid address of no family.
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the address lives as long as the call and has this length.
    unsafe { libc::connect(socket.as_raw_fd(), &nowhere, size_of_val(&nowhere) as u32) };
}

fn connect(socket: &TcpStream, port: u16) -> Result<(), i32> {
    let address = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, port);
    nix::sys::socket::connect(socket.as_raw_fd(), &address).map_err(|error| error as i32)
}

#[test]
fn other_processes_cannot_be_touched() {
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let pid = i64::from(child.id());
    inside(Sandbox::default(), || {
        const ATTACH: i64 = 16;
        assert_eq!(call(libc::SYS_ptrace, [ATTACH, pid, 0]), Some(libc::EPERM));
        assert_eq!(
            call(libc::SYS_process_vm_readv, [pid, 0, 0]),
            Some(libc::EPERM)
        );
        assert_eq!(call(libc::SYS_pidfd_getfd, [pid, 0, 0]), Some(libc::EPERM));
    });
    if landlock(6) {
        let killed = inside(Sandbox::default(), || {
            call(libc::SYS_kill, [pid, libc::SIGKILL.into(), 0])
        });
        assert_eq!(killed, Some(libc::EPERM));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn no_namespace_can_be_made() {
    inside(Sandbox::default(), || {
        let user = i64::from(libc::CLONE_NEWUSER);
        assert_eq!(call(libc::SYS_unshare, [user, 0, 0]), Some(libc::EPERM));
        let flags = user | i64::from(libc::SIGCHLD);
        assert_eq!(call(libc::SYS_clone, [flags, 0, 0]), Some(libc::EPERM));
        assert_eq!(call(libc::SYS_clone3, [0; 3]), Some(libc::ENOSYS));
        // Threads go on working.
        std::thread::spawn(|| ()).join().unwrap();
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_under_other_numbers_are_refused() {
    // x32 execve and getpid.
    for number in [0x4000_0000 + 520, 0x4000_0000 + 39] {
        let error = inside(Sandbox::default(), || call(number, [0; 3]));
        assert_eq!(error, Some(libc::EPERM));
    }
}

#[test]
fn a_process_in_a_sandbox_leaves_no_core() {
    inside(Sandbox::default(), || {
        assert_eq!(nix::sys::prctl::get_dumpable().ok(), Some(false));
    });
}
