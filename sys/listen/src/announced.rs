//! What a balancer in front of us says about who connects: the header of the
//! PROXY protocol, versions 1 and 2, before the first byte of the client.
//!
//! Only who is trusted is asked: anybody else could say anything.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long the header may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest header of version 1, its line end included.
const LINE_BYTES_MAX: usize = 107;
/// Longest header of version 2 that is read; what follows the addresses does
/// not matter.
const BINARY_BYTES_MAX: usize = 2048;
/// As many bytes as every header has.
const START_BYTES: usize = 12;
/// With those that say how long the rest is.
const BINARY_START_BYTES: usize = 16;

/// Both ends of the connection to the balancer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced {
    /// The client.
    pub client: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
}

/// Reads the header, and not a byte more; `None` when the balancer speaks for
/// itself, as it does to see whether we are there.
pub async fn announced(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Announced>> {
    match tokio::time::timeout(TIMEOUT, header(stream)).await {
        Ok(header) => parse(&header?),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; START_BYTES];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        header.resize(BINARY_START_BYTES, 0);
        stream.read_exact(&mut header[START_BYTES..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if BINARY_BYTES_MAX < rest {
            return Err(broken());
        }
        header.resize(BINARY_START_BYTES + rest, 0);
        stream.read_exact(&mut header[BINARY_START_BYTES..]).await?;
        return Ok(header);
    }
    while !header.ends_with(b"\r\n") {
        if LINE_BYTES_MAX <= header.len() {
            return Err(broken());
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn parse(header: &[u8]) -> io::Result<Option<Announced>> {
    let between = |client: SocketAddr, local: SocketAddr| {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Ok(Some(Announced {
            client: canonical(client),
            local: canonical(local),
        }))
    };
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Unknown => Ok(None),
            v1::Addresses::Tcp4(ends) => between(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
            v1::Addresses::Tcp6(ends) => between(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Local, _) => Ok(None),
            (v2::Command::Proxy, v2::Addresses::IPv4(ends)) => between(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
            (v2::Command::Proxy, v2::Addresses::IPv6(ends)) => between(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Ok(None),
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(broken()),
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<(Option<Announced>, Vec<u8>)> {
        let mut rest = bytes;
        let announced = announced(&mut rest).await?;
        Ok((announced, rest.to_vec()))
    }

    fn ends(client: &str, local: &str) -> Option<Announced> {
        Some(Announced {
            client: client.parse().unwrap(),
            local: local.parse().unwrap(),
        })
    }

    #[tokio::test]
    async fn both_versions_say_who_connects_and_leave_the_rest() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 4000 25\r\nEHLO x\r\n";
        let four = ends("192.0.2.1:4000", "198.51.100.7:25");
        assert_eq!(read(line).await.unwrap(), (four, b"EHLO x\r\n".to_vec()));
        let six = b"PROXY TCP6 2001:db8::1 2001:db8::2 4000 25\r\n";
        let of_six = ends("[2001:db8::1]:4000", "[2001:db8::2]:25");
        assert_eq!(read(six).await.unwrap().0, of_six);
        assert_eq!(read(b"PROXY UNKNOWN\r\n").await.unwrap().0, None);

        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        // Version 2, TCP over IPv4, with three bytes nobody needs.
        let addresses = b"\x21\x11\0\x0f\xc0\0\x02\x01\xc6\x33\x64\x07\x0f\xa0\0\x19\x04\0\0";
        let binary = [&signature[..], addresses, b"EHLO x\r\n"].concat();
        assert_eq!(read(&binary).await.unwrap(), (four, b"EHLO x\r\n".to_vec()));
        let health = [&signature[..], b"\x20\0\0\0"].concat();
        assert_eq!(read(&health).await.unwrap().0, None);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let long = [&signature[..], b"\x21\x11\xff\xff"].concat();
        for bytes in [
            &b""[..],
            b"EHLO x.test\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY TCP4 nonsense 198.51.100.7 4000 25\r\n",
            &long,
            &[b'P'; 300],
        ] {
            assert!(read(bytes).await.is_err(), "{bytes:?}");
        }
    }
}
