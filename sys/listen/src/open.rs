//! From root to a sandboxed user with sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};
use os::account::{Account, AccountError, is_root};

use crate::Options;

/// Connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 1024;

/// Why a daemon cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An address is taken, forbidden or not ours.
    #[error("cannot listen on {address}; is another server running?")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The user cannot be become.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl run::Fatal for OpenError {}

/// Binds what `--listen` names, raises the limit of descriptors and, when
/// started as root, becomes `--user` for good.
pub fn open(program: &'static str, options: &Options) -> Result<Vec<TcpListener>, OpenError> {
    let listeners = bind_all(program, &options.listen)?;
    raise_descriptor_limit();
    if is_root() {
        Account::by_name(&options.user)?.identity.assume()?;
    }
    Ok(listeners)
}

/// A wildcard address of a family this kernel does not have is left out with a
/// warning as long as another one is there: a host that lost IPv6 still takes
/// mail.
pub(crate) fn bind_all(
    program: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, OpenError> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for &address in addresses {
        match bind_one(address) {
            Ok(listener) => listeners.push(listener),
            Err(Errno::EAFNOSUPPORT) if address.ip().is_unspecified() => missing = Some(address),
            Err(errno) => return Err(failed(address, errno)),
        }
    }
    match missing {
        Some(address) if listeners.is_empty() => Err(failed(address, Errno::EAFNOSUPPORT)),
        Some(address) => {
            let text = format!("not listening on {address}: this host has no such network");
            run::warn(program, &text);
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

fn failed(address: SocketAddr, errno: Errno) -> OpenError {
    OpenError::Bind {
        address,
        source: errno.into(),
    }
}

/// An IPv6 socket takes IPv6 only, so that `[::]:25` and `0.0.0.0:25` can be
/// had together whatever the host's default is.
fn bind_one(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd.into())
}

/// Raises the limit of descriptors as far as we may: the usual 1024 is a few
/// hundred sessions.
pub fn raise_descriptor_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), port)
    }

    #[test]
    fn both_families_share_a_port() {
        let four = bind_one(address("0.0.0.0", 0)).unwrap();
        let port = four.local_addr().unwrap().port();
        match bind_one(address("::", port)) {
            Ok(six) => assert_eq!(six.local_addr().unwrap().port(), port),
            // A host without IPv6.
            Err(errno) => assert_eq!(errno, Errno::EAFNOSUPPORT),
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = bind_one(address("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = run::chain(&bind_all("test", &[address]).unwrap_err());
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("in use"), "{error}");
    }
}
