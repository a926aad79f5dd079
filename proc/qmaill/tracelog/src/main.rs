//! tracelog: collects the trace events of all processes.
//!
//! Receives datagrams on `run/trace` and prints one line of JSON for each on
//! descriptor 1, which is a pipe into its multilog. Started as root it opens
//! the socket and becomes `qmaill` (`--user NAME` for another), and only then
//! receives. Everybody may send, the kernel says who did: only users of the
//! mail system count, in a single-user installation only our own. Touches no
//! file, no network, no programs.
//!
//! What is no event, is too long or comes from a stranger is dropped and
//! counted. TERM: exit 0.

mod accept;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;

use os::account::Account;
use os::signal::{Interest, Signal, Signals};
use run::{Exit, Home};
use wire::trace::EVENT_BYTES_MAX;

use accept::{Senders, append_lines};

const PROGRAM: &str = "tracelog";
/// Everybody may send.
const SOCKET_MODE: u32 = 0o666;
/// Datagrams taken before their lines are written.
const DATAGRAMS_PER_WRITE: usize = 16;
/// Dropped datagrams between two complaints.
const DROPS_BETWEEN_WARNINGS: u64 = 1000;
const HELP: &str = "usage: tracelog [--user NAME]\n\nPrints the trace events that arrive on run/trace, one line each.\nExit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.\n";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let user = match &arguments[..] {
            [] => "qmaill",
            [flag, name] if flag == "--user" => name,
            [help] if help == "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            _ => {
                run::usage::no_options(PROGRAM, &arguments)?;
                return Err(run::usage::misused(HELP));
            }
        };
        let fatal = |text: String| Exit::new(run::TEMPORARY, text);
        let mut signals = Signals::collect(&[Signal::SIGTERM, Signal::SIGINT])
            .map_err(|error| fatal(format!("unable to collect signals: {error}")))?;
        let path = Home::find().socket("trace");
        let socket = os::socket::listen_datagrams(&path, SOCKET_MODE).map_err(|error| {
            fatal(format!(
                "unable to open {}; is its directory there?: {error}",
                path.display()
            ))
        })?;
        let senders = Senders::find();
        if os::account::is_root() {
            let account = Account::by_name(user).map_err(|error| fatal(error.to_string()))?;
            account
                .identity
                .assume()
                .map_err(|error| fatal(error.to_string()))?;
        }
        run::sandboxes::close(run::sandboxes::tracelog(), PROGRAM);
        collect(&socket, &senders, &mut signals).map_err(|error| fatal(error.to_string()))
    })
}

fn collect(socket: &UnixDatagram, senders: &Senders, signals: &mut Signals) -> std::io::Result<()> {
    // One byte more than an event has, to see what is too long.
    let mut buffer = vec![0; EVENT_BYTES_MAX + 1];
    let mut dropped: u64 = 0;
    let mut lines = String::new();
    socket.set_nonblocking(true)?;
    let mut output = std::io::stdout().lock();
    loop {
        let waits = [
            (signals.as_fd(), Interest::Read),
            (socket.as_fd(), Interest::Read),
        ];
        let ready = os::signal::poll(&waits, None)?;
        if signals.take().is_some() {
            return Ok(());
        }
        if !ready[1] {
            continue;
        }
        lines.clear();
        for _ in 0..DATAGRAMS_PER_WRITE {
            let (length, uid) = match os::socket::receive_from_user(socket, &mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                received => received?,
            };
            if senders.include(uid) && append_lines(&mut lines, &buffer[..length]) {
                continue;
            }
            if dropped.is_multiple_of(DROPS_BETWEEN_WARNINGS) {
                run::warn(
                    PROGRAM,
                    &format!("dropped a datagram of uid {uid} ({dropped} before)"),
                );
            }
            dropped += 1;
        }
        output
            .write_all(lines.as_bytes())
            .and_then(|()| output.flush())?;
    }
}
