//! The real program, on real descriptors.

mod acceptance;
mod bad_input;
mod policies;

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitStatus};

use queue::Layout;
use run::Home;

struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        queue::create(&home.queues().join("queue1"), None).unwrap();
        Self { directory }
    }

    fn layout(&self) -> Layout {
        Layout::detect(self.directory.path().join("queue/queue1")).unwrap()
    }

    fn queue(&self, message: &[u8], envelope: &[u8], variables: &[(&str, &str)]) -> Option<i32> {
        self.status(message, envelope, variables).code()
    }

    fn status(&self, message: &[u8], envelope: &[u8], variables: &[(&str, &str)]) -> ExitStatus {
        let (message_end, message_pipe) = pipe();
        let (envelope_end, envelope_pipe) = pipe();
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-queue"));
        command
            .env("QMAILDIR", self.directory.path())
            .envs(variables.iter().copied());
        command.stdin(message_end).stdout(envelope_end);
        let mut child = command.spawn().unwrap();
        drop(command);
        for (mut pipe, bytes) in [(message_pipe, message), (envelope_pipe, envelope)] {
            // It may have gone away already.
            let _ = pipe.write_all(bytes);
        }
        child.wait().unwrap()
    }

    fn messages(&self) -> Vec<u64> {
        self.layout()
            .directories("todo")
            .iter()
            .flat_map(|path| std::fs::read_dir(path).unwrap())
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect()
    }

    fn envelope(&self, id: u64) -> String {
        String::from_utf8(std::fs::read(self.layout().todo(id)).unwrap()).unwrap()
    }

    fn files(&self, name: &str) -> usize {
        let directories = self.layout().directories(name);
        directories
            .iter()
            .map(|path| std::fs::read_dir(path).unwrap().count())
            .sum()
    }

    fn is_empty(&self) -> bool {
        ["pid", "mess", "intd", "todo"]
            .into_iter()
            .all(|name| self.files(name) == 0)
    }
}

fn pipe() -> (OwnedFd, File) {
    let (read, write) = os::fd::pipe().unwrap();
    (read, write.into())
}

const ENVELOPE: &[u8] = b"Fann@example.org\0Tbob@example.org\0Tcarol@example.net\0\0";

#[test]
fn message_and_envelope_are_on_disk_after_exit_0() {
    let site = Site::new();
    std::fs::write(
        site.directory.path().join("control/envheaders"),
        "Subject\n",
    )
    .unwrap();
    std::fs::write(
        site.directory.path().join("control/extraqueue"),
        "log@example.org\n",
    )
    .unwrap();
    let text = b"Subject: x\n\n".repeat(20_000);
    let variables = [
        ("TCPREMOTEIP", "192.0.2.9"),
        ("HOSTNAME", "mx.example.org"),
        ("QQEH", "X-Extra: 1"),
        ("X_INDIMAIL_TRACE", "0123456789abcdef"),
    ];
    assert_eq!(site.queue(&text, ENVELOPE, &variables), Some(0));
    let id = site.messages()[0];
    let mess = std::fs::read(site.layout().mess(id)).unwrap();
    let uid = os::account::real_uid();
    let line = mess.split(|&b| b == b'\n').next().unwrap();
    let line = std::str::from_utf8(line).unwrap();
    assert!(line.starts_with("Received: (indimail "), "{line}");
    let middle = format!(" invoked from 192.0.2.9 by host mx.example.org by uid {uid}); ");
    assert!(line.contains(&middle), "{line}");
    assert!(mess.ends_with(&text));
    assert_eq!(mess.len(), line.len() + 1 + text.len());
    assert_eq!(std::fs::metadata(site.layout().mess(id)).unwrap().ino(), id);
    let envelope = String::from_utf8(std::fs::read(site.layout().todo(id)).unwrap()).unwrap();
    let records: Vec<_> = envelope.split('\0').collect();
    assert_eq!(records[0], format!("u{uid}"));
    assert_eq!(
        records[2..],
        [
            "Fann@example.org",
            "Tlog@example.org",
            "Tbob@example.org",
            "Tcarol@example.net",
            "eX-Extra: 1\n",
            "hX-Indimail-Trace: 0123456789abcdef\nSubject: x\n",
            "",
        ]
    );
}

#[test]
fn exit_codes_say_what_is_wrong_and_nothing_is_left() {
    let site = Site::new();
    let long = [b"F\0T", &[b'a'; 1003][..], b"\0\0"].concat();
    let cases: [(&[u8], i32); 6] = [
        (b"", 54),
        (b"Fann@example.org\0Tbob@example.org\0", 54),
        (b"Tbob@example.org\0\0", 79),
        (b"F\0Xbob\0\0", 79),
        (&long, 11),
        (b"F\0Tbob\nBcc: eve\0\0", 31),
    ];
    for (envelope, code) in cases {
        assert_eq!(site.queue(b"\n", envelope, &[]), Some(code), "{envelope:?}");
        assert!(site.is_empty());
    }
    assert_eq!(
        site.queue(b"\n", ENVELOPE, &[("MIN_FREE", "9000000000000000000")]),
        Some(53)
    );
    assert_eq!(
        site.queue(b"\n", ENVELOPE, &[("QUEUEDIR", "queue/missing")]),
        Some(62)
    );
    std::fs::create_dir(site.directory.path().join("control/extraqueue")).unwrap();
    assert_eq!(site.queue(b"\n", ENVELOPE, &[]), Some(55));
    assert_eq!(site.queue(b"\n", ENVELOPE, &[("EXTRAQUEUE", "")]), Some(0));
}

#[test]
fn when_its_time_is_over_it_exits_52() {
    let site = Site::new();
    let (message, _writer) = pipe();
    let (envelope, _other) = pipe();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-queue"));
    command
        .env("QMAILDIR", site.directory.path())
        .env("DEATH", "1");
    let mut child = command.stdin(message).stdout(envelope).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(52));
}

#[test]
fn the_trigger_is_pulled() {
    use std::io::Read;
    let site = Site::new();
    let mut trigger = os::file::open_fifo_read(&site.layout().lock("trigger")).unwrap();
    assert_eq!(site.queue(b"\n", ENVELOPE, &[]), Some(0));
    let mut buffer = [0; 8];
    assert_eq!(trigger.read(&mut buffer).unwrap(), 1);
    assert_eq!(buffer[0], 0);
}

#[test]
fn hostile_descriptors_and_limits_leave_nothing() {
    let site = Site::new();
    let program = env!("CARGO_BIN_EXE_qmail-queue");
    let shell = |script: String| {
        let mut shell = Command::new("bash");
        shell
            .env("QMAILDIR", site.directory.path())
            .arg("-c")
            .arg(script);
        shell.status().unwrap().code()
    };
    assert_eq!(shell(format!("exec {program} <&- 1<&-")), Some(54));
    assert_eq!(
        shell(format!("exec {program} </dev/null 1</dev/null 2>&-")),
        Some(54)
    );
    let envelope = "F\\0Ta@b\\0\\0";
    let feed = format!("{program} < <(head -c 100000 /dev/zero) 1< <(printf '{envelope}')");
    assert_eq!(shell(format!("ulimit -f 8; {feed}")), Some(53));
    let input = format!("< <(printf 'text\\n') 1< <(printf '{envelope}')");
    for limit in 4..6 {
        let code = shell(format!(
            "(ulimit -n {limit}; trap '' ALRM; exec {program}) {input}"
        ));
        assert!(matches!(code, Some(51..=81)), "{code:?}");
    }
    assert!(site.is_empty());
    assert_eq!(shell(feed), Some(0));
}

/// A set-uid copy, called by somebody else: needs root to arrange.
#[test]
fn a_stranger_cannot_choose_queue_policy_or_origin() {
    use std::os::unix::fs::PermissionsExt;
    if !os::account::is_root() {
        return;
    }
    const QUEUE_OWNER: u32 = 65_533;
    const STRANGER: u32 = 65_532;
    let site = Site::new();
    let root = site.directory.path();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(root, 0o755);
    std::fs::write(root.join("control/extraqueue"), "log@example.org\n").unwrap();
    std::fs::write(root.join("control/mailarchive"), "::arc@example.org\n").unwrap();
    std::fs::create_dir(root.join("bin")).unwrap();
    let program = root.join("bin/qmail-queue");
    testkit::copy_program(env!("CARGO_BIN_EXE_qmail-queue"), &program);
    let owner = format!("{QUEUE_OWNER}:{QUEUE_OWNER}");
    for path in [root.join("queue"), program.clone()] {
        assert!(
            Command::new("chown")
                .arg("-R")
                .arg(&owner)
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    }
    mode(&program, 0o6711);
    let run = |program: &std::path::Path| {
        let (message_end, message_pipe) = pipe();
        let (envelope_end, mut envelope_pipe) = pipe();
        let mut command = Command::new(program);
        command.stdin(message_end).stdout(envelope_end);
        command
            .env("QUEUEDIR", "/tmp")
            .env("CONTROLDIR", "/tmp")
            .env("QMAILDIR", "/tmp");
        command
            .env("EXTRAQUEUE", "")
            .env("TCPREMOTEIP", "192.0.2.9")
            .env("DEATH", "0");
        command
            .env("MAILARCHIVE", "")
            .env("QUARANTINE", "stranger@example.org")
            .env("REMOVEHEADERS", "/etc/passwd")
            .env("MIN_FREE", "8000000000G")
            .env("USE_FSYNC", "0")
            .env("ORIGINIPFIELD", "1")
            .env("RELAYCLIENT", "")
            .env("LOGHEADERFD", "9")
            .env("HOSTNAME", "x\nBcc: evil@example.org");
        std::os::unix::process::CommandExt::uid(&mut command, STRANGER);
        std::os::unix::process::CommandExt::gid(&mut command, STRANGER);
        let mut child = command.spawn().unwrap();
        drop(command);
        drop(message_pipe);
        let _ = envelope_pipe.write_all(ENVELOPE);
        drop(envelope_pipe);
        child.wait().unwrap().code()
    };
    assert_eq!(run(&program), Some(0));
    let id = site.messages()[0];
    let mess = std::fs::read_to_string(site.layout().mess(id)).unwrap();
    assert!(
        mess.contains(&format!(" invoked by uid {STRANGER}); ")),
        "{mess}"
    );
    let envelope = std::fs::read_to_string(site.layout().todo(id)).unwrap();
    assert!(
        envelope.starts_with(&format!("u{STRANGER}\0")),
        "{envelope:?}"
    );
    assert!(envelope.contains("\0Tlog@example.org\0Tbob@example.org\0"));
    assert!(envelope.contains("\0Tarc@example.org\0h"), "{envelope:?}");
    assert!(
        !mess.contains("evil") && !mess.contains("192.0.2.9"),
        "{mess}"
    );

    // Linked into a tree of the stranger's own, it refuses that tree, even when
    // the queue in it is a link to the true one.
    let trap = site.directory.path().join("trap");
    for name in ["bin", "control", "alias"] {
        std::fs::create_dir_all(trap.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(root.join("queue"), trap.join("queue")).unwrap();
    let trap_owner = format!("{STRANGER}:{STRANGER}");
    assert!(
        Command::new("chown")
            .arg("-R")
            .arg(trap_owner)
            .arg(&trap)
            .status()
            .unwrap()
            .success()
    );
    std::fs::hard_link(&program, trap.join("bin/qmail-queue")).unwrap();
    assert_eq!(run(&trap.join("bin/qmail-queue")), Some(67));
}
