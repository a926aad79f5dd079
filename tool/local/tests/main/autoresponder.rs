//! autoresponder, as a line of a `.qmail` file runs it.

use std::fs;

use crate::world::{Ended, World};

const MESSAGE: &[u8] = b"Message-ID: <1@x>\nTo: joe@h\nSubject: lunch?\n\nToday?\n";

fn answer(world: &World, options: &[&str], message: &[u8]) -> Ended {
    world.write("text", "I am away.\n");
    world.forget();
    world.feed(
        "autoresponder",
        &[options, &["text", "dir"]].concat(),
        message,
    )
}

#[test]
fn a_message_is_answered_once() {
    let world = World::new();
    let done = answer(&world, &[], MESSAGE);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(world.envelope(), "F\0Tann@x\0\0");
    let reply = world.message();
    for line in [
        "Auto-Submitted: auto-replied\n",
        "\nFrom: joe@h\nTo: <ann@x>\nIn-Reply-To: <1@x>\n",
        "\nSubject: Autoreply: Re: lunch?\n",
        "\n\nI am away.\n",
    ] {
        assert!(reply.contains(line), "{line} in {reply}");
    }
    assert_eq!(answer(&world, &[], MESSAGE).code, 0);
    assert_eq!(world.envelope(), "");
    assert_eq!(answer(&world, &["-n", "2", "-L"], MESSAGE).code, 0);
    assert_ne!(world.envelope(), "");
}

#[test]
fn what_was_not_sent_is_answered_later() {
    let world = World::new();
    let good = fs::read_to_string(world.path("bin/qmail-queue")).unwrap();
    world.script("bin/qmail-queue", "#!/bin/sh\nexit 53\n");
    assert_eq!(answer(&world, &[], MESSAGE).code, 111);
    world.script("bin/qmail-queue", &good);
    assert_eq!(answer(&world, &[], MESSAGE).code, 0);
    assert_ne!(world.envelope(), "");
}

#[test]
fn lists_robots_and_strangers_are_not_answered() {
    let world = World::new();
    for header in [
        "List-ID: x\n",
        "Auto-Submitted: auto-generated\n",
        "Precedence: bulk\n",
    ] {
        let message = [header.as_bytes(), MESSAGE].concat();
        assert_eq!(answer(&world, &["-l"], &message).code, 0);
        assert_eq!(world.envelope(), "", "{header}");
    }
    let unaddressed = b"To: eve@x\n\nhello\n";
    assert_eq!(answer(&world, &[], unaddressed).code, 0);
    assert_eq!(world.envelope(), "");
    world.write("control/badrcptto", "@x\n");
    assert_eq!(answer(&world, &[], MESSAGE).code, 0);
    assert_eq!(world.envelope(), "");
    fs::remove_file(world.path("control/badrcptto")).unwrap();
    assert_eq!(answer(&world, &["-l"], unaddressed).code, 0);
    assert_ne!(world.envelope(), "");
}

#[test]
fn n_prints_and_time_is_kept() {
    let world = World::new();
    let done = answer(&world, &["-N", "-S", "gone", "-f", "Joe <joe@h>"], MESSAGE);
    assert!(done.out.contains("\nFrom: Joe <joe@h>\n"), "{}", done.out);
    assert!(done.out.contains("\nSubject: gone\n"), "{}", done.out);
    assert_eq!(world.envelope(), "");
    assert_eq!(
        answer(&world, &["-e", "2001-01-01 00:00:00"], MESSAGE).code,
        0
    );
    assert_eq!(world.envelope(), "");
}

#[test]
fn wrong_use_waits_and_q_is_quiet() {
    let world = World::new();
    assert_eq!(world.feed("autoresponder", &["text"], MESSAGE).code, 111);
    let done = world.feed("autoresponder", &["none", "dir"], MESSAGE);
    assert!(
        done.code == 111 && done.err.contains("none"),
        "{}",
        done.err
    );
    let done = world.feed("autoresponder", &["-q", "none", "dir"], MESSAGE);
    assert_eq!((done.code, &done.err[..]), (111, ""));
}
