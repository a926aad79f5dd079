//! qmail-qmqpc: hands a message to another host's queue (QMQP,
//! smtp-receiving.md §7).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use queue::Envelope;
use run::{Exit, Home, ProgramEnd, Settings};
use settings::Setting;
use settings::front_ends::QMQPSERVERS;
use settings::remote::{TIMEOUTCONNECT, TIMEOUTREMOTE};
use text::netstring;

use super::{
    CODE_LATER, CODE_NETWORK, CODE_REFUSED, CODE_SETTINGS, descriptor, help, no_temporary,
    queue_error, set_death, spool, temporary_file, unreadable,
};

const HELP: &str = "\
usage: qmail-qmqpc [server...] < message 1< envelope

Hands a message to the first server, an IP or IP:PORT, that answers by QMQP;
without arguments those of the control file qmqpservers.
Exit codes: 0 the server has it, 31 it never will, 71 not now, 72 to 74 the
connection fails, others as qmail-queue(8).
";

const PORT: u16 = 628;
const CODE_TIMEOUT: u8 = 72;
const CODE_NO_SERVER: u8 = 73;
const CODE_BROKEN: u8 = 74;
/// Seconds for connecting and for each answer, unless settings say otherwise.
const CONNECT_SECONDS: i64 = 10;
const REMOTE_SECONDS: i64 = 60;
/// Longest answer of a server.
const ANSWER_BYTES_MAX: usize = 4096;
/// Permission bit of the control file that asks for another first server each
/// time.
const STICKY: u32 = 0o1000;

/// The program.
pub fn qmqpc(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(HELP, arguments) {
        return Ok(().into());
    }
    let shown: Vec<_> = arguments
        .iter()
        .map(|word| OsStr::from_bytes(word))
        .collect();
    run::usage::no_options("qmail-qmqpc", &shown)?;
    let home = Home::find();
    let settings = Settings::of_process(&home);
    set_death(&settings)?;
    let servers = servers(&home, &settings, arguments)?;
    let connect = seconds(&settings, &TIMEOUTCONNECT, CONNECT_SECONDS)?;
    let remote = seconds(&settings, &TIMEOUTREMOTE, REMOTE_SECONDS)?;
    // Lengths come before contents, so both are read first.
    let message = spool(descriptor(0, "message")?)?;
    let addresses = addresses()?;
    let mut server = reach(&servers, connect)?;
    let talk = server
        .set_read_timeout(Some(remote))
        .and_then(|()| server.set_write_timeout(Some(remote)))
        .and_then(|()| send(&mut server, message, addresses))
        .and_then(|()| answer(&mut server));
    match talk {
        Ok(answer) => verdict(&answer),
        Err(error) if is_timeout(&error) => {
            Err(Exit::new(CODE_TIMEOUT, "the server does not answer"))
        }
        Err(error) => Err(Exit::new(CODE_BROKEN, format!("connection broke: {error}"))),
    }
}

fn servers(
    home: &Home,
    settings: &Settings,
    arguments: &[Vec<u8>],
) -> Result<Vec<SocketAddr>, Exit> {
    let lines = match arguments {
        [] => settings.list(&QMQPSERVERS).map_err(unreadable)?,
        arguments => Some(arguments.to_vec()),
    };
    let lines = lines.unwrap_or_default();
    let mut servers = lines
        .iter()
        .map(|line| {
            parse(line).ok_or_else(|| {
                let shown = text::log::printable(line, 100);
                Exit::new(CODE_SETTINGS, format!("{shown} is not an IP or IP:PORT"))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let file = std::fs::metadata(home.control().join(QMQPSERVERS.file));
    let rotates = file.is_ok_and(|file| file.permissions().mode() & STICKY != 0);
    if rotates && arguments.is_empty() && !servers.is_empty() {
        let first = os::clock::unix_seconds().unsigned_abs() % servers.len() as u64;
        servers.rotate_left(first as usize);
    }
    Ok(servers)
}

fn parse(line: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let alone = line.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    alone.or_else(|_| line.parse()).ok()
}

fn seconds(settings: &Settings, setting: &Setting, default: i64) -> Result<Duration, Exit> {
    let seconds = match settings.is_set(setting).map_err(unreadable)? {
        true => settings.integer(setting).map_err(unreadable)?,
        false => default,
    };
    Ok(Duration::from_secs(seconds.max(1).unsigned_abs()))
}

/// The envelope as netstrings, in a file.
fn addresses() -> Result<File, Exit> {
    let refused = |error: queue::Error| queue_error(&error);
    let mut envelope = Envelope::new(BufReader::new(descriptor(1, "envelope")?));
    let mut out = io::BufWriter::new(temporary_file()?);
    let mut piece = Vec::new();
    netstring::append(&mut piece, &envelope.sender().map_err(refused)?);
    loop {
        out.write_all(&piece).map_err(no_temporary)?;
        piece.clear();
        match envelope.recipient().map_err(refused)? {
            Some(recipient) => netstring::append(&mut piece, recipient),
            None => break,
        }
    }
    let file = out
        .into_inner()
        .map_err(|error| no_temporary(error.into_error()))?;
    Ok(file)
}

/// The first server that answers.
fn reach(servers: &[SocketAddr], wait_max: Duration) -> Result<TcpStream, Exit> {
    let mut exit = Exit::new(CODE_NO_SERVER, "no server in control/qmqpservers");
    for server in servers {
        match TcpStream::connect_timeout(server, wait_max) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let code = match error.kind() {
                    _ if is_timeout(&error) => CODE_TIMEOUT,
                    ErrorKind::ConnectionRefused => CODE_NO_SERVER,
                    _ => CODE_NETWORK,
                };
                exit = Exit::new(code, format!("cannot connect to {server}: {error}"));
            }
        }
    }
    Err(exit)
}

fn send(server: &mut TcpStream, mut message: File, mut addresses: File) -> io::Result<()> {
    let message_bytes = message.metadata()?.len();
    let head = format!("{message_bytes}:");
    let addresses_bytes = addresses.metadata()?.len();
    let total = head.len() as u64 + message_bytes + 1 + addresses_bytes;
    addresses.rewind()?;
    let mut out = io::BufWriter::new(server);
    write!(out, "{total}:{head}")?;
    io::copy(&mut message, &mut out)?;
    out.write_all(b",")?;
    io::copy(&mut addresses, &mut out)?;
    out.write_all(b",")?;
    out.flush()
}

fn answer(server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    let mut buffer = [0; 512];
    loop {
        match netstring::take(&input, ANSWER_BYTES_MAX) {
            Ok(Some((content, _))) => return Ok(content.to_vec()),
            Ok(None) => {}
            Err(_) => return Err(ErrorKind::InvalidData.into()),
        }
        match server.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => input.extend_from_slice(&buffer[..length]),
        }
    }
}

fn verdict(answer: &[u8]) -> Result<ProgramEnd, Exit> {
    let said = text::log::printable(answer.get(1..).unwrap_or_default(), 500);
    match answer.first() {
        Some(b'K') => Ok(().into()),
        Some(b'D') => Err(Exit::new(CODE_REFUSED, said)),
        Some(b'Z') => Err(Exit::new(CODE_LATER, said)),
        _ => Err(Exit::new(CODE_BROKEN, "the server speaks strangely")),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_an_ip_and_may_have_a_port() {
        let shown = |line: &str| parse(line.as_bytes()).map(|server| server.to_string());
        assert_eq!(shown("192.0.2.1").as_deref(), Some("192.0.2.1:628"));
        assert_eq!(shown("192.0.2.1:99").as_deref(), Some("192.0.2.1:99"));
        assert_eq!(shown("::1").as_deref(), Some("[::1]:628"));
        assert_eq!(shown("[::1]:99").as_deref(), Some("[::1]:99"));
        assert_eq!((shown("mx.example"), shown("")), (None, None));
    }
}
