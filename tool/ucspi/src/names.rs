//! Hosts, ports and what names belong to addresses.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use run::{Exit, Home, PERMANENT, Settings, TEMPORARY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Where services have their numbers.
const SERVICES: &str = "/etc/services";
/// The port of IDENT (RFC 1413).
const IDENT_PORT: u16 = 113;
/// Longest answer of an IDENT server.
const IDENT_BYTES_MAX: usize = 256;
/// Longest line of it.
const IDENT_LINE_BYTES_MAX: u64 = 1000;

/// A port by number or name.
pub fn port(text: &str) -> Result<u16, Exit> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let services = std::fs::read_to_string(SERVICES).unwrap_or_default();
    let found = services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, number) = (words.next()?, words.next()?);
        let number = number.strip_suffix("/tcp")?.parse().ok()?;
        (name == text || words.any(|alias| alias == text)).then_some(number)
    });
    found.ok_or_else(|| Exit::new(PERMANENT, format!("{text} is no port")))
}

/// The addresses of a host.
pub fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Exit> {
    let host = if host == "0" { "127.0.0.1" } else { host };
    let cannot = |why: String| Exit::new(TEMPORARY, format!("cannot find {host}: {why}"));
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| cannot(error.to_string()))?
        .collect();
    match found.is_empty() {
        true => Err(cannot("it has no address".to_owned())),
        false => Ok(found),
    }
}

/// A runtime for a program that asks now and then.
pub fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::new(TEMPORARY, format!("cannot start: {error}")))
}

/// Asks name servers; call it within a runtime.
pub fn resolver() -> Result<dns::Resolver, Exit> {
    dns::Resolver::from_settings(&Settings::of_process(&Home::find()))
        .map_err(|error| Exit::new(TEMPORARY, run::chain(&error)))
}

/// The name of an address; with `confirmed`, only one that leads back.
pub async fn name(ip: IpAddr, confirmed: bool) -> Option<String> {
    let resolver = resolver().ok()?;
    match confirmed {
        true => resolver.confirmed_name(ip).await.ok()?,
        false => resolver.names(ip).await.ok()?.into_iter().next(),
    }
    .map(|name| name.as_str().to_owned())
}

/// Asks the other end who has the connection (IDENT). Anything but a good
/// answer in time is none.
pub async fn ident(local: SocketAddr, remote: SocketAddr, limit: Duration) -> Option<String> {
    let ask = async {
        let socket = match local {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.ok()?;
        socket.bind(SocketAddr::new(local.ip(), 0)).ok()?;
        let port = SocketAddr::new(remote.ip(), IDENT_PORT);
        let mut stream = socket.connect(port).await.ok()?;
        let question = format!("{} , {}\r\n", remote.port(), local.port());
        stream.write_all(question.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let mut reader = stream.take(IDENT_LINE_BYTES_MAX);
        let mut byte = [0; 1];
        while reader.read(&mut byte).await.ok()? == 1 && byte[0] != b'\n' {
            answer.push(byte[0]);
        }
        user(&answer)
    };
    tokio::time::timeout(limit, ask).await.ok().flatten()
}

/// What stands after the third colon, without blanks.
fn user(line: &[u8]) -> Option<String> {
    let line: Vec<u8> = line
        .iter()
        .copied()
        .filter(|b| !matches!(b, b' ' | b'\t' | b'\r'))
        .collect();
    let user = line.splitn(4, |&b| b == b':').nth(3)?;
    let user = &user[..user.len().min(IDENT_BYTES_MAX)];
    Some(String::from_utf8_lossy(user).into_owned()).filter(|user| !user.is_empty())
}

/// For logs: nothing a terminal or an analyser would take for its own.
pub fn clean(text: &str) -> String {
    /// Longest name in a log line.
    const BYTES_MAX: usize = 100;
    let shown = |b: u8| match b {
        b'%' => '?',
        b if b.is_ascii_graphic() => char::from(b),
        _ => '?',
    };
    let mut clean: String = text.bytes().take(BYTES_MAX).map(shown).collect();
    if BYTES_MAX < text.len() {
        clean.push_str("...");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ident_answer_is_what_follows_the_third_colon() {
        let of = |line: &str| user(line.as_bytes());
        assert_eq!(of("1, 2 : USERID : UNIX : joe\r").as_deref(), Some("joe"));
        assert_eq!(of("1,2:USERID:UNIX:a:b").as_deref(), Some("a:b"));
        assert_eq!(of("1, 2 : ERROR : NO-USER"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn names_in_logs_are_cut_and_clean() {
        assert_eq!(clean("a b%c\x1b"), "a?b?c?");
        assert_eq!(clean(&"x".repeat(101)).len(), 103);
    }
}
