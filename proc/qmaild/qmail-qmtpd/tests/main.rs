//! Messages on descriptors 0 and 1, and a queue program that keeps them.

use std::path::Path;
use std::process::Command;

use testkit::{Ran, run};

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for name in ["control", "users", "alias", "run"] {
            std::fs::create_dir(world.path().join(name)).unwrap();
        }
        world.control("me", "mx.test\n");
        world.control("rcpthosts", "local.test\nhost.test\n");
        world.control("locals", "host.test\n");
        world.queue_ends(0);
        world
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn control(&self, name: &str, text: &str) {
        std::fs::write(self.path().join("control").join(name), text).unwrap();
    }

    /// A queue program that adds to what it has seen, and ends like this.
    fn queue_ends(&self, code: u8) {
        let directory = self.path().display();
        let script = format!(
            "#!/bin/sh\ncat >>{directory}/message\ncat <&1 >>{directory}/envelope\nexit {code}\n"
        );
        testkit::write_script(self.path().join("stub"), &script);
    }

    fn seen(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn talk(&self, variables: &[(&str, &str)], input: &[u8]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-qmtpd"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.path())
            .env("TCPREMOTEIP", "192.0.2.1")
            .env("TCPREMOTEHOST", "client.test")
            .env("QMAILQUEUE", self.path().join("stub"))
            .envs(variables.iter().copied());
        run(&mut command, input)
    }
}

const MESSAGE: &[u8] = b"16:\nSubject: t\n\nhi\n,7:a@b.com,16:12:x@local.test,,";
const NOT_HERE: &str = "66:Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1),";

// Acceptance 49.
#[test]
fn each_recipient_gets_its_answer() {
    let world = World::new();
    let ran = world.talk(&[], MESSAGE).good();
    let (length, answer) = ran.out.split_once(':').unwrap();
    assert_eq!(answer.len(), length.parse::<usize>().unwrap() + 1);
    assert!(answer.starts_with("Kok ") && answer.contains(" qp ") && answer.ends_with(','));
    let message = world.seen("message");
    assert!(
        message.starts_with("Received: from client.test (192.0.2.1)\n  by mx.test with QMTP id ")
    );
    assert!(message.ends_with("-0000\nSubject: t\n\nhi\n"), "{message}");
    assert_eq!(world.seen("envelope"), "Fa@b.com\0Tx@local.test\0\0");

    let other = b"16:\nSubject: t\n\nhi\n,7:a@b.com,16:12:x@other.test,,";
    assert_eq!(world.talk(&[], other).good().out, NOT_HERE);
    let two = b"2:\nx,0:,32:12:x@other.test,12:x@local.test,,";
    let out = world.talk(&[], &[&two[..], MESSAGE].concat()).good().out;
    let rest = out.strip_prefix(NOT_HERE).unwrap();
    assert_eq!(rest.matches(":Kok ").count(), 2, "{out}");
    assert!(
        world
            .seen("envelope")
            .contains("\0\0F\0Tx@local.test\0\0Fa@b.com\0")
    );
}

#[test]
fn relay_clients_send_anywhere() {
    let world = World::new();
    let other = b"2:\nx,7:a@b.com,16:12:x@other.test,,";
    let out = world.talk(&[("RELAYCLIENT", ".via")], other).good().out;
    assert!(out.contains(":Kok "), "{out}");
    assert_eq!(world.seen("envelope"), "Fa@b.com\0Tx@other.test.via\0\0");
}

#[test]
fn the_lists_of_smtp_hold_here_too() {
    let world = World::new();
    world.control("badmailfrom", "@b.com\n");
    let out = world.talk(&[], MESSAGE).good().out;
    assert!(out.contains("badmailfrom list (#5.7.1),"), "{out}");
    world.control("badmailfrom", "");
    world.control("badrcptto", "x@local.test\n");
    let out = world.talk(&[], MESSAGE).good().out;
    assert!(out.contains("badrcptto list (#5.7.1),"), "{out}");
    world.control("goodrcptto", "x@local.test\n");
    assert!(world.talk(&[], MESSAGE).good().out.contains(":Kok "));
    let nobody = b"2:\nx,0:,31:27:no-such-user-here@host.test,,";
    let out = world.talk(&[], nobody).good().out;
    assert!(
        out.contains("> is absent on this domain (#5.1.1),"),
        "{out}"
    );
    assert_eq!(world.seen("envelope").matches('F').count(), 1);
}

#[test]
fn what_is_too_big_or_loops_is_not_queued() {
    let world = World::new();
    let out = world.talk(&[("DATABYTES", "10")], MESSAGE).good().out;
    let big = ":Dsorry, that message size exceeds my databytes limit (#5.3.4),";
    assert!(out.contains(big), "{out}");
    let looping = format!("\n{}\nx\n", "Received: x\n".repeat(3));
    let looping = format!("{}:{looping},0:,16:12:x@local.test,,", looping.len());
    let out = world
        .talk(&[("MAXHOPS", "3")], looping.as_bytes())
        .good()
        .out;
    assert!(out.contains(":Dtoo many hops, "), "{out}");
    assert!(
        world
            .talk(&[("MAXHOPS", "4")], looping.as_bytes())
            .good()
            .out
            .contains(":Kok ")
    );
    assert_eq!(world.seen("envelope"), "F\0Tx@local.test\0\0");
}

#[test]
fn what_the_queue_says_becomes_the_answer() {
    let world = World::new();
    for (code, answer) in [
        (53, ":Zqq write error or disk full (#4.3.0),"),
        (31, ":Dmail server permanently rejected message (#5.3.0),"),
    ] {
        world.queue_ends(code);
        let out = world.talk(&[], MESSAGE).good().out;
        assert!(out.ends_with(answer), "{out}");
    }
}

#[test]
fn who_does_not_speak_it_is_cut() {
    let world = World::new();
    for (input, code) in [
        (&b"EHLO x\r\n"[..], 100),
        (b"200000001:", 111),
        (b"16:\nSubject", 100),
        (b"", 0),
    ] {
        let ran = world.talk(&[], input);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{input:?}");
    }
    std::fs::remove_file(world.path().join("control/rcpthosts")).unwrap();
    let ran = world.talk(&[], MESSAGE);
    assert_eq!((ran.code, ran.out.as_str()), (100, ""));
    assert!(ran.err.contains("everybody could relay"), "{}", ran.err);
    assert_eq!(world.seen("envelope"), "");
}
