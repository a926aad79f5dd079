//! Programs that deliver into maildirs, and those that empty them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use crate::world::{Ended, World, ended};

fn maildir(world: &World) {
    assert_eq!(world.run("maildirmake", &["Maildir"]).0, 0);
}

fn count(world: &World, directory: &str) -> usize {
    fs::read_dir(world.path(directory)).unwrap().count()
}

/// A message that is so many seconds old.
fn put(world: &World, name: &str, content: &str, age: u64) {
    world.write(name, content);
    let file = File::options().append(true).open(world.path(name)).unwrap();
    let time = std::time::SystemTime::now() - Duration::from_secs(age);
    file.set_modified(time).unwrap();
}

fn to_mbox(world: &World) -> Ended {
    let mut command = world.command("maildir2mbox", &[] as &[&str]);
    for (name, path) in [
        ("MAILDIR", "Maildir"),
        ("MAIL", "Mailbox"),
        ("MAILTMP", "Mailbox.tmp"),
    ] {
        command.env(name, world.path(path));
    }
    ended(&mut command)
}

#[test]
fn maildirdeliver_stores_the_message_with_its_lines() {
    let world = World::new();
    assert_eq!(world.run("maildirdeliver", &["Maildir"]).0, 111);
    maildir(&world);
    assert_eq!(world.run("maildirdeliver", &["Maildir"]).0, 0);
    let entry = fs::read_dir(world.path("Maildir/new"))
        .unwrap()
        .next()
        .unwrap();
    let content = fs::read_to_string(entry.unwrap().path()).unwrap();
    let head = "Return-Path: <ann@x>\nDelivered-To: joe@h\nSubject: x\n";
    assert!(content.starts_with(head), "{content}");
    assert_eq!(world.run("maildirdeliver", &[]).0, 100);
}

#[test]
fn condtomaildir_stores_what_a_program_chooses() {
    let world = World::new();
    maildir(&world);
    for (arguments, code, stored) in [
        (&["Maildir", "false"][..], 0, 0),
        (&["Maildir", "sh", "-c", "exit 111"], 111, 0),
        (&["Maildir", "sh", "-c", "exit 100"], 100, 0),
        (&["Maildir", "grep", "-q", "^Subject: x"], 99, 1),
        (&["-r", "Maildir", "false"], 99, 2),
        (&["-r", "Maildir", "true"], 0, 2),
        (&["None", "true"], 111, 2),
    ] {
        assert_eq!(
            world.run("condtomaildir", arguments).0,
            code,
            "{arguments:?}"
        );
        assert_eq!(count(&world, "Maildir/new"), stored, "{arguments:?}");
    }
    for entry in fs::read_dir(world.path("Maildir/new")).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        let head = b"Return-Path: <ann@x>\nDelivered-To: joe@h\nX-Q: 1\nSubject: x\n";
        assert!(content.starts_with(head));
        assert!(!content.contains(&0));
    }
}

#[test]
fn ismaildup_ends_the_list_for_another_copy_only() {
    let world = World::new();
    maildir(&world);
    let arguments = &["Maildir"];
    let first = b"Received: one\nMessage-ID: <1@x>\nSubject: a\n\nbody\n";
    let second = b"Received: two\nMessage-ID: <1@x>\nSubject: a\n\nbody\n";
    // A delivery that failed after it is tried again, and must not be lost.
    for (message, code) in [(first, 0), (first, 0), (second, 99), (first, 0)] {
        assert_eq!(world.feed("ismaildup", arguments, message).code, code);
    }
    let other = b"Received: two\nMessage-ID: <2@x>\nSubject: a\n\nbody\n";
    assert_eq!(world.feed("ismaildup", arguments, other).code, 0);
    let nameless = b"Subject: a\n\nbody\n";
    for _ in 0..2 {
        assert_eq!(world.feed("ismaildup", arguments, nameless).code, 0);
    }
    assert_eq!(world.feed("ismaildup", &["None"], first).code, 111);
}

#[test]
fn ismaildup_forgets_and_believes_a_program() {
    let world = World::new();
    maildir(&world);
    let message = |way: &str, subject: &str| {
        format!("Received: {way}\nMessage-ID: <1@x>\nSubject: {subject}\n\n").into_bytes()
    };
    let program = &["Maildir", "sh", "-c", "echo the same"];
    assert_eq!(world.feed("ismaildup", program, &message("a", "x")).code, 0);
    assert_eq!(
        world.feed("ismaildup", program, &message("b", "y")).code,
        99
    );
    let failing = &["Maildir", "false"];
    assert_eq!(
        world.feed("ismaildup", failing, &message("b", "y")).code,
        111
    );
    let text = world.read("Maildir/dupmd5");
    let (time, rest) = text.split_once(' ').unwrap();
    let old = time.parse::<i64>().unwrap() - 901;
    world.write("Maildir/dupmd5", format!("{old} {rest}"));
    assert_eq!(world.feed("ismaildup", program, &message("b", "y")).code, 0);
}

#[test]
fn maildir2mbox_moves_old_messages_in_their_order() {
    let world = World::new();
    maildir(&world);
    world.write("Mailbox", "From old DATE\nbefore\n\n");
    put(
        &world,
        "Maildir/new/b",
        "Return-Path: <ann b@x>\n\nFrom here\n",
        100,
    );
    put(
        &world,
        "Maildir/cur/a:2,S",
        "Return-Path: <>\nSubject: a\n\nfirst",
        200,
    );
    put(&world, "Maildir/new/.hidden", "x", 100);
    put(&world, "Maildir/new/now", "too young", 0);
    // The clock's second may end while the test runs: this one is of the
    // future.
    let file = File::options()
        .append(true)
        .open(world.path("Maildir/new/now"))
        .unwrap();
    let soon = std::time::SystemTime::now() + Duration::from_secs(60);
    file.set_modified(soon).unwrap();
    put(&world, "Maildir/tmp/stale", "x", 37 * 3600);
    let stale = File::options()
        .append(true)
        .open(world.path("Maildir/tmp/stale"))
        .unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(37 * 3600);
    stale
        .set_times(fs::FileTimes::new().set_accessed(old).set_modified(old))
        .unwrap();
    put(&world, "Maildir/tmp/fresh", "x", 3600);

    let done = to_mbox(&world);
    assert_eq!(done.code, 0, "{}", done.err);
    let mbox = world.read("Mailbox");
    let parts: Vec<&str> = mbox.split("From ").collect();
    assert!(
        mbox.starts_with("From old DATE\nbefore\n\nFrom MAILER-DAEMON "),
        "{mbox}"
    );
    assert!(
        parts[2].ends_with("\nReturn-Path: <>\nSubject: a\n\nfirst\n\n"),
        "{mbox}"
    );
    assert!(mbox.contains("\nFrom ann-b@x "), "{mbox}");
    assert!(
        mbox.ends_with("Return-Path: <ann b@x>\n\n>From here\n\n"),
        "{mbox}"
    );
    assert_eq!(count(&world, "Maildir/cur"), 0);
    assert_eq!(count(&world, "Maildir/new"), 2);
    assert_eq!(count(&world, "Maildir/tmp"), 1);
    assert!(!world.path("Mailbox.tmp").exists());
}

#[test]
fn maildir2mbox_that_fails_leaves_everything() {
    let world = World::new();
    maildir(&world);
    put(&world, "Maildir/new/a", "text\n", 100);
    fs::create_dir(world.path("Mailbox.tmp")).unwrap();
    assert_eq!(to_mbox(&world).code, 111);
    assert_eq!(count(&world, "Maildir/new"), 1);
    assert_eq!(world.read("Mailbox"), "");
    fs::remove_dir(world.path("Mailbox.tmp")).unwrap();
    // A link is no message: it could be anybody's file.
    symlink(world.path("message"), world.path("Maildir/new/link")).unwrap();
    assert_eq!(to_mbox(&world).code, 0);
    assert!(!world.read("Mailbox").contains("Notice-Requested"));
    let unset = world.run("maildir2mbox", &[]);
    assert_eq!(unset.0, 111);
}

#[test]
fn the_readers_move_mail_first() {
    let world = World::new();
    maildir(&world);
    put(&world, "Maildir/new/a", "text\n", 100);
    for (tool, reader) in [("elq", "elm"), ("pinq", "pine"), ("qail", "Mail")] {
        world.script(&format!("bin/{reader}"), "#!/bin/sh\necho $0 \"$@\"\n");
        let mut command = world.command(tool, &["-x"]);
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", world.path("bin").display()),
        );
        for (name, path) in [
            ("MAILDIR", "Maildir"),
            ("MAIL", "Mailbox"),
            ("MAILTMP", "T"),
        ] {
            command.env(name, world.path(path));
        }
        let done = ended(&mut command);
        assert!(
            done.out.ends_with(&format!("{reader} -x\n")),
            "{}{}",
            done.out,
            done.err
        );
    }
    assert!(world.read("Mailbox").ends_with("\ntext\n\n"));
}

#[test]
fn maildirwatch_shows_what_is_new() {
    let world = World::new();
    maildir(&world);
    let text = "Return-Path: <ann@x>\nDelivered-To: joe@h\nSubject: hi\n\n\x1b[2Jhello\n";
    put(&world, "Maildir/new/a", text, 100);
    let mut child = world
        .command("qmaildirwatch", &[] as &[&str])
        .env("MAILDIR", world.path("Maildir"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen[0], "\x1b[H\x1b[J1 new, 0 old");
    assert_eq!(seen[2], "FROM ann@x TO <joe@h>");
    assert_eq!(seen[3], "    hi ?[2Jhello");
}

#[test]
fn qbiff_and_qlist_say_what_they_say() {
    let world = World::new();
    assert_eq!(world.run("qbiff", &[]), (0, String::new()));
    let (code, text) = world.run("qlist", &["dir"]);
    assert!(code == 100 && text.contains("ezmlm"), "{text}");
}
