//! tcpclient: connects, then runs a program on the connection
//! (smtp-receiving.md §1.9).

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use os::child::Setup;
use run::{Exit, PERMANENT, TEMPORARY};
use tokio::net::TcpSocket;

use crate::letters::{self, Letters};
use crate::names;
use crate::variables::{self, Ends};

const USAGE: &str = "usage: tcpclient [OPTION...] HOST PORT PROGRAM [ARG...]

Connects to HOST and runs PROGRAM, which reads from descriptor 6 and writes to
7, with the variables TCPREMOTEIP, TCPLOCALPORT and so on.

  -q, -Q, -v   say nothing; errors (default); more
  -T X+Y       try each address for X seconds, then each again for Y more;
               default 2+58
  -i IP, -p PORT  where to connect from
  -d, -D       allow or disable Nagle's algorithm
  -h, -H       find the server's name or not
  -l NAME      our name, instead of looking for it
  -r, -R, -t N  ask who has the connection (IDENT), or not; for N seconds

Exit codes: 100 wrong use, 111 no connection; else PROGRAM's.";
/// Descriptors PROGRAM reads and writes.
const READ: i32 = 6;
const WRITE: i32 = 7;

struct Options {
    quiet: bool,
    verbose: bool,
    timeouts: [Duration; 2],
    local_ip: Option<IpAddr>,
    local_port: u16,
    delays: bool,
    finds_name: bool,
    local_name: Option<String>,
    ident: Option<Duration>,
}

/// Connects and becomes PROGRAM.
pub fn run(words: &[String]) -> Result<(), Exit> {
    if run::usage::help(USAGE, words) {
        return Ok(());
    }
    run::usage::no_options("tcpclient", words)?;
    let (options, host, port, program) = parse(words)?;
    let port = names::port(port)?;
    let addresses = names::addresses(host, port)?;
    let runtime = names::runtime()?;
    let (stream, ends) = runtime.block_on(async {
        let stream = connect(&options, &addresses).await;
        let stream = stream.ok_or_else(|| {
            let text = match options.quiet {
                true => String::new(),
                false => format!("unable to connect to {host} port {port}"),
            };
            Exit::new(TEMPORARY, text)
        })?;
        let broken = |error: std::io::Error| Exit::new(TEMPORARY, error.to_string());
        let local = stream.local_addr().map_err(broken)?;
        let remote = stream.peer_addr().map_err(broken)?;
        let _ = stream.set_nodelay(!options.delays);
        let local_name = match &options.local_name {
            Some(name) => Some(name.clone()),
            None => names::name(local.ip(), false).await,
        };
        let remote_name = match options.finds_name {
            true => names::name(remote.ip(), false).await,
            false => None,
        };
        let info = match options.ident {
            Some(limit) => names::ident(local, remote, limit).await,
            None => None,
        };
        let stream: TcpStream = stream.into_std().map_err(broken)?;
        stream.set_nonblocking(false).map_err(broken)?;
        let ends = Ends {
            local,
            remote,
            local_name,
            remote_name,
            info,
        };
        Ok::<_, Exit>((stream, ends))
    })?;
    drop(runtime);
    if options.verbose {
        eprintln!("tcpclient: connected to {} port {port}", ends.remote.ip());
    }
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]);
    variables::set(&mut command, &ends);
    let stream = OwnedFd::from(stream);
    let other = stream
        .try_clone()
        .map_err(|error| Exit::new(TEMPORARY, error.to_string()))?;
    let setup = Setup {
        descriptors: vec![(READ, stream), (WRITE, other)],
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let error = command.exec();
    let text = format!("unable to run {}: {error}", program[0]);
    Err(Exit::new(TEMPORARY, text))
}

/// Each address shortly, then those that did not answer for longer.
async fn connect(options: &Options, addresses: &[SocketAddr]) -> Option<tokio::net::TcpStream> {
    let mut left = addresses.to_vec();
    for limit in options.timeouts {
        let mut silent = Vec::new();
        for address in left {
            match tokio::time::timeout(limit, connect_to(options, address)).await {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(_)) => {}
                Err(_) => silent.push(address),
            }
        }
        left = silent;
    }
    None
}

async fn connect_to(
    options: &Options,
    address: SocketAddr,
) -> std::io::Result<tokio::net::TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let local = options.local_ip.map(|ip| (ip, options.local_port).into());
    let any = match (address, options.local_port) {
        (_, 0) => None,
        (SocketAddr::V4(_), port) => Some(SocketAddr::from(([0, 0, 0, 0], port))),
        (SocketAddr::V6(_), port) => Some(SocketAddr::from(([0; 16], port))),
    };
    if let Some(local) = local.or(any) {
        socket.bind(local)?;
    }
    socket.connect(address).await
}

type Parsed<'a> = (Options, &'a str, &'a str, &'a [String]);

fn parse(words: &[String]) -> Result<Parsed<'_>, Exit> {
    let mut letters = Letters::new(words);
    let mut options = Options {
        quiet: false,
        verbose: false,
        timeouts: [Duration::from_secs(2), Duration::from_secs(58)],
        local_ip: None,
        local_port: 0,
        delays: true,
        finds_name: true,
        local_name: None,
        ident: None,
    };
    let (mut asks_ident, mut ident_limit) = (true, Duration::from_secs(26));
    let wrong = |text: String| Exit::new(PERMANENT, text);
    while let Some(letter) = letters.next() {
        match letter {
            'q' => (options.quiet, options.verbose) = (true, false),
            'Q' => (options.quiet, options.verbose) = (false, false),
            'v' => (options.quiet, options.verbose) = (false, true),
            'T' => {
                let text = letters.value('T')?;
                let (first, second) = text.split_once('+').unwrap_or((text, "0"));
                let seconds = |text: &str| {
                    let number = text.parse().map(Duration::from_secs);
                    number.map_err(|_| wrong(format!("-T needs X+Y, not {text:?}")))
                };
                options.timeouts = [seconds(first)?, seconds(second)?];
            }
            'i' => {
                let text = letters.value('i')?;
                let ip = text.parse();
                options.local_ip =
                    Some(ip.map_err(|_| wrong(format!("-i needs an address, not {text:?}")))?);
            }
            'p' => options.local_port = names::port(letters.value('p')?)?,
            'd' => options.delays = true,
            'D' => options.delays = false,
            'h' => options.finds_name = true,
            'H' => options.finds_name = false,
            'l' => options.local_name = Some(letters.value('l')?.to_owned()),
            'r' => asks_ident = true,
            'R' => asks_ident = false,
            't' => ident_limit = Duration::from_secs(letters.number('t')?),
            other => return Err(letters::unknown("tcpclient", other)),
        }
    }
    options.ident = asks_ident.then_some(ident_limit);
    match letters.others() {
        [host, port, program @ ..] if !program.is_empty() => Ok((options, host, port, program)),
        _ => Err(run::usage::misused(USAGE)),
    }
}
