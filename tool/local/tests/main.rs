//! Whole runs of the programs, as qmail-local starts them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for name in ["control", "bin", "queued"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        let queued = world.path("queued");
        let queue = format!(
            "#!/bin/sh\ncat > {0}/m && cat <&1 > {0}/e 2>&1\n",
            queued.display()
        );
        fs::write(world.path("bin/qmail-queue"), queue).unwrap();
        fs::set_permissions(world.path("bin/qmail-queue"), Permissions::from_mode(0o755)).unwrap();
        let message =
            "Subject: x\nNotice-Requested-Upon-Delivery-To: joe@h\nMessage-ID: <1@z>\n\nhi\n";
        fs::write(world.path("message"), message).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_local-tools"))
            .arg0(format!("/x/{name}"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.0.path())
            .env("SENDER", "ann@x")
            .env("NEWSENDER", "joe-owner@h")
            .env("DTLINE", "Delivered-To: joe@h\n")
            .env("RPLINE", "Return-Path: <ann@x>\n")
            .env("UFLINE", "From ann@x DATE\n")
            .env("QQEH", "X-Q: 1\n")
            .env("USER", "joe")
            .env("HOST", "h")
            .stdin(File::open(self.path("message")).unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    fn envelope(&self) -> String {
        fs::read_to_string(self.path("queued/e")).unwrap_or_default()
    }

    fn message(&self) -> String {
        fs::read_to_string(self.path("queued/m")).unwrap()
    }
}

#[test]
fn forward_sends_the_message_on() {
    let world = World::new();
    let (code, text) = world.run("forward", &["bob@y", "carol@z"]);
    assert_eq!(code, 0);
    assert!(text.starts_with("forward: qp "));
    assert_eq!(world.envelope(), "Fjoe-owner@h\0Tbob@y\0Tcarol@z\0\0");
    assert!(
        world
            .message()
            .starts_with("Delivered-To: joe@h\nSubject: x\n")
    );
    assert_eq!(world.run("forward", &[]).0, 100);
}

#[test]
fn bouncesaying_and_except_turn_codes_around() {
    let world = World::new();
    assert_eq!(
        world.run("bouncesaying", &["no such thing"]),
        (100, "no such thing\n".into())
    );
    for (program, bounce, except) in [("true", 100, 100), ("false", 0, 0), ("/no/such", 0, 0)] {
        assert_eq!(
            world.run("bouncesaying", &["x", program]).0,
            bounce,
            "{program}"
        );
        assert_eq!(world.run("except", &[program]).0, except, "{program}");
    }
    assert_eq!(
        world.run("bouncesaying", &["x", "sh", "-c", "exit 111"]).0,
        111
    );
    assert_eq!(world.run("except", &["sh", "-c", "kill -9 $$"]).0, 111);
}

#[test]
fn condredirect_forwards_what_a_program_read() {
    let world = World::new();
    let (code, text) = world.run("condredirect", &["bob@y", "grep", "-q", "^Subject: x"]);
    assert_eq!(code, 99);
    assert!(text.starts_with("condredirect: qp "));
    assert_eq!(world.envelope(), "Fann@x\0Tbob@y\0\0");
    let head = "Delivered-To: joe@h\nX-Q: 1\nSubject: x\n";
    assert!(world.message().starts_with(head));
    assert_eq!(world.run("condredirect", &["bob@y", "false"]).0, 0);
    assert_eq!(world.run("condredirect", &["-r", "bob@y", "false"]).0, 99);
    assert_eq!(
        world
            .run("condredirect", &["bob@y", "sh", "-c", "exit 100"])
            .0,
        100
    );
}

#[test]
fn preline_puts_lines_in_front() {
    let world = World::new();
    let (code, text) = world.run("preline", &["sh", "-c", "cat; exit 3"]);
    assert_eq!(code, 3);
    let head = "From ann@x DATE\nReturn-Path: <ann@x>\nDelivered-To: joe@h\nX-Q: 1\nSubject: x\n";
    assert!(text.starts_with(head));
    let (_, text) = world.run("preline", &["-f", "-rde", "cat"]);
    assert!(text.starts_with("Subject: x\n"));
    assert_eq!(world.run("preline", &["/no/such/program"]).0, 100);
}

#[test]
fn maildirmake_makes_what_is_missing() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.run("qmaildirmake", &["Maildir"]).0, 0);
    }
    for name in ["Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"] {
        assert_eq!(
            fs::metadata(world.path(name)).unwrap().mode() & 0o777,
            0o700
        );
    }
    assert_eq!(world.run("maildirmake", &["a/b/c"]).0, 111);
}

#[test]
fn qreceipt_answers_who_asked() {
    let world = World::new();
    assert_eq!(world.run("qreceipt", &["eve@h"]).0, 0);
    assert_eq!(world.envelope(), "");
    assert_eq!(world.run("qreceipt", &["joe@h"]).0, 0);
    assert_eq!(world.envelope(), "F\0Tann@x\0\0");
    assert!(world.message().contains("Subject: success notice\n"));
    assert!(world.message().contains("<1@z>"));
}

#[test]
fn dot_forward_follows_the_first_file() {
    let world = World::new();
    assert_eq!(world.run("dot-forward", &[".forward"]).0, 0);
    fs::write(world.path(".forward"), "bob@y, \"|cat > got\"\n").unwrap();
    assert_eq!(world.run("dot-forward", &["none", ".forward"]).0, 99);
    assert_eq!(world.envelope(), "Fjoe-owner@h\0Tbob@y\0\0");
    assert!(
        fs::read_to_string(world.path("got"))
            .unwrap()
            .starts_with("From ann@x")
    );
    fs::write(world.path(".forward"), "\\joe, bob@y\n").unwrap();
    assert_eq!(world.run("dot-forward", &[".forward"]).0, 0);
}

#[test]
fn the_first_argument_names_the_program_too() {
    let world = World::new();
    assert_eq!(world.run("local-tools", &["except", "false"]).0, 0);
    assert_eq!(world.run("local-tools", &["nonsense"]).0, 100);
}
