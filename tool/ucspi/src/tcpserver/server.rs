//! The parent: accepts, counts, waits for children.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use os::account::{Account, Identity};
use os::child::{Ended, Setup};
use os::signal::{Interest, Signal, Signals};
use run::{Exit, Home, PERMANENT, Settings, TEMPORARY};

use super::options::{Limit, Options, Rights};
use crate::names;

/// First word of the program for one connection.
pub const CONNECTION: &str = "--connection";
/// How long is waited when no process can be made.
const BREATH: Duration = Duration::from_millis(200);

/// Serves until SIGTERM.
pub fn run(options: &Options<'_>, words: &[String]) -> Result<(), Exit> {
    let temporary = |what: &str, error: &dyn std::fmt::Display| {
        Exit::new(TEMPORARY, format!("{what}: {error}"))
    };
    let port = names::port(options.port)?;
    let listener = bind(options, port)
        .map_err(|error| temporary(&format!("cannot bind port {}", options.port), &error))?;
    become_user(&options.rights)?;
    let wanted = [
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGCHLD,
        Signal::SIGUSR1,
    ];
    let mut signals =
        Signals::collect(&wanted).map_err(|error| temporary("cannot collect signals", &error))?;
    if options.prints_port {
        let bound = listener.local_addr().map_or(port, |bound| bound.port());
        println!("{bound}");
    }
    let mut server = Server {
        options,
        words,
        limit: limit(&options.limit)?,
        children: HashMap::new(),
    };
    server.tell("startup");
    loop {
        let waits = [
            (signals.as_fd(), Interest::Read),
            (listener.as_fd(), Interest::Read),
        ];
        // Who comes while the house is full waits in the backlog.
        let is_full = server.limit <= server.children.len();
        let waits = if is_full { &waits[..1] } else { &waits[..] };
        os::signal::poll(waits, None).map_err(|error| temporary("cannot wait", &error))?;
        while let Some(signal) = signals.take() {
            match signal {
                Signal::SIGTERM => {
                    server.tell("shutdown");
                    return Ok(());
                }
                Signal::SIGHUP => server.read_limit(),
                Signal::SIGUSR1 => server.list(),
                _ => {}
            }
        }
        server.collect();
        if server.children.len() < server.limit {
            match listener.accept() {
                Ok((stream, peer)) => server.receive(stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    options.warn(&format!("cannot accept: {error}"));
                    std::thread::sleep(BREATH);
                }
            }
        }
    }
}

struct Server<'a> {
    options: &'a Options<'a>,
    words: &'a [String],
    limit: usize,
    children: HashMap<u32, IpAddr>,
}

impl Server<'_> {
    fn receive(&mut self, stream: TcpStream, peer: SocketAddr) {
        let ip = peer.ip().to_canonical();
        let count = self.children.values().filter(|of| **of == ip).count();
        if self.options.per_host != 0 && self.options.per_host <= count {
            self.options.status(&format!("end {ip} perIPlimit {count}"));
            return;
        }
        match self.start(stream, count) {
            Ok(pid) => {
                self.children.insert(pid, ip);
                self.tell("un-encrypted session");
                self.options.status(&format!("pid {pid} from {ip}"));
            }
            Err(error) => {
                // The connection is closed; others may fare better.
                self.options
                    .warn(&format!("dropping connection, unable to fork: {error}"));
                std::thread::sleep(BREATH);
            }
        }
    }

    fn start(&self, stream: TcpStream, count: usize) -> io::Result<u32> {
        stream.set_nonblocking(false)?;
        let stream = OwnedFd::from(stream);
        let other = stream.try_clone()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("tcpserver")
            .arg(CONNECTION)
            .arg(count.to_string())
            .args(self.words);
        let setup = Setup {
            descriptors: vec![(0, stream), (1, other)],
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        command.spawn().map(|child| child.id())
    }

    fn collect(&mut self) {
        while let Some((pid, ended)) = os::child::collect() {
            if self.children.remove(&pid).is_none() {
                continue;
            }
            match ended {
                Ended::Code(0) => {}
                Ended::Code(code) => self.options.status(&format!("end {pid} status {code}")),
                Ended::Signal(signal) => self
                    .options
                    .status(&format!("end {pid} killed by signal {signal}")),
            }
            self.tell("sigchild");
        }
    }

    fn read_limit(&mut self) {
        match limit(&self.options.limit) {
            Ok(limit) => self.limit = limit,
            Err(error) => self.options.warn(&error.text),
        }
        let count = self.children.len();
        self.options
            .status(&format!("sighup: {count}/{}", self.limit));
    }

    fn list(&self) {
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort();
        for (slot, (pid, ip)) in children.into_iter().enumerate() {
            self.options.status(&format!("{slot}: {ip}: {pid}"));
        }
    }

    fn tell(&self, what: &str) {
        let (count, pid) = (self.children.len(), std::process::id());
        self.options
            .status(&format!("status: {count}/{} {what}, pid={pid}", self.limit));
    }
}

/// Binds the first address that can be had. Any address means IPv6 with IPv4
/// in it, where there is IPv6.
fn bind(options: &Options<'_>, port: u16) -> io::Result<TcpListener> {
    let any = matches!(options.host, "" | "0");
    let addresses: Vec<SocketAddr> = match any {
        true => vec![
            (Ipv6Addr::UNSPECIFIED, port).into(),
            (Ipv4Addr::UNSPECIFIED, port).into(),
        ],
        false => names::addresses(options.host, port).map_err(|e| io::Error::other(e.text))?,
    };
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match os::socket::listen_tcp(address, options.backlog) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn limit(limit: &Limit) -> Result<usize, Exit> {
    /// When the file says nothing.
    const DEFAULT: usize = 40;
    let name = match limit {
        Limit::Number(number) => return Ok(*number),
        Limit::File(name) => name,
    };
    let settings = Settings::of_files(&Home::find());
    let content = settings
        .file(name)
        .map_err(|error| Exit::new(TEMPORARY, run::chain(&error)))?;
    let number = content.as_deref().and_then(text::control::integer);
    Ok(number.map_or(DEFAULT, |number| usize::try_from(number).unwrap_or(0)))
}

/// Gives up the rights of root.
fn become_user(rights: &Rights) -> Result<(), Exit> {
    let wrong = |text: String| Exit::new(PERMANENT, text);
    let of_environment = |name: &str| -> Result<Option<String>, Exit> {
        match rights.of_environment {
            true => std::env::var(name)
                .map(Some)
                .map_err(|_| wrong(format!("-U needs ${name}"))),
            false => Ok(None),
        }
    };
    let user = of_environment("UID")?.or_else(|| rights.user.clone());
    let groups = match of_environment("GID")? {
        Some(group) => vec![group],
        None => rights.groups.clone(),
    };
    if user.is_none() && groups.is_empty() {
        return Ok(());
    }
    let mut identity = Identity::of_this_process();
    if let Some(user) = &user {
        identity.uid = match user.parse() {
            Ok(number) => number,
            Err(_) => {
                let account = Account::by_name(user).map_err(|error| wrong(error.to_string()))?;
                identity.gid = account.identity.gid;
                account.identity.uid
            }
        };
    }
    let number = |group: &String| match group.parse() {
        Ok(number) => Ok(number),
        Err(_) => os::account::group(group).map_err(|error| wrong(error.to_string())),
    };
    let numbers: Vec<u32> = groups.iter().map(number).collect::<Result<_, _>>()?;
    if let Some(&first) = numbers.first() {
        identity.gid = first;
    }
    identity
        .assume_with_groups(&numbers)
        .map_err(|error| Exit::new(TEMPORARY, error.to_string()))
}
