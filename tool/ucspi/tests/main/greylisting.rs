//! qmail-greyd, asked as SMTP servers ask it.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Background, wait_for};

const SOON: Duration = Duration::from_secs(60);

struct Greyd {
    server: Background,
    socket: UdpSocket,
}

impl Greyd {
    fn start(root: &Path, options: &[&str]) -> Self {
        let port = testkit::free_port();
        let child = Command::new(super::PROGRAM)
            .arg("qmail-greyd")
            .args(options)
            .args(["-p", &port.to_string(), "127.0.0.1", "grey.context"])
            .env_clear()
            .env("QMAILDIR", root)
            .spawn()
            .unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        let greyd = Self {
            server: Background(child),
            socket,
        };
        // What is no request is answered, too.
        wait_for("qmail-greyd", SOON, || greyd.ask(b"?") == Some([0, 4]));
        // Answers to earlier tries.
        while greyd.socket.recv(&mut [0; 2]).is_ok() {}
        greyd
    }

    fn ask(&self, datagram: &[u8]) -> Option<[u8; 2]> {
        let mut reply = [0; 2];
        self.socket.send(datagram).ok()?;
        self.socket.recv(&mut reply).ok()?;
        Some(reply)
    }
}

// Acceptance 31; the times are those of policy::greylist's own test.
#[test]
fn what_is_known_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control");
    std::fs::create_dir(&control).unwrap();
    std::fs::write(control.join("greylist.white"), "198.51.100.0/24\n").unwrap();
    let ask = b"I192.0.2.1\0Fa@b\0Tc@local.test\0\0";
    let mut greyd = Greyd::start(directory.path(), &["-m", "0", "-w", "greylist.white"]);
    assert_eq!(greyd.ask(ask), Some([0, 1]));
    assert_eq!(greyd.ask(ask), Some([1, 3]));
    assert_eq!(greyd.ask(ask), Some([1, 2]));
    let white = b"I198.51.100.9\0Fa@b\0Tc@local.test\0\0";
    assert_eq!(greyd.ask(white), Some([1, 1]));
    assert_eq!(greyd.server.stop(SOON), Some(0));
    let context = std::fs::read(control.join("grey.context")).unwrap();
    assert!(context.starts_with(b"192.0.2.0\0a@b\0"));
    let greyd = Greyd::start(directory.path(), &["-m", "0"]);
    assert_eq!(greyd.ask(ask), Some([1, 2]));
}

#[test]
fn a_client_that_comes_too_early_waits() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("control")).unwrap();
    let greyd = Greyd::start(directory.path(), &[]);
    let ask = b"I192.0.2.1\0F\0Tc@local.test\0\0";
    assert_eq!(greyd.ask(ask), Some([0, 1]));
    assert_eq!(greyd.ask(ask), Some([0, 2]));
}
