//! An installation in a temporary directory, with imapd running in it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use run::Link;
use wire::lookup::{Account, Login, Reply, Request, VERSION};

/// The one password of every user.
pub const PASSWORD: &[u8] = b"secret";

/// How long imapd may take to start.
const START: Duration = Duration::from_secs(60);

/// A running installation; ends when it is dropped.
pub struct Site {
    directory: tempfile::TempDir,
    imapd: Child,
    /// Where imapd listens.
    pub port: u16,
}

impl Site {
    /// Starts imapd with the given quota for every user.
    pub fn start(quota: &str) -> Self {
        Self::start_with(quota, "none")
    }

    /// Starts imapd in a TLS mode, with a signer that has a fresh key.
    pub fn start_with(quota: &str, tls: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["control", "run/inlookup", "run/signer", "mail"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let listener = UnixListener::bind(root.join("run/inlookup/socket")).unwrap();
        let (mail, quota) = (root.join("mail"), quota.to_owned());
        std::thread::spawn(move || answer_lookups(&listener, &mail, &quota));
        let listener = UnixListener::bind(root.join("run/signer/socket")).unwrap();
        std::thread::spawn(move || answer_signatures(&listener));
        let port = free_port();
        let log = std::fs::File::create(root.join("log")).unwrap();
        let imapd = Command::new(env!("CARGO_BIN_EXE_imapd"))
            .args(["--listen", &format!("127.0.0.1:{port}"), "--tls", tls])
            .args(["--user", "root", "--message-bytes", "3000000"])
            .env("QMAILDIR", root)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < START, "imapd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            directory,
            imapd,
            port,
        }
    }

    /// The Maildir of a user.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.directory
            .path()
            .join("mail")
            .join(user)
            .join("Maildir")
    }

    /// What imapd has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Ends imapd as supervise does; says whether it ended well and quickly.
    pub fn stop(&mut self) -> bool {
        let begin = Instant::now();
        os::signal::send(self.imapd.id(), os::signal::Signal::SIGTERM).unwrap();
        let status = self.imapd.wait().unwrap();
        status.success() && begin.elapsed() < Duration::from_secs(30)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.imapd.kill();
        let _ = self.imapd.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn answer_lookups(listener: &UnixListener, mail: &Path, quota: &str) {
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let link = Link::accepted(stream.unwrap(), Path::new("inlookup"), VERSION);
            scope.spawn(|| answer_one(link, mail, quota));
        }
    });
}

fn answer_one(mut link: Link, mail: &Path, quota: &str) {
    while let Ok(Some(request)) = link.receive::<Request>() {
        let reply = match request {
            Request::Mechanisms => Reply::Mechanisms {
                cram_md5: false,
                scram_sha_256: false,
            },
            Request::Password { user, password, .. } if password == PASSWORD => {
                let user = String::from_utf8(user).unwrap();
                Reply::Login(Login::Granted(Account {
                    maildir: mail.join(&user).join("Maildir").display().to_string(),
                    address: user,
                    quota: quota.to_owned(),
                    may_relay: true,
                    server_signature: Vec::new(),
                }))
            }
            _ => Reply::Login(Login::Refused),
        };
        if link.send(&reply).is_err() {
            break;
        }
    }
}

fn answer_signatures(listener: &UnixListener) {
    use wire::sign::{Request, VERSION};
    let pem = tls::self_signed(&["localhost".to_owned()]).unwrap();
    let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
    for stream in listener.incoming() {
        let mut link = Link::accepted(stream.unwrap(), Path::new("signer"), VERSION);
        while let Ok(Some(request)) = link.receive::<Request>() {
            let reply = match request {
                Request::Describe { .. } => key.describe(),
                Request::Sign {
                    scheme, message, ..
                } => key.sign(scheme, &message),
                other => panic!("no server asks {other:?}"),
            };
            if link.send(&reply).is_err() {
                break;
            }
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
