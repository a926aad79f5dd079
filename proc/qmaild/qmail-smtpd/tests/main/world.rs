//! A small installation in a temporary directory: control files, a queue
//! writer, inlookup and a signer that are threads of the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use run::Link;
use wire::{lookup, queue, sign};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_qmail-smtpd");

/// One queued message: sender, recipients, content.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    pub sender: String,
    pub recipients: Vec<String>,
    pub content: String,
}

pub struct World {
    pub directory: tempfile::TempDir,
    pub queued: Arc<Mutex<Vec<Queued>>>,
}

/// A running qmail-smtpd; ended when it is dropped.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Arc<Mutex<String>>,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["control", "users", "alias", "etc", "run", "certs"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let world = Self {
            directory,
            queued: Arc::default(),
        };
        world.control("me", "mx.test\n");
        world.control("rcpthosts", "host.test\nv.test\nbackup.test\n");
        world.control("locals", "host.test\n");
        world.control("virtualdomains", "v.test:v.test\n");
        std::fs::write(world.path("alias/.qmail-info"), "").unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn control(&self, name: &str, text: &str) {
        std::fs::write(self.path("control").join(name), text).unwrap();
    }

    pub fn rules(&self, text: &str) {
        let mut builder = cdb::Builder::default();
        for (key, data) in policy::tcprules::compile(text.as_bytes()).unwrap() {
            builder.add(&key, &data).unwrap();
        }
        std::fs::write(self.path("etc/tcp.smtp.cdb"), builder.finish().unwrap()).unwrap();
    }

    /// A queue writer that answers every message the same way; `code` 0
    /// queues it.
    pub fn queue_writer(&self, code: u8) {
        let queued = Arc::clone(&self.queued);
        serve(
            &self.path("run/queue/socket"),
            queue::VERSION,
            move |link| {
                let mut content = Vec::new();
                while let Ok(Some(request)) = link.receive() {
                    match request {
                        queue::Request::Begin { .. } => content.clear(),
                        queue::Request::Data(bytes) => content.extend(bytes),
                        queue::Request::Abort => content.clear(),
                        queue::Request::Dsn(_) | queue::Request::Recipients { .. } => {}
                        queue::Request::Commit {
                            sender, recipients, ..
                        } => {
                            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                            let reply = match code {
                                0 => {
                                    queued.lock().unwrap().push(Queued {
                                        sender: text(&sender),
                                        recipients: recipients.iter().map(|r| text(r)).collect(),
                                        content: text(&content),
                                    });
                                    queue::Reply::Queued {
                                        message: 1,
                                        queue: "queue1".into(),
                                        qp: 4242,
                                    }
                                }
                                code => queue::Reply::Refused {
                                    code,
                                    text: "as told".into(),
                                },
                            };
                            link.send(&reply).unwrap();
                        }
                    }
                }
            },
        );
    }

    /// Knows ann@v.test with the password `secret`.
    pub fn inlookup(&self) {
        serve(&self.path("run/inlookup/socket"), lookup::VERSION, |link| {
            while let Ok(Some(request)) = link.receive() {
                let reply = match request {
                    lookup::Request::Recipient { address } if address == b"ann@v.test" => {
                        lookup::Reply::Recipient(lookup::Mailbox::Fine)
                    }
                    lookup::Request::Recipient { .. } => {
                        lookup::Reply::Recipient(lookup::Mailbox::Absent)
                    }
                    lookup::Request::Mechanisms => lookup::Reply::Mechanisms {
                        cram_md5: false,
                        scram_sha_256: true,
                    },
                    lookup::Request::Password { user, password, .. }
                        if user == b"ann@v.test" && password == b"secret" =>
                    {
                        lookup::Reply::Login(lookup::Login::Granted(lookup::Account {
                            address: "ann@v.test".into(),
                            maildir: String::new(),
                            quota: String::new(),
                            may_relay: true,
                            server_signature: Vec::new(),
                        }))
                    }
                    _ => lookup::Reply::Login(lookup::Login::Refused),
                };
                link.send(&reply).unwrap();
            }
        });
    }

    pub fn signer(&self) {
        let pem = tls::self_signed(&["mx.test".to_owned()]).unwrap();
        let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
        serve(
            &self.path("run/signer/socket"),
            sign::VERSION,
            move |link| {
                while let Ok(Some(request)) = link.receive() {
                    let reply = match request {
                        sign::Request::Describe { .. } => key.describe(),
                        sign::Request::Sign {
                            scheme, message, ..
                        } => key.sign(scheme, &message),
                        other => panic!("no server asks {other:?}"),
                    };
                    link.send(&reply).unwrap();
                }
            },
        );
    }

    pub fn collector(&self) -> UnixDatagram {
        std::fs::create_dir(self.path("run/trace")).unwrap();
        let socket = UnixDatagram::bind(self.path("run/trace/socket")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        socket
    }

    /// The program with the environment of this installation and nothing
    /// else.
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("QMAILDIR", self.directory.path());
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Server {
        let mut child = self
            .command()
            .args(["--listen", "127.0.0.1:0", "--user", "root"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let (_, address) = line.trim().rsplit_once(' ').unwrap();
        let address = address
            .parse()
            .unwrap_or_else(|_| panic!("no address: {line}"));
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        Server {
            child,
            address,
            log,
        }
    }
}

impl Server {
    /// Waits until the log has a text.
    pub fn wait_for_log(&self, text: &str) {
        for _ in 0..1200 {
            if self.log.lock().unwrap().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{text:?} is not in the log:\n{}", self.log.lock().unwrap());
    }

    pub fn terminate(&mut self) -> Option<i32> {
        os::signal::send(self.child.id(), os::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves a socket on threads.
pub fn serve(path: &Path, version: u8, answer: impl Fn(&mut Link) + Send + Sync + 'static) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let (path, answer) = (path.to_owned(), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (path, answer) = (path.clone(), Arc::clone(&answer));
            std::thread::spawn(move || {
                answer(&mut Link::accepted(stream.unwrap(), &path, version));
            });
        }
    });
}

/// Runs a child to its end with this input; what it printed.
pub fn talk(mut command: Command, input: &str) -> (String, String, Option<i32>) {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let mut output = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    let mut log = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    (output, log, child.wait().unwrap().code())
}
