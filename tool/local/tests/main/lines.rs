//! bouncesaying, condredirect, except, forward, preline, qreceipt,
//! maildirmake and dot-forward, as qmail-local starts them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::world::World;

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
    fs::write(world.path(".forward"), "bob@y.org, \"|cat > got\"\n").unwrap();
    assert_eq!(world.run("dot-forward", &["none", ".forward"]).0, 99);
    assert_eq!(world.envelope(), "Fjoe-owner@h\0Tbob@y.org\0\0");
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
