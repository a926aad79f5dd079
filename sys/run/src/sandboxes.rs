//! What each program may still do once it has started: one function a role,
//! in one place, so that the whole of it can be read and attacked.
//!
//! Sockets of other services need no rule: connecting is decided by the
//! service, which asks the kernel who connects. Three kinds of programs have
//! no sandbox: svscan, supervise and qmail-lspawn, which start others as
//! others; qmail-local, vdelivermail and vdeliverd's companion, which run a
//! user's programs as that user, set-uid ones included.

use std::path::{Path, PathBuf};

use os::sandbox::Sandbox;

use crate::{Home, Settings};

/// What looking up a system user reads (nsswitch.conf(5)).
const USER_DATABASE: [&str; 7] = [
    "/etc/passwd",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// What looking up the address of a host reads beside that.
const HOST_NAMES: [&str; 4] = [
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
];

/// Closes a sandbox and says so when this kernel cannot enforce all of it.
pub fn close(sandbox: Sandbox, program: &str) {
    let enforced = sandbox.enter();
    if !(enforced.files && enforced.calls) {
        crate::warn(
            program,
            &format!("this kernel enforces only part of the sandbox: {enforced:?}"),
        );
    }
}

/// Closes the sandbox of a program that hands messages to the queue, unless a
/// queue program of the site's own choice is named: it may be set-uid, which
/// no sandbox lets it be.
pub fn close_for_queue(sandbox: Sandbox, program: &str, settings: &Settings) {
    let named = settings.variable("QMAILQUEUE");
    match named.is_some_and(|name| !name.is_empty()) {
        true => crate::info(program, "QMAILQUEUE is set: running without a sandbox"),
        false => close(sandbox, program),
    }
}

/// qmail-smtpd: reads what decides who may send what to whom, and the
/// system's users.
pub fn smtpd(home: &Home) -> Sandbox {
    let own = [
        home.control().to_owned(),
        home.etc(),
        home.users(),
        home.alias(),
    ];
    let sandbox = own.iter().fold(Sandbox::default(), Sandbox::read);
    USER_DATABASE.iter().fold(sandbox, Sandbox::read)
}

/// imapd and pop3d: the homes of virtual users.
pub fn mailboxes(home: &Home) -> Sandbox {
    Sandbox::default().write(home.mail())
}

/// Which server on the network a program may talk to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// None.
    Nothing,
    /// This port of an address.
    Address(u16),
    /// This port of a host whose address is looked up each time.
    Name(u16),
}

/// inlookup: writes the user database, and bulletins into mailboxes; when the users
/// are on a server of the network, connects to its port and no other.
pub fn inlookup(home: &Home, reach: &Reach) -> Sandbox {
    const DOMAIN: u16 = 53;
    let database = home.database();
    let sandbox = match *reach {
        Reach::Nothing => Sandbox::default(),
        Reach::Address(port) => Sandbox::default().connect(port),
        Reach::Name(port) => HOST_NAMES
            .iter()
            .chain(&USER_DATABASE)
            .fold(Sandbox::default(), Sandbox::read)
            .connect(port)
            .connect(DOMAIN),
    };
    sandbox
        .read(home.control())
        .read(home.users())
        .read(home.domains())
        .write(home.mail())
        .write(database.parent().unwrap_or(home.root()))
}

/// vdeliverd: writes mail and the user database, reads how to deliver.
/// `further` are directories with homes of users beside the usual one.
pub fn vdeliverd(home: &Home, further: &[PathBuf]) -> Sandbox {
    let sandbox = Sandbox::default()
        .write(home.mail())
        .write(home.domains())
        .write(home.root().join("db"))
        .write(std::env::temp_dir())
        .write("/dev/null")
        .read(home.control())
        .read(home.users());
    further.iter().fold(sandbox, Sandbox::write)
}

/// signer: reads certificates and keys.
pub fn signer(home: &Home) -> Sandbox {
    Sandbox::default().read(home.certs())
}

/// qmail-queued: writes its queues.
pub fn queued(queues: &[PathBuf]) -> Sandbox {
    queues.iter().fold(Sandbox::default(), Sandbox::write)
}

/// qmail-queue and qmail-clean: one queue.
pub fn queue(queue: &Path) -> Sandbox {
    Sandbox::default().write(queue)
}

/// qmail-send and qmail-todo: one queue and the control files.
pub fn send(home: &Home, queue: &Path) -> Sandbox {
    Sandbox::default().read(home.control()).write(queue)
}

/// qmail-rspawn, and qmail-remote until it closes its own: starts
/// programs, which may read what their user may, and write the table of
/// hosts that are down.
pub fn rspawn(queue: &Path) -> Sandbox {
    Sandbox::default()
        .read("/")
        .write(queue.join("lock"))
        .write("/dev/null")
        .internet()
        .programs()
}

/// qmail-remote: the internet, and certificates of hosts it must find there.
pub fn remote(home: &Home) -> Sandbox {
    Sandbox::default()
        .read(home.certs().join("tlshosts"))
        .read(home.control().join("tlshosts"))
        .internet()
}

/// verifier: the internet, and nothing of this machine.
pub fn verifier() -> Sandbox {
    Sandbox::default().internet()
}

/// multilog: its log directories.
pub fn multilog<'a>(directories: impl Iterator<Item = &'a Path>) -> Sandbox {
    directories.fold(Sandbox::default().write("/dev/null"), Sandbox::write)
}

/// tracelog: nothing.
pub fn tracelog() -> Sandbox {
    Sandbox::default()
}
