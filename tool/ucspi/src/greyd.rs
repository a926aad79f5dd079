//! qmail-greyd: a greylisting server (smtp-receiving.md §2.13).
//!
//! Answers UDP datagrams of SMTP servers from a table in memory, which is
//! written to CONTEXTFILE now and then and at the end. What it decides is in
//! `policy::greylist`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use os::account::Account;
use os::signal::{Interest, Signal, Signals};
use policy::greylist::{self, Limits, Outcome, Request, Table, Whitelist};
use run::{Exit, Home, PERMANENT, TEMPORARY};

use crate::letters::{self, Letters};

const USAGE: &str = "usage: qmail-greyd [OPTION...] IPADDR CONTEXTFILE

Answers the greylisting questions of SMTP servers (see GREYIP) on UDP. IPADDR
may be * or :: for any address, and may end in :PORT. CONTEXTFILE keeps what is
known; a relative path starts in the control directory.

  -v N     0 to 3: how much is said
  -t DAYS  lifetime of known entries, default 7
  -g HOURS  until when a client must come again, default 12
  -m MIN   how soon it may, default 5
  -f MIN, -s MIN  how often old entries are removed and the file is written,
           default 5
  -p PORT  default 1999
  -w FILE  clients that never wait: addresses, networks, patterns
  -u USER  whom to become
  -h N     accepted; the table grows as it must

HUP reads the whitelist again, USR1 writes the file, USR2 removes old entries,
TERM writes the file and ends.
Exit codes: 0 after TERM, 100 wrong use, 111 trouble.";
/// Where greylisting servers listen.
const PORT: u16 = 1999;
/// Datagrams answered before signals are looked at.
const BATCH: usize = 1000;
const FILE_MODE: u32 = 0o600;

struct Options {
    verbosity: u64,
    limits: Limits,
    purge_every: Duration,
    save_every: Duration,
    whitelist: Option<PathBuf>,
    user: Option<String>,
    address: SocketAddr,
    context: PathBuf,
}

/// Serves until SIGTERM; `name` is one of those it has had.
pub fn run(name: &str, words: &[String]) -> Result<(), Exit> {
    let usage = USAGE.replacen("qmail-greyd", name, 1);
    if run::usage::help(&usage, words) {
        return Ok(());
    }
    run::usage::no_options(name, words)?;
    let options = parse(words)?;
    let cannot = |what: String| {
        move |error: io::Error| Exit::new(TEMPORARY, format!("cannot {what}: {error}"))
    };
    let wanted = [
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ];
    let mut signals = Signals::collect(&wanted).map_err(cannot("collect signals".into()))?;
    let socket = UdpSocket::bind(options.address)
        .map_err(cannot(format!("listen on {}", options.address)))?;
    socket
        .set_nonblocking(true)
        .map_err(cannot("listen".into()))?;
    if let Some(user) = &options.user {
        let account =
            Account::by_name(user).map_err(|error| Exit::new(PERMANENT, error.to_string()))?;
        let become_user = account.identity.assume();
        become_user.map_err(|error| Exit::new(TEMPORARY, error.to_string()))?;
    }
    let mut server = Server {
        table: read(&options)?,
        whitelist: whitelist(&options)?,
        options: &options,
    };
    server.say(1, &format!("listening on {}", options.address));
    let (mut purged, mut saved) = (Instant::now(), Instant::now());
    loop {
        let next = (options.purge_every.saturating_sub(purged.elapsed()))
            .min(options.save_every.saturating_sub(saved.elapsed()));
        let waits = [
            (signals.as_fd(), Interest::Read),
            (socket.as_fd(), Interest::Read),
        ];
        os::signal::poll(&waits, Some(next)).map_err(cannot("wait".into()))?;
        while let Some(signal) = signals.take() {
            match signal {
                // The old one holds while the new one cannot be read.
                Signal::SIGHUP => match whitelist(&options) {
                    Ok(whitelist) => server.whitelist = whitelist,
                    Err(exit) => server.say(0, &exit.text),
                },
                Signal::SIGUSR1 => server.save(),
                Signal::SIGUSR2 => server.purge(),
                _ => {
                    server.save();
                    return Ok(());
                }
            }
        }
        server.answer(&socket);
        if options.purge_every <= purged.elapsed() {
            server.purge();
            purged = Instant::now();
        }
        if options.save_every <= saved.elapsed() {
            server.save();
            saved = Instant::now();
        }
    }
}

struct Server<'a> {
    options: &'a Options,
    table: Table,
    whitelist: Whitelist,
}

impl Server<'_> {
    fn answer(&mut self, socket: &UdpSocket) {
        let mut datagram = [0; 64 * 1024];
        for _ in 0..BATCH {
            let (length, peer) = match socket.recv_from(&mut datagram) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An answer nobody waited for comes back as an error.
                Err(_) => continue,
            };
            let outcome = match Request::parse(&datagram[..length]) {
                Ok(request) if self.whitelist.has(request.ip) => Outcome::Whitelisted,
                Ok(request) => self.table.decide(&request, now()),
                Err(_) => Outcome::Internal,
            };
            self.say(2, &format!("{peer}: {outcome:?}"));
            let _ = socket.send_to(&outcome.bytes(), peer);
        }
    }

    fn purge(&mut self) {
        let count = self.table.purge(now());
        self.say(1, &format!("removed {count} old entries"));
    }

    /// All or nothing: a reader, or we after a crash, find one whole file.
    fn save(&self) {
        let content = greylist::print_context(self.table.entries());
        let path = &self.options.context;
        match os::file::replace(path, &content, FILE_MODE) {
            Ok(()) => self.say(1, &format!("wrote {}", path.display())),
            Err(error) => self.say(0, &format!("cannot write {}: {error}", path.display())),
        }
    }

    fn say(&self, level: u64, text: &str) {
        if level <= self.options.verbosity {
            eprintln!("qmail-greyd: {text}");
        }
    }
}

fn read(options: &Options) -> Result<Table, Exit> {
    let path = &options.context;
    let cannot = |why: String| {
        let text = format!("cannot read {}: {why}", path.display());
        Exit::new(TEMPORARY, text)
    };
    let mut table = Table::new(options.limits);
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(table),
        Err(error) => return Err(cannot(error.to_string())),
    };
    let entries = greylist::parse_context(&content).map_err(|error| cannot(error.to_string()))?;
    for (key, time, state) in entries {
        table.restore(key, time, state);
    }
    Ok(table)
}

fn whitelist(options: &Options) -> Result<Whitelist, Exit> {
    let Some(path) = &options.whitelist else {
        return Ok(Whitelist::default());
    };
    let content = std::fs::read(path).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        Exit::new(TEMPORARY, text)
    })?;
    let lines: Vec<Vec<u8>> = text::control::list(&content).map(<[u8]>::to_vec).collect();
    Ok(Whitelist::new(&lines))
}

fn now() -> u64 {
    os::clock::unix_seconds().unsigned_abs()
}

fn parse(words: &[String]) -> Result<Options, Exit> {
    const MINUTE: u64 = 60;
    let mut letters = Letters::new(words);
    let (mut verbosity, mut port) = (0, PORT);
    let mut limits = Limits::default();
    let mut purge_every = Duration::from_secs(5 * MINUTE);
    let mut save_every = Duration::from_secs(5 * MINUTE);
    let (mut whitelist, mut user) = (None, None);
    let home = Home::find();
    let minutes = |number: u64| Duration::from_secs(number.clamp(1, 100_000) * MINUTE);
    while let Some(letter) = letters.next() {
        match letter {
            'v' => verbosity = letters.number('v')?,
            'h' => drop(letters.number('h')?),
            't' => limits.lifetime = letters.number('t')?.saturating_mul(24 * 60 * MINUTE),
            'g' => limits.window = letters.number('g')?.saturating_mul(60 * MINUTE),
            'm' => limits.delay_min = letters.number('m')?.saturating_mul(MINUTE),
            'f' => purge_every = minutes(letters.number('f')?),
            's' => save_every = minutes(letters.number('s')?),
            'p' => {
                let number = u16::try_from(letters.number('p')?);
                port = number.map_err(|_| Exit::new(PERMANENT, "-p needs a port"))?;
            }
            'w' => whitelist = Some(home.control().join(letters.value('w')?)),
            'u' => user = Some(letters.value('u')?.to_owned()),
            other => return Err(letters::unknown("qmail-greyd", other)),
        }
    }
    let [address, context] = letters.others() else {
        return Err(run::usage::misused(USAGE));
    };
    Ok(Options {
        verbosity,
        limits,
        purge_every,
        save_every,
        whitelist,
        user,
        address: place(address, port)
            .ok_or_else(|| Exit::new(PERMANENT, format!("{address} is no address to listen on")))?,
        context: home.control().join(context),
    })
}

/// `IP`, `*`, `::`, or the older `IP:PORT`.
fn place(text: &str, port: u16) -> Option<SocketAddr> {
    match text {
        "*" => return Some((Ipv4Addr::UNSPECIFIED, port).into()),
        "::" => return Some((Ipv6Addr::UNSPECIFIED, port).into()),
        _ => {}
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, port).into());
    }
    let (ip, port) = text.rsplit_once(':')?;
    place(ip, port.parse().ok()?)
}
