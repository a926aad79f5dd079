//! The real signer, asked by real TLS configurations.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

struct Signer(Child);

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(root: &Path) -> Signer {
    for name in ["control", "certs", "run/signer"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["servercert.pem", "secret.pem"] {
        let pem = tls::self_signed(&["mx.test".to_owned()]).unwrap();
        std::fs::write(root.join("certs").join(name), pem).unwrap();
    }
    let child = Command::new(env!("CARGO_BIN_EXE_signer"))
        .args(["--user", "root"])
        .env_clear()
        .env("QMAILDIR", root)
        .spawn()
        .unwrap();
    let signer = Signer(child);
    for _ in 0..100 {
        if tls::server_config(&root.join("run/signer/socket"), "servercert.pem").is_ok() {
            return signer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the signer does not answer");
}

#[test]
fn it_signs_with_its_keys_only_and_ends_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let mut signer = start(directory.path());
    let socket = directory.path().join("run/signer/socket");
    for name in ["secret.pem", "../certs/servercert.pem", ""] {
        let error = tls::server_config(&socket, name).unwrap_err();
        assert!(matches!(error, tls::Error::Refused { .. }), "{error}");
    }
    os::signal::send(signer.0.id(), os::signal::Signal::SIGTERM).unwrap();
    assert_eq!(signer.0.wait().unwrap().code(), Some(0));
}

#[test]
fn nonsense_and_silence_stop_nobody() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let _signer = start(directory.path());
    let socket = directory.path().join("run/signer/socket");
    let connect = || std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let _silent: Vec<_> = (0..20).map(|_| connect()).collect();
    connect().write_all(&[0xff; 100]).unwrap();
    assert!(tls::server_config(&socket, "servercert.pem").is_ok());
}

#[test]
fn a_missing_certificate_is_said_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["control", "certs", "run/signer"] {
        std::fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_signer"))
        .args(["--user", "root"])
        .env_clear()
        .env("QMAILDIR", directory.path())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(111));
    assert!(log.contains("servercert.pem"), "{log}");
}
