//! qmail-lspawn as a process: commands in, reports out, in a single-user
//! installation.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use os::account::Identity;
use os::child::{Setup, prepare};
use testkit::{copy_program, write_script};
use wire::deliver::{self, Request};
use wire::frame::{self, Decoder};
use wire::spawn::{self, Outcome, Report};

/// Who runs it when the tests run as root.
const NOBODY: Identity = Identity {
    uid: 65534,
    gid: 65534,
};
const LOCAL: &str = r#"#!/bin/sh
echo "user=$2 home=$3 local=$4 dash=$5 ext=$6 domain=$7 sender=$8 default=$9 colour=$X_COLOUR"
read first; echo "first=$first path=${PATH%%:*}"
case "$4" in *fail) exit 100;; *defer) exit 111;; esac"#;

struct Spawner {
    directory: tempfile::TempDir,
    child: Child,
    commands: Option<ChildStdin>,
    reports: ChildStdout,
}

fn identity() -> Identity {
    if os::account::is_root() {
        NOBODY
    } else {
        Identity::of_this_process()
    }
}

fn own(path: &Path) {
    if os::account::is_root() {
        chown(path, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    }
}

/// An installation with `ann` in `domains` and everybody else in `alias`.
fn installation() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in [
        "bin", "control", "alias", "users", "run", "domains", "mess", "mess/7",
    ] {
        fs::create_dir(root.join(name)).unwrap();
        own(&root.join(name));
    }
    own(root);
    fs::write(root.join("mess/7/30"), "hello\n").unwrap();
    own(&root.join("mess/7/30"));
    // Nobody may not reach where cargo builds.
    copy_program(env!("CARGO_BIN_EXE_qmail-lspawn"), root.join("bin"));
    write_script(root.join("bin/qmail-local"), LOCAL);
    let Identity { uid, gid } = identity();
    let root = root.display();
    let mut cdb = cdb::Builder::default();
    let ann = format!("v.example\0{uid}\0{gid}\0{root}/domains/v.example\0-\0");
    cdb.add(b"!v.example-", ann.as_bytes()).unwrap();
    let alias = format!("alias\0{uid}\0{gid}\0{root}/alias\0-\0");
    cdb.add(b"!", alias.as_bytes()).unwrap();
    cdb.add(
        b"!root\0",
        format!("root\x000\x000\0{root}/alias\0\0").as_bytes(),
    )
    .unwrap();
    cdb.add(b"", b"-").unwrap();
    fs::write(directory.path().join("users/cdb"), cdb.finish().unwrap()).unwrap();
    directory
}

impl Spawner {
    fn start(directory: tempfile::TempDir) -> Self {
        Self::start_with(directory, &[])
    }

    fn start_with(directory: tempfile::TempDir, variables: &[(&str, &std::path::Path)]) -> Self {
        let mut command = Command::new(directory.path().join("bin/qmail-lspawn"));
        command
            .arg("./Maildir/")
            .current_dir(directory.path().join("mess"))
            .env_clear()
            .env("PATH", "/bin:/usr/bin")
            .env("QMAILDIR", directory.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let setup = Setup {
            identity: os::account::is_root().then_some(NOBODY),
            ..Setup::default()
        };
        prepare(&mut command, setup);
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take();
        let mut reports = child.stdout.take().unwrap();
        let mut limit = [0; 2];
        reports.read_exact(&mut limit).unwrap();
        assert_eq!(u16::from_le_bytes(limit), run::spawner::DELIVERIES_MAX);
        Self {
            directory,
            child,
            commands,
            reports,
        }
    }

    fn command(&mut self, slot: u16, message: &str, recipient: &str) {
        let mut wire = Vec::new();
        let command = spawn::Command {
            slot,
            message: message.into(),
            sender: b"s@x".to_vec(),
            extra_headers: Vec::new(),
            env_headers: b"X-Colour: blue\nPath: /evil\n".to_vec(),
            recipient: recipient.into(),
        };
        spawn::append_command(&mut wire, &command);
        self.commands.as_mut().unwrap().write_all(&wire).unwrap();
    }

    fn report(&mut self) -> Report {
        let mut bytes = Vec::new();
        loop {
            let mut byte = [0];
            self.reports.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
            if let Some((report, _)) = spawn::take_report(&bytes) {
                return report;
            }
        }
    }

    fn try_one(&mut self, slot: u16, message: &str, recipient: &str) -> (Outcome, String) {
        self.command(slot, message, recipient);
        let report = self.report();
        assert_eq!(report.slot, slot);
        (report.outcome, String::from_utf8(report.text).unwrap())
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn commands_that_make_no_sense_start_nothing() {
    let mut spawner = Spawner::start(installation());
    let long = "1".repeat(101);
    for (slot, message, recipient, code) in [
        (500, "7/30", "a@x", "#4.3.5"),
        (0, "../users/cdb", "a@x", "nonnumerics. (#5.3.5)"),
        (0, "/7/30", "a@x", "nonnumerics. (#5.3.5)"),
        (0, "", "a@x", "short. (#5.3.5)"),
        (0, &long, "a@x", "long. (#5.3.5)"),
        (0, "7/30", "a", "#5.1.3"),
        (0, "7/31", "a@x", "unable to open message. (#4.3.0)"),
        (0, "7", "a@x", "wrong type. (#4.3.5)"),
    ] {
        let (_, text) = spawner.try_one(slot, message, recipient);
        assert!(text.contains(code), "{message} {recipient}: {text}");
    }
    assert_eq!(
        spawner.try_one(0, "7/30", "@x"),
        (Outcome::Success, String::new())
    );
    let root = spawner.try_one(0, "7/30", "root@x");
    assert_eq!(root.1, "Not allowed to perform deliveries as root.\n");
}

#[test]
fn a_message_of_somebody_else_is_not_delivered() {
    if !os::account::is_root() {
        return;
    }
    let mut spawner = Spawner::start(installation());
    let message = spawner.directory.path().join("mess/7/37");
    fs::write(message, "mine\n").unwrap();
    let (outcome, text) = spawner.try_one(0, "7/37", "a@x");
    assert_eq!(outcome, Outcome::Deferral);
    assert!(text.contains("wrong owner"), "{text}");
}

#[test]
fn qmail_local_gets_its_arguments_and_decides() {
    let mut spawner = Spawner::start(installation());
    let (outcome, text) = spawner.try_one(3, "7/30", "Joe-X@x.example");
    let home = spawner.directory.path().join("alias");
    let expected = format!(
        "user=alias home={} local=Joe-X dash=- ext=Joe-X domain=x.example sender=s@x \
         default=./Maildir/ colour=blue\nfirst=hello path=/bin\n",
        home.display()
    );
    assert_eq!((outcome, text), (Outcome::Success, expected));
    assert_eq!(spawner.try_one(3, "7/30", "fail@x").0, Outcome::Failure);
    assert_eq!(spawner.try_one(3, "7/30", "defer@x").0, Outcome::Deferral);
}

#[test]
fn another_program_can_take_the_place_of_qmail_local() {
    let directory = installation();
    let other = directory.path().join("bin/other");
    write_script(
        &other,
        "#!/bin/sh\necho $# $1 $2 $4 ${QMAILREMOTE-unset}; exit 0\n",
    );
    let variables = [("QMAILLOCAL", &*other), ("QMAILREMOTE", &*other)];
    let mut spawner = Spawner::start_with(directory, &variables);
    // Also for virtual users, who have a worker otherwise.
    for (recipient, seen) in [
        ("Joe@x", "10 -- alias Joe unset\n"),
        (
            "v.example-ann@v.example",
            "10 -- v.example v.example-ann unset\n",
        ),
    ] {
        let (outcome, text) = spawner.try_one(1, "7/30", recipient);
        assert_eq!((outcome, &text[..]), (Outcome::Success, seen));
    }
    // Mail for nobody at all vanishes, and root gets none.
    assert_eq!(
        spawner.try_one(1, "7/30", "@x"),
        (Outcome::Success, String::new())
    );
    assert_eq!(spawner.try_one(1, "7/30", "root@x").0, Outcome::Deferral);
}

#[test]
fn the_end_of_commands_ends_it_when_deliveries_have() {
    let mut spawner = Spawner::start(installation());
    spawner.command(1, "7/30", "a@x");
    spawner.commands = None;
    assert_eq!(spawner.report().outcome, Outcome::Success);
    assert_eq!(spawner.child.wait().unwrap().code(), Some(0));
}

/// Takes requests on the worker's end, with the text of their messages.
fn requests(worker: &UnixStream, count: usize) -> Vec<(Request, String)> {
    let (mut decoder, mut fds, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
    while requests.len() < count {
        let mut buffer = [0; 4096];
        let (length, new) = os::socket::receive_with_fds(worker, &mut buffer).unwrap();
        assert_ne!(length, 0);
        fds.extend(new);
        decoder.push(&buffer[..length]);
        while let Some(request) = decoder.next::<Request>(deliver::VERSION).unwrap() {
            let fd: OwnedFd = fds.remove(0);
            let mut text = String::new();
            fs::File::from(fd).read_to_string(&mut text).unwrap();
            requests.push((request, text));
        }
    }
    requests
}

fn answer(mut worker: &UnixStream, request: &Request, code: u8) {
    let report = deliver::Report {
        delivery: request.delivery,
        code,
        output: format!("did {}\n", String::from_utf8_lossy(&request.ext)).into_bytes(),
    };
    let bytes = frame::encode(deliver::VERSION, &report).unwrap();
    worker.write_all(&bytes).unwrap();
}

#[test]
fn virtual_users_go_to_the_worker_and_back_in_any_order() {
    let directory = installation();
    fs::create_dir_all(directory.path().join("run/deliver")).unwrap();
    let socket = directory.path().join("run/deliver/socket");
    let listener = os::socket::listen(&socket, 0o666).unwrap();
    let mut spawner = Spawner::start(directory);
    spawner.command(1, "7/30", "v.example-Ann@v.example");
    spawner.command(2, "7/30", "v.example-bob@v.example");
    let (worker, _) = listener.accept().unwrap();
    let taken = requests(&worker, 2);
    let (ann, text) = &taken[0];
    assert_eq!(text, "hello\n");
    assert_eq!(
        (&ann.user[..], &ann.ext[..]),
        (&b"v.example"[..], &b"Ann"[..])
    );
    assert_eq!(ann.default_delivery, b"./Maildir/");
    answer(&worker, &taken[1].0, 111);
    let second = spawner.report();
    assert_eq!((second.slot, second.outcome), (2, Outcome::Deferral));
    answer(&worker, ann, 0);
    let first = spawner.report();
    assert_eq!((first.slot, first.outcome), (1, Outcome::Success));
    assert_eq!(first.text, b"did Ann\n");

    // A worker that goes away defers what it had, and is tried again.
    spawner.command(1, "7/30", "v.example-ann@v.example");
    requests(&worker, 1);
    drop(worker);
    assert_eq!(spawner.report().outcome, Outcome::Deferral);
    spawner.command(1, "7/30", "v.example-ann@v.example");
    let (worker, _) = listener.accept().unwrap();
    answer(&worker, &requests(&worker, 1)[0].0, 100);
    assert_eq!(spawner.report().outcome, Outcome::Failure);

    // With nobody there the program does it.
    drop((worker, listener));
    fs::remove_file(spawner.directory.path().join("run/deliver/socket")).unwrap();
    let (outcome, text) = spawner.try_one(1, "7/30", "v.example-ann@v.example");
    assert_eq!(outcome, Outcome::Success);
    assert!(text.starts_with("user=v.example "), "{text}");
}
