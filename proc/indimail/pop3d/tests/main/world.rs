//! An installation around pop3d.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use run::{Home, Link};
use wire::lookup::{Account, Login, Reply, Request, VERSION};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An installation with one user, `ann@example.org`, password `secret`.
pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
    pop3d: Child,
    pub(crate) address: SocketAddr,
}

impl World {
    pub(crate) fn start(messages: &[(&str, &str)]) -> Self {
        Self::start_with("none", messages)
    }

    pub(crate) fn start_with(tls: &str, messages: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        for name in ["inlookup", "signer"] {
            fs::create_dir_all(home.run().join(name)).unwrap();
        }
        fs::create_dir_all(home.mail()).unwrap();
        let maildir = home.mail().join("ann/Maildir");
        for directory in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(directory)).unwrap();
        }
        for (name, text) in messages {
            fs::write(maildir.join("new").join(name), text).unwrap();
        }
        serve_lookups(&home, &maildir);
        serve_signatures(&home);
        // The port may be taken by another before pop3d has it; then the test
        // fails loudly, which has yet to happen.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let user = os::account::Identity::of_this_process().uid;
        let user = os::account::Account::by_uid(user).unwrap().name;
        let pop3d = Command::new(env!("CARGO_BIN_EXE_pop3d"))
            .args([
                "--tls",
                tls,
                "--user",
                &user,
                "--listen",
                &address.to_string(),
            ])
            .env("QMAILDIR", root.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let world = Self {
            root,
            pop3d,
            address,
        };
        let start = Instant::now();
        while TcpStream::connect(world.address).is_err() {
            assert!(start.elapsed() < PATIENCE, "pop3d does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        world
    }

    pub(crate) fn maildir(&self) -> PathBuf {
        self.root.path().join("mail/ann/Maildir")
    }

    /// Runs a Python program with `p`, a connection of poplib; what it prints.
    pub(crate) fn python(&self, program: &str) -> String {
        let port = self.address.port();
        self.python_alone(&format!(
            "import poplib\np = poplib.POP3('127.0.0.1', {port})\n{program}"
        ))
    }

    /// Runs a Python program; what it prints.
    pub(crate) fn python_alone(&self, program: &str) -> String {
        let output = Command::new("python3")
            .arg("-c")
            .arg(program)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn dial(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(line(&mut reader), "+OK POP3 Server Ready.\r\n");
        reader
    }

    /// Ends pop3d as its supervisor does; its exit code and its log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        os::signal::send(self.pop3d.id(), os::signal::Signal::SIGTERM).unwrap();
        let start = Instant::now();
        while self.pop3d.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "SIGTERM is not heard");
            thread::sleep(Duration::from_millis(10));
        }
        let mut log = String::new();
        let mut stderr = self.pop3d.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.pop3d.wait().unwrap().code(), log)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.pop3d.kill();
        let _ = self.pop3d.wait();
    }
}

pub(crate) fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

/// Stands in for inlookup until the test is over.
fn serve_lookups(home: &Home, maildir: &std::path::Path) {
    let path = home.socket("inlookup");
    let listener = UnixListener::bind(&path).unwrap();
    let account = Account {
        address: "ann@example.org".to_owned(),
        maildir: maildir.to_str().unwrap().to_owned(),
        quota: "1000000S".to_owned(),
        may_relay: true,
        server_signature: Vec::new(),
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut link = Link::accepted(stream, &path, VERSION);
            let account = account.clone();
            thread::spawn(move || {
                while let Ok(Some(request)) = link.receive() {
                    let reply = match request {
                        Request::Mechanisms => Reply::Mechanisms {
                            cram_md5: false,
                            scram_sha_256: true,
                        },
                        Request::Password { user, password, .. }
                            if user == b"ann@example.org" && password == b"secret" =>
                        {
                            Reply::Login(Login::Granted(account.clone()))
                        }
                        _ => Reply::Login(Login::Refused),
                    };
                    if link.send(&reply).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// Stands in for the signer until the test is over.
fn serve_signatures(home: &Home) {
    let path = home.socket("signer");
    let listener = UnixListener::bind(&path).unwrap();
    let pem = tls::self_signed(&["localhost".to_owned()]).unwrap();
    let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut link = Link::accepted(stream, &path, wire::sign::VERSION);
            while let Ok(Some(request)) = link.receive() {
                let reply = match request {
                    wire::sign::Request::Describe { .. } => key.describe(),
                    wire::sign::Request::Sign {
                        scheme, message, ..
                    } => key.sign(scheme, &message),
                    other => panic!("no server asks {other:?}"),
                };
                if link.send(&reply).is_err() {
                    break;
                }
            }
        }
    });
}

/// Logs in as the one user.
pub(crate) const LOGIN: &str = "p.user('ann@example.org'); p.pass_('secret')";
