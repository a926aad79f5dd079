//! tcpserver and tcpclient.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::{Background, run, wait_for};

const SOON: Duration = Duration::from_secs(60);

struct Server {
    child: Background,
    port: u16,
    log: Arc<Mutex<String>>,
    directory: tempfile::TempDir,
}

impl Server {
    /// tcpserver on a port of the kernel's choice, running a shell script.
    fn start(options: &[&str], script: &str) -> Self {
        Self::with(options, script, |_| {})
    }

    fn with(options: &[&str], script: &str, prepare: impl Fn(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        prepare(directory.path());
        let mut child = Command::new(super::PROGRAM)
            .arg("tcpserver")
            .args(["-1", "-v", "-H", "-R", "-l", "0"])
            .args(options)
            .args(["127.0.0.1", "0", "sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", directory.path())
            .env("TCPREMOTEHOST", "inherited")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, errors) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        let port = line.trim().parse().unwrap_or_else(|_| {
            std::thread::sleep(Duration::from_millis(500));
            panic!("no port: {line:?} {}", log.lock().unwrap())
        });
        Self {
            child: Background(child),
            port,
            log,
            directory,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// What a connection says until it ends.
    fn hear(&self) -> String {
        let mut text = String::new();
        // Whoever is turned away may be reset.
        let _ = self.connect().read_to_string(&mut text);
        text
    }

    fn wait_for_log(&self, text: &str) {
        wait_for(text, SOON, || self.log.lock().unwrap().contains(text));
    }

    fn signal(&self, signal: os::signal::Signal) {
        os::signal::send(self.child.0.id(), signal).unwrap();
    }
}

/// A connection whose program has begun.
fn greeted(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let mut byte = [0; 1];
    stream.read_exact(&mut byte).unwrap();
    stream
}

// Acceptance 6.
#[test]
fn the_program_knows_its_connection() {
    let script = "echo $PROTO $TCPLOCALIP $TCPLOCALHOST $TCPREMOTEIP ${TCPREMOTEHOST-none} \
                  ${TCPREMOTEINFO-none} $TCPLOCALPORT; read line; echo $line";
    let server = Server::start(&["-B", "hello\n"], script);
    let mut stream = server.connect();
    stream.write_all(b"word\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let facts = format!("TCP 127.0.0.1 0 127.0.0.1 none none {}", server.port);
    assert_eq!(text, format!("hello\n{facts}\nword\n"));
    let local = stream.local_addr().unwrap().port();
    server.wait_for_log(&format!(
        " 0[127.0.0.1]{} [127.0.0.1]:{local}:maxperip=0",
        server.port
    ));
}

// Acceptance 4.
#[test]
fn the_limit_is_kept_and_changed_without_restart() {
    let write = |directory: &Path, limit: &str| {
        std::fs::write(directory.join("control/limit"), limit).unwrap();
    };
    let server = Server::with(&["-c", "limit"], "echo; read x", |directory| {
        write(directory, "1\n");
    });
    server.wait_for_log("status: 0/1 startup");
    let first = greeted(&server);
    let second = server.connect();
    second
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut byte = [0; 1];
    assert!((&second).read(&mut byte).is_err(), "the house is full");
    write(server.directory.path(), "3\n");
    server.signal(os::signal::Signal::SIGHUP);
    second.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!((&second).read(&mut byte).unwrap(), 1);
    server.wait_for_log("sighup: 1/3");
    server.wait_for_log("status: 2/3");
    server.signal(os::signal::Signal::SIGUSR1);
    server.wait_for_log("1: 127.0.0.1: ");
    drop((first, second));
    server.wait_for_log("status: 0/3 sigchild");
}

// Acceptance 5.
#[test]
fn one_address_has_only_so_many() {
    let server = Server::start(&["-C", "2"], "echo; read x");
    let _two = (greeted(&server), greeted(&server));
    assert_eq!(server.hear(), "");
    server.wait_for_log("end 127.0.0.1 perIPlimit 2");
    let compile = |directory: &Path| {
        let mut builder = cdb::Builder::default();
        let rules = b"127.0.0.1:allow,MAXPERIP=\"1\",WHO=\"us\"\n";
        for (key, data) in policy::tcprules::compile(rules).unwrap() {
            builder.add(&key, &data).unwrap();
        }
        std::fs::write(directory.join("rules"), builder.finish().unwrap()).unwrap();
    };
    let server = Server::with(&["-x", "rules"], "echo $WHO; read x", compile);
    let first = greeted(&server);
    assert_eq!(server.hear(), "");
    server.wait_for_log("no ip slots for 127.0.0.1, perIPlimit 1");
    server.wait_for_log("status 111");
    drop(first);
}

#[test]
fn rules_deny_and_a_missing_file_drops() {
    let deny = |directory: &Path| {
        let mut builder = cdb::Builder::default();
        builder.add(b"127.", b"D\0").unwrap();
        std::fs::write(directory.join("rules"), builder.finish().unwrap()).unwrap();
    };
    let server = Server::with(&["-x", "rules"], "echo in", deny);
    assert_eq!(server.hear(), "");
    server.wait_for_log("status 100");
    server.wait_for_log("tcpserver: deny ");
    let server = Server::start(&["-x", "missing"], "echo in");
    assert_eq!(server.hear(), "");
    server.wait_for_log("unable to read missing");
    let server = Server::start(&["-X", "-x", "missing"], "echo in");
    assert_eq!(server.hear(), "in\n");
}

#[test]
fn term_ends_the_server_and_leaves_connections_alone() {
    let mut server = Server::start(&[], "echo; read x; echo still here");
    let mut stream = greeted(&server);
    server.signal(os::signal::Signal::SIGTERM);
    let status = server.child.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    stream.write_all(b"\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here\n");
}

// Acceptance 8.
#[test]
fn ident_is_asked_when_somebody_answers() {
    // The port belongs to root.
    let Ok(ident) = TcpListener::bind("127.0.0.1:113") else {
        return;
    };
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = ident.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        stream.write_all(b"1, 2 : USERID : UNIX : joe\r\n").unwrap();
        // The next one is taken and never answered.
        let silent = ident.accept().unwrap();
        (line, silent, ident)
    });
    let server = Server::start(&["-r", "-t", "2"], "echo ${TCPREMOTEINFO-none}");
    assert_eq!(server.hear(), "joe\n");
    assert_eq!(server.hear(), "none\n");
    let (line, ..) = answers.join().unwrap();
    assert!(line.ends_with(&format!(" , {}\r\n", server.port)), "{line}");
}

#[test]
fn a_client_runs_its_program_on_six_and_seven() {
    let server = Server::start(&[], "read line; echo you said $line");
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(super::PROGRAM);
    command
        .args(["tcpclient", "-H", "-R", "-l", "0", "127.0.0.1"])
        .arg(server.port.to_string())
        .args(["sh", "-c", "echo hi $TCPREMOTEIP >&7; cat <&6"])
        .env("QMAILDIR", directory.path())
        .env_remove("TCPREMOTEIP");
    assert_eq!(run(&mut command, b"").good().out, "you said hi 127.0.0.1\n");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port().to_string();
    drop(closed);
    let mut command = Command::new(super::PROGRAM);
    command.args(["tcpclient", "-T", "1+1", "127.0.0.1", &port, "true"]);
    let failed = run(&mut command, b"");
    assert_eq!(failed.code, 111);
    assert!(
        failed.err.contains("unable to connect to 127.0.0.1"),
        "{}",
        failed.err
    );
}
