//! The real program, with real clients on its socket.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use queue::Layout;
use run::{Home, Link};
use wire::queue::{Reply, Request, VERSION};
use wire::trace::TraceId;

const TIMEOUT: Duration = Duration::from_secs(90);

struct Daemon {
    directory: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    fn start(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        for path in [home.run().join("queue"), home.control().to_owned()] {
            std::fs::create_dir_all(path).unwrap();
        }
        queue::create(&home.queues().join("queue1"), None).unwrap();
        // Its companion is another user, who may not reach where cargo builds.
        let program = directory.path().join("qmail-queued");
        testkit::copy_program(env!("CARGO_BIN_EXE_qmail-queued"), &program);
        if os::account::is_root() {
            give_to_nobody(directory.path());
        }
        let child = Command::new(&program)
            .env("QMAILDIR", directory.path())
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        let daemon = Self { directory, child };
        let start = Instant::now();
        while Link::connect(&daemon.home().socket("queue"), VERSION, TIMEOUT).is_err() {
            assert!(start.elapsed() < TIMEOUT, "qmail-queued does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    fn home(&self) -> Home {
        Home::at(self.directory.path())
    }

    fn layout(&self) -> Layout {
        Layout::detect(self.home().queues().join("queue1")).unwrap()
    }

    fn connect(&self) -> Link {
        Link::connect(&self.home().socket("queue"), VERSION, TIMEOUT).unwrap()
    }

    /// How many files are in a directory of the queue.
    fn files(&self, directory: &str) -> usize {
        let directories = self.layout().directories(directory);
        directories
            .iter()
            .map(|path| std::fs::read_dir(path).unwrap().count())
            .sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Root's daemon becomes the owner of the queue; 65534 stands for it here.
fn give_to_nobody(root: &Path) {
    std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let status = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(root)
        .status()
        .unwrap();
    assert!(status.success());
}

fn begin() -> Request {
    Request::Begin {
        trace: TraceId::new(1, 2),
        remote_ip: Some("192.0.2.9".to_owned()),
    }
}

fn commit(recipient: &[u8]) -> Request {
    Request::Commit {
        sender: b"ann@example.org".to_vec(),
        recipients: vec![recipient.to_vec()],
        extra_headers: b"X-Extra: 1".to_vec(),
    }
}

fn queue_one(link: &mut Link, text: &[u8]) -> Reply {
    link.send(&begin()).unwrap();
    for piece in text.chunks(1000) {
        link.send(&Request::Data(piece.to_vec())).unwrap();
    }
    link.ask(&commit(b"bob@example.org")).unwrap()
}

fn assert_queued(reply: &Reply) -> u64 {
    match reply {
        Reply::Queued { message, queue, .. } if queue == "queue1" => *message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_one_connection_are_on_disk_when_it_says_so() {
    let daemon = Daemon::start(&[]);
    let mut link = daemon.connect();
    let text = b"Message-ID: <a@b>\n\n".repeat(500);
    for _ in 0..3 {
        let id = assert_queued(&queue_one(&mut link, &text));
        let mess = std::fs::read(daemon.layout().mess(id)).unwrap();
        assert!(mess.starts_with(b"Received: (indimail "));
        assert!(mess.ends_with(&text));
        let envelope = std::fs::read(daemon.layout().todo(id)).unwrap();
        let envelope = String::from_utf8(envelope).unwrap();
        assert!(envelope.starts_with(&format!("u{}\0p", os::account::real_uid())));
        let trace = TraceId::new(1, 2).to_header();
        let end = format!("\0Fann@example.org\0Tbob@example.org\0eX-Extra: 1\n\0h{trace}\0");
        assert!(envelope.ends_with(&end), "{envelope:?}");
    }
    assert_eq!((daemon.files("todo"), daemon.files("intd")), (3, 0));
}

#[test]
fn a_hundred_thousand_recipients_come_in_pieces() {
    let daemon = Daemon::start(&[]);
    let mut link = daemon.connect();
    let recipients: Vec<Vec<u8>> = (0..100_000)
        .map(|n| format!("user{n}@some.example.org").into_bytes())
        .collect();
    let mut expected = b"Fann@example.org\0".to_vec();
    for recipient in &recipients {
        text::records::append(&mut expected, b'T', recipient);
    }
    link.send(&begin()).unwrap();
    link.send(&Request::Data(b"\n".to_vec())).unwrap();
    let sender = b"ann@example.org".to_vec();
    let mut requests = 0;
    for request in wire::queue::closing(sender, recipients, Vec::new()) {
        link.send(&request).unwrap();
        requests += 1;
    }
    assert!(1 < requests, "they do not fit into one");
    let id = assert_queued(&link.receive().unwrap().unwrap());
    let envelope = std::fs::read(daemon.layout().todo(id)).unwrap();
    assert!(
        envelope
            .windows(expected.len())
            .any(|part| part == expected)
    );
    // The connection is as good as before.
    assert_queued(&queue_one(&mut link, b"\n"));
}

#[test]
fn more_recipients_than_a_message_can_have_are_refused_for_ever() {
    let daemon = Daemon::start(&[]);
    let mut link = daemon.connect();
    link.send(&begin()).unwrap();
    let piece = Request::Recipients {
        sender: b"ann@example.org".to_vec(),
        recipients: vec![b"b@c".to_vec(); 10_000],
    };
    for _ in 0..wire::queue::RECIPIENTS_MAX / 10_000 {
        link.send(&piece).unwrap();
    }
    match link.ask(&commit(b"one@too.many")).unwrap() {
        Reply::Refused { code: 31, .. } => {}
        other => panic!("{other:?}"),
    }
    for directory in ["mess", "intd", "todo", "pid"] {
        assert_eq!(daemon.files(directory), 0, "{directory}");
    }
    // Text after recipients is a mistake of the client's, and harms nobody.
    link.send(&begin()).unwrap();
    link.send(&piece).unwrap();
    link.send(&Request::Data(b"x\n".to_vec())).unwrap();
    match link.ask(&commit(b"b@c")).unwrap() {
        Reply::Refused { code: 81, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_queued(&queue_one(&mut link, b"\n"));
}

#[test]
fn a_dropped_connection_leaves_nothing() {
    let daemon = Daemon::start(&[]);
    for requests in [1, 2, 3] {
        let mut link = daemon.connect();
        let data = Request::Data(vec![b'x'; 200_000]);
        for request in [begin(), data.clone(), data].iter().take(requests) {
            link.send(request).unwrap();
        }
    }
    let mut link = daemon.connect();
    link.send(&begin()).unwrap();
    link.send(&Request::Abort).unwrap();
    assert_queued(&queue_one(&mut link, b"\n"));
    assert_eq!(
        (
            daemon.files("mess"),
            daemon.files("todo"),
            daemon.files("pid")
        ),
        (1, 1, 0)
    );
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    use std::io::Write;
    let daemon = Daemon::start(&[]);
    let mut link = daemon.connect();
    let reply: Reply = link.ask(&commit(b"bob@example.org")).unwrap();
    assert!(matches!(reply, Reply::Refused { code: 81, .. }));
    let mut link = daemon.connect();
    link.stream().write_all(&[0xff; 64]).unwrap();
    assert!(matches!(
        link.receive().unwrap(),
        Some(Reply::Refused { .. })
    ));
    let mut link = daemon.connect();
    link.send(&begin()).unwrap();
    let reply: Reply = link.ask(&commit(b"bob\nBcc: eve")).unwrap();
    assert!(matches!(reply, Reply::Refused { code: 31, .. }));
    let reply = queue_one(&mut link, b"\n");
    assert_queued(&reply);
    assert_eq!(daemon.files("mess"), 1);
}

/// A scanner that finds a virus where the text says so, and fails where that
/// says so.
fn scanner(directory: &Path) -> String {
    let path = directory.join("scan");
    let script =
        "#!/bin/sh\ngrep -q EICAR \"$1\" && exit 1\ngrep -q CRASH \"$1\" && exit 9\nexit 0\n";
    testkit::write_script(&path, script);
    std::fs::set_permissions(
        directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    format!("{} %s", path.display())
}

fn extra_lines(daemon: &Daemon, id: u64) -> String {
    let envelope = std::fs::read(daemon.layout().todo(id)).unwrap();
    let records = envelope.split(|&b| b == 0);
    let extra = records.filter_map(|record| record.strip_prefix(b"e"));
    extra
        .map(|lines| String::from_utf8_lossy(lines).into_owned())
        .collect()
}

fn code(reply: &Reply) -> u8 {
    match reply {
        Reply::Refused { code, .. } => *code,
        Reply::Queued { .. } => 0,
    }
}

#[test]
fn qhpsi_scans_every_message_before_it_is_queued() {
    let directory = tempfile::tempdir().unwrap();
    let line = scanner(directory.path());
    let daemon = Daemon::start(&[("QHPSI", &line)]);
    let mut link = daemon.connect();
    let id = assert_queued(&queue_one(&mut link, b"\nhello\n"));
    assert_eq!(extra_lines(&daemon, id), "X-QHPSI: clean\nX-Extra: 1\n");
    assert_eq!(code(&queue_one(&mut link, b"\nEICAR\n")), 33);
    assert_eq!(code(&queue_one(&mut link, b"\nCRASH\n")), 77);
    let long = b"some text\n".repeat(100_000);
    assert_queued(&queue_one(&mut link, &long));
    assert_eq!((daemon.files("todo"), daemon.files("mess")), (2, 2));
}

#[test]
fn infected_mail_goes_where_the_site_wants_it() {
    let directory = tempfile::tempdir().unwrap();
    let line = scanner(directory.path());
    let infected = |more: &[(&str, &str)]| {
        let daemon = Daemon::start(&[&[("QHPSI", &line[..])], more].concat());
        let reply = queue_one(&mut daemon.connect(), b"\nEICAR\n");
        (daemon, reply)
    };
    let (daemon, reply) = infected(&[("REJECTVIRUS", "0")]);
    let id = assert_queued(&reply);
    assert!(extra_lines(&daemon, id).starts_with("X-QHPSI: Virus found\n"));
    let (daemon, reply) = infected(&[("REJECTVIRUS", "2")]);
    assert_eq!((code(&reply), daemon.files("mess")), (0, 0));
    let (daemon, reply) = infected(&[("REJECTVIRUS", "2"), ("QHPSIFORWARD", "jail@x.y")]);
    let id = assert_queued(&reply);
    let envelope = std::fs::read(daemon.layout().todo(id)).unwrap();
    let envelope = String::from_utf8_lossy(&envelope);
    assert!(envelope.contains("\0Tjail@x.y\0e"), "{envelope:?}");
    let named = "X-Quarantine-ID: jail@x.y,bob@example.org\n";
    assert!(extra_lines(&daemon, id).ends_with(named));
    let (daemon, reply) = infected(&[("QHPSIFORWARD", "jail@x.y")]);
    assert_eq!((code(&reply), daemon.files("todo")), (33, 1));
}

#[test]
fn too_little_space_is_refused_for_now() {
    let daemon = Daemon::start(&[("MIN_FREE", "9000000000000000000")]);
    let reply = queue_one(&mut daemon.connect(), b"\n");
    assert!(
        matches!(reply, Reply::Refused { code: 53, .. }),
        "{reply:?}"
    );
}

#[test]
fn term_ends_it_quickly_even_with_clients_connected() {
    let mut daemon = Daemon::start(&[]);
    let mut link = daemon.connect();
    link.send(&begin()).unwrap();
    os::signal::send(daemon.child.id(), os::signal::Signal::SIGTERM).unwrap();
    let start = Instant::now();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(daemon.files("mess"), 0);
}

#[test]
fn a_kill_at_any_time_leaves_only_whole_messages_and_none_that_was_promised_is_missing() {
    for milliseconds in [5, 20, 60] {
        let mut daemon = Daemon::start(&[]);
        let path = daemon.home().socket("queue");
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut link = Link::connect(&path, VERSION, TIMEOUT).unwrap();
                std::thread::spawn(move || {
                    let mut promised = Vec::new();
                    loop {
                        let sent = link
                            .send(&begin())
                            .and_then(|()| {
                                link.send(&Request::Data(b"Subject: x\n\nbody\n".to_vec()))
                            })
                            .and_then(|()| link.ask(&commit(b"bob@example.org")));
                        match sent {
                            Ok(Reply::Queued { message, .. }) => promised.push(message),
                            _ => return promised,
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(milliseconds));
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
        let layout = daemon.layout();
        for id in clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
        {
            assert!(layout.todo(id).exists(), "{id} was promised");
        }
        for path in layout
            .directories("todo")
            .iter()
            .flat_map(|d| std::fs::read_dir(d).unwrap())
        {
            let id = path
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .parse()
                .unwrap();
            assert!(
                std::fs::read(layout.mess(id))
                    .unwrap()
                    .ends_with(b"\n\nbody\n")
            );
            assert!(std::fs::read(layout.todo(id)).unwrap().ends_with(b"\n\0"));
        }
    }
}

/// Prints what this machine does: `cargo test -p qmail-queued -- --nocapture speed`.
#[test]
fn speed_of_twenty_connections() {
    const CLIENTS: usize = 20;
    const MESSAGES: usize = 20;
    let daemon = Daemon::start(&[]);
    let text = [b"Subject: x\n\n".to_vec(), vec![b'x'; 4096]].concat();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut link = daemon.connect();
                for _ in 0..MESSAGES {
                    link.send(&begin()).unwrap();
                    link.send(&Request::Data(text.clone())).unwrap();
                    assert_queued(&link.ask(&commit(b"bob@example.org")).unwrap());
                }
            });
        }
    });
    let rate = (CLIENTS * MESSAGES) as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} messages a second");
    assert_eq!(daemon.files("todo"), CLIENTS * MESSAGES);
}
