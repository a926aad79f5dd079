//! Unix sockets: who is on the other side, and descriptors beside bytes.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt,
};

use crate::beneath::Directory;

/// The process on the other side of a connected Unix socket, as the kernel
/// saw it when it connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Process id.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Asks the kernel who connected.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&socket.as_fd(), sockopt::PeerCredentials)?;
    Ok(Peer {
        pid: credentials.pid() as u32,
        uid: credentials.uid(),
        gid: credentials.gid(),
    })
}

/// The internet address on the other side of an inherited descriptor, when
/// it is a connected internet socket.
pub fn peer_ip(number: std::os::fd::RawFd) -> Option<std::net::IpAddr> {
    use nix::sys::socket::{SockaddrStorage, getpeername};
    let address = getpeername::<SockaddrStorage>(number).ok()?;
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

/// Listens on a path with exactly this mode; a stale socket is replaced.
pub fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    bound(path, mode, |path| UnixListener::bind(path))
}

/// Receives datagrams on a path with exactly this mode.
pub fn listen_datagrams(path: &Path, mode: u32) -> io::Result<UnixDatagram> {
    let socket = bound(path, mode, |path| UnixDatagram::bind(path))?;
    nix::sys::socket::setsockopt(&socket, sockopt::PassCred, &true)?;
    Ok(socket)
}

/// Root does this in directories of the service's user, who may put a link in
/// the socket's place meanwhile.
fn bound<S>(path: &Path, mode: u32, bind: impl FnOnce(&Path) -> io::Result<S>) -> io::Result<S> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    let directory = Directory::open(parent)?;
    match directory.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = bind(path)?;
    let found = directory.entry(name)?;
    if !found.metadata().file_type().is_socket() {
        return Err(io::Error::other("something else took the socket's place"));
    }
    found.set_mode(mode)?;
    Ok(socket)
}

/// Receives one datagram and the user that sent it.
pub fn receive_from_user(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
    let mut pieces = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut pieces,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let uid = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.uid()),
        _ => None,
    });
    Ok((message.bytes, uid.unwrap_or(u32::MAX)))
}

/// Writes bytes with a descriptor beside them; how many bytes went out. The
/// descriptor travels with the first byte.
pub fn send_with_fd(
    socket: impl AsFd,
    bytes: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let raw = fd.map(|fd| [fd.as_raw_fd()]);
    let control: Vec<ControlMessage<'_>> = raw
        .iter()
        .map(|raw| ControlMessage::ScmRights(raw))
        .collect();
    let pieces = [IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &pieces,
        &control,
        flags,
        None,
    )?)
}

/// As [`send_with_fd`], with any number of descriptors up to the 16 that
/// [`receive_with_fds`] takes at once.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&raw)];
    Ok(sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(bytes)],
        if raw.is_empty() { &[] } else { &control },
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?)
}

/// Reads bytes and the descriptors that came beside them; 0 bytes at the end.
pub fn receive_with_fds(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    const FDS_MAX: usize = 16;
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; FDS_MAX]);
    let mut pieces = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut pieces,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel just made these descriptors for us; nobody
            // else owns them.
            fds.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_socket_replaces_a_link_and_leaves_what_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&victim, private).unwrap();
        let path = directory.path().join("socket");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode();
        let _listener = listen(&path, 0o666).unwrap();
        assert_eq!(mode(&path) & 0o7777, 0o666);
        // What takes its place the moment it is bound keeps its mode.
        let swapped = bound(&path, 0o666, |path| {
            std::os::unix::fs::symlink(&victim, path)
        });
        assert!(swapped.is_err());
        let swapped = bound(&path, 0o666, |path| std::fs::hard_link(&victim, path));
        assert!(swapped.is_err());
        assert_eq!(mode(&victim) & 0o7777, 0o600);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
