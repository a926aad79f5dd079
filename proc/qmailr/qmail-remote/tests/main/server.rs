//! A server that follows a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does on one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// It takes everything, without TLS.
    Plain,
    /// It offers TLS and has it.
    Tls,
    /// It offers TLS and sends rubbish for a handshake.
    BrokenTls,
    /// It slips a reply in before the handshake.
    Injects,
    /// It refuses the recipients.
    Refuses,
    /// It closes after the message, without an answer.
    Dies,
}

/// Serves connections in these manners, one after the other; what was said on
/// each.
pub fn serve(manners: &'static [Manner]) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let serve_one = |manner: &Manner| {
            let (stream, _) = listener.accept().unwrap();
            session(stream, *manner)
        };
        manners.iter().map(serve_one).collect()
    });
    (port, thread)
}

fn session(mut stream: TcpStream, manner: Manner) -> String {
    let mut said = String::new();
    stream.write_all(b"220 test ESMTP\r\n").unwrap();
    let secure = matches!(manner, Manner::Tls | Manner::BrokenTls | Manner::Injects);
    if !talk(&mut stream, manner, secure, &mut said) {
        return said;
    }
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private.unwrap())
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    said.push_str("<TLS>\n");
    let mut stream = StreamOwned::new(connection, stream);
    talk(&mut stream, manner, false, &mut said);
    said
}

/// Answers commands; `true` when a handshake must follow.
fn talk(stream: &mut (impl Read + Write), manner: Manner, offer: bool, said: &mut String) -> bool {
    loop {
        let line = read_line(stream);
        if line.is_empty() {
            return false;
        }
        said.push_str(&line);
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" if offer => b"250-test\r\n250-PIPELINING\r\n250 STARTTLS\r\n",
            "EHLO" => b"250-test\r\n250 8BITMIME\r\n",
            "STAR" => match manner {
                Manner::Injects => b"220 go\r\n250 test\r\n",
                Manner::BrokenTls => b"220 go\r\n",
                _ => {
                    stream.write_all(b"220 go\r\n").unwrap();
                    return true;
                }
            },
            "RCPT" if manner == Manner::Refuses => b"550 5.1.1 nobody here\r\n",
            "DATA" => {
                stream.write_all(b"354 go\r\n").unwrap();
                while !said.ends_with("\r\n.\r\n") {
                    said.push_str(&read_line(stream));
                }
                if manner == Manner::Dies {
                    return false;
                }
                b"250 queued as 7\r\n"
            }
            "QUIT" => return false,
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).unwrap();
        if manner == Manner::BrokenTls && line.starts_with("STAR") {
            // After the client began, so that it is no injection.
            stream.read_exact(&mut [0]).unwrap();
            let _ = stream.write_all(b"this is no handshake at all\r\n");
            return false;
        }
    }
}

/// A line without reading ahead, or nothing when the client is gone.
fn read_line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut one = BufReader::with_capacity(1, stream);
    match one.read_until(b'\n', &mut line) {
        Ok(_) => String::from_utf8_lossy(&line).into_owned(),
        Err(_) => String::new(),
    }
}
