//! TLS between real sockets, with the key on the other side of a third one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConnection, ServerConnection, Stream};
use wire::sign::{Reply, Request, VERSION};

/// Answers as the signer does, on a thread.
fn sign_for(socket: &Path, pem: &str) {
    let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let path = socket.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut link = run::Link::accepted(stream.unwrap(), &path, VERSION);
            while let Ok(Some(request)) = link.receive() {
                let reply = match request {
                    Request::Describe { key: name } if name == "servercert.pem" => key.describe(),
                    Request::Describe { .. } => Reply::Refused("no such key".into()),
                    Request::Sign {
                        scheme, message, ..
                    } => key.sign(scheme, &message),
                    other => panic!("no server asks {other:?}"),
                };
                link.send(&reply).unwrap();
            }
        }
    });
}

fn handshake(client: Arc<rustls::ClientConfig>, name: &'static str) -> Result<Vec<u8>, String> {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("signer");
    let pem = tls::self_signed(&["mx.example.org".to_owned()]).unwrap();
    sign_for(&socket, &pem);
    let server = tls::server_config(&socket, "servercert.pem").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(server).unwrap();
        let _ = Stream::new(&mut connection, &mut stream).write_all(b"220 hello");
        connection.send_close_notify();
        let _ = connection.write_tls(&mut stream);
    });
    let mut stream = TcpStream::connect(address).unwrap();
    let mut connection = ClientConnection::new(client, name.try_into().unwrap()).unwrap();
    let mut heard = Vec::new();
    Stream::new(&mut connection, &mut stream)
        .read_to_end(&mut heard)
        .map_err(|error| error.to_string())?;
    Ok(heard)
}

#[test]
fn a_server_without_a_key_completes_handshakes() {
    let client = tls::client_config(tls::Verify::None).unwrap();
    assert_eq!(handshake(client, "mx.example.org").unwrap(), b"220 hello");
}

#[test]
fn a_verifying_client_refuses_a_self_signed_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(
        &bundle,
        tls::self_signed(&["ca.example".to_owned()]).unwrap(),
    )
    .unwrap();
    let verify = tls::Verify::WebPki {
        bundle: Some(bundle),
    };
    let client = tls::client_config(verify).unwrap();
    assert!(handshake(client, "mx.example.org").is_err());
}

#[test]
fn a_key_the_signer_does_not_know_is_found_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("signer");
    sign_for(
        &socket,
        &tls::self_signed(&["a.example".to_owned()]).unwrap(),
    );
    let error = tls::server_config(&socket, "other.pem").unwrap_err();
    assert!(error.to_string().contains("other.pem"));
    let error = tls::server_config(&directory.path().join("none"), "servercert.pem").unwrap_err();
    assert!(matches!(error, tls::Error::Signer(_)));
}

#[test]
fn a_key_signs_only_with_its_schemes_and_only_little() {
    let pem = tls::self_signed(&["a.example".to_owned()]).unwrap();
    let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
    let Reply::Key { schemes, .. } = key.describe() else {
        panic!("a description");
    };
    assert!(matches!(key.sign(schemes[0], b"x"), Reply::Signature(_)));
    assert!(matches!(key.sign(0x0804, b"x"), Reply::Refused(_)));
    assert!(matches!(
        key.sign(schemes[0], &[0; 5000]),
        Reply::Refused(_)
    ));
}
