//! Whether the services of an installation do their work.
//!
//! A port that is bound is not yet served, and a process that runs is not yet
//! listening: a service counts when it greets, or takes a connection on its
//! socket.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use run::Home;

use crate::services::{SERVICES, Service, Task, Tls};
use crate::site::Site;
use crate::status;

/// How long one look at one service may take.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The services that do not do their work yet.
pub fn pending(site: &Site) -> Vec<&'static Service> {
    let up: Vec<String> = status::services(&site.home.service())
        .unwrap_or_default()
        .into_iter()
        .filter(|service| service.up)
        .map(|service| service.name)
        .collect();
    SERVICES
        .iter()
        .filter(|service| {
            let works = match service.task {
                Task::Listen(_, port, tls, _) => greets(site.port(port), tls),
                Task::Serve(_, socket) => takes_connections(&site.home, socket),
                Task::Queue => true,
            };
            !(works && up.iter().any(|name| name == service.name))
        })
        .collect()
}

/// Says whether a port is served: the server speaks first, but for TLS.
fn greets(port: u16, tls: Tls) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, LOOK_MAX) else {
        return false;
    };
    tls == Tls::Implicit
        || (stream.set_read_timeout(Some(LOOK_MAX)).is_ok()
            && stream.read(&mut [0]).is_ok_and(|bytes| 0 < bytes))
}

fn takes_connections(home: &Home, socket: &str) -> bool {
    let path = home.socket(socket);
    match UnixStream::connect(&path) {
        Ok(_) => true,
        // The trace collector takes datagrams.
        Err(error) => {
            error.raw_os_error() == Some(nix::errno::Errno::EPROTOTYPE as i32) && path.exists()
        }
    }
}
