//! A DNS server on loopback that knows only what a test says.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Background, wait_for};

/// A running dnsmasq.
#[derive(Debug)]
pub struct Dns {
    /// Its port on 127.0.0.1.
    pub port: u16,
    _server: Background,
}

impl Dns {
    /// Starts a server with these dnsmasq options, like
    /// `mx-host=example.net,mail.example.net,10` and
    /// `address=/mail.example.net/127.0.0.1`. Every other name does not exist.
    ///
    /// # Panics
    /// When dnsmasq does not start.
    pub fn start(options: &[&str]) -> Self {
        let port = crate::free_port();
        let mut command = Command::new("dnsmasq");
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--no-daemon",
            ])
            .args(["--conf-file=/dev/null", "--pid-file=", "--bind-interfaces"])
            .args([
                "--listen-address=127.0.0.1",
                "--user=root",
                "--address=/#/",
                "--auth-ttl=60",
            ])
            .arg(format!("--port={port}"))
            .args(options.iter().map(|option| format!("--{option}")))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Background(command.spawn().expect("dnsmasq starts"));
        wait_for("the DNS server", Duration::from_secs(90), || answers(port));
        Self {
            port,
            _server: server,
        }
    }
}

/// Asks for the root's address; any answer will do.
fn answers(port: u16) -> bool {
    const QUESTION: &[u8] = &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let ask = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        socket.connect(("127.0.0.1", port))?;
        socket.send(QUESTION)?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}
