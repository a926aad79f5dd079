//! fastforward and the programs that make and show its tables and lists.

use std::fs;

use crate::world::{Ended, World, ended};

fn table(world: &World, source: &str) {
    let made = world.feed("setforward", &["t.cdb", "t.tmp"], source.as_bytes());
    assert_eq!(made.code, 0, "{}", made.err);
}

fn forward(world: &World, options: &[&str], recipient: &str) -> Ended {
    world.forget();
    let arguments = [options, &["t.cdb"]].concat();
    let mut command = world.command("fastforward", &arguments);
    ended(command.env("RECIPIENT", recipient))
}

#[test]
fn a_recipient_in_the_table_is_sent_on() {
    let world = World::new();
    table(&world, "joe@h: bob@y, carol@z, bob@y; @v: eve@w;");
    let done = forward(&world, &[], "Joe@H");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("fastforward: qp "), "{}", done.out);
    assert_eq!(world.envelope(), "Fann@x\0Tbob@y\0Tcarol@z\0\0");
    let message = world.message();
    assert!(
        message.starts_with("Delivered-To: joe@h\nSubject: x\n"),
        "{message}"
    );
    assert_eq!(forward(&world, &["-p"], "any@v").code, 99);
    assert_eq!(world.envelope(), "Fann@x\0Teve@w\0\0");
}

#[test]
fn an_unknown_recipient_bounces_or_goes_on() {
    let world = World::new();
    table(&world, "joe@h: bob@y;");
    let done = forward(&world, &[], "eve@h");
    let text = "Sorry, no mailbox here by that name. (#5.1.1)\n";
    assert_eq!((done.code, &done.out[..]), (100, text));
    assert_eq!(forward(&world, &["-p"], "eve@h").code, 0);
    assert_eq!(forward(&world, &["-pP"], "eve@h").code, 100);
    assert_eq!(world.envelope(), "");
}

#[test]
fn the_recipient_may_be_what_default_stands_for() {
    let world = World::new();
    table(&world, "list@h: bob@y; ext@h: carol@z;");
    let run = |default: Option<&str>| {
        world.forget();
        let mut command = world.command("fastforward", &["-d", "t.cdb"]);
        command.env("EXT", "ext");
        if let Some(default) = default {
            command.env("DEFAULT", default);
        }
        assert_eq!(ended(&mut command).code, 0);
        world.envelope()
    };
    assert_eq!(run(Some("list")), "Fann@x\0Tbob@y\0\0");
    assert_eq!(run(None), "Fann@x\0Tcarol@z\0\0");
}

#[test]
fn an_owner_takes_the_bounces_but_not_of_bounces() {
    let world = World::new();
    table(&world, "joe@h: ?boss@h, bob@y;");
    assert_eq!(forward(&world, &[], "joe@h").code, 0);
    assert_eq!(world.envelope(), "Fboss@h\0Tbob@y\0\0");
    for sender in ["", "#@[]"] {
        world.forget();
        let mut command = world.command("fastforward", &["t.cdb"]);
        assert_eq!(ended(command.env("SENDER", sender)).code, 0);
        assert_eq!(world.envelope(), format!("F{sender}\0Tbob@y\0\0"));
    }
}

#[test]
fn programs_get_the_message_and_their_exit_code_decides() {
    let world = World::new();
    table(
        &world,
        "ok@h: |cat\\ >\\ plain, !cat\\ >\\ lines, bob@y;
         stop@h: |exit\\ 99, bob@y; never@h: |exit\\ 100, bob@y; later@h: |exit\\ 1, bob@y;",
    );
    assert_eq!(forward(&world, &[], "ok@h").code, 0);
    assert!(world.read("plain").starts_with("Subject: x\n"));
    assert!(
        world
            .read("lines")
            .starts_with("From ann@x DATE\nReturn-Path: <ann@x>\n")
    );
    assert_eq!(forward(&world, &[], "stop@h").code, 0);
    assert_ne!(world.envelope(), "");
    for (name, code) in [("never@h", 100), ("later@h", 111)] {
        assert_eq!(forward(&world, &[], name).code, code);
        assert_eq!(world.envelope(), "");
    }
}

#[test]
fn n_prints_and_does_nothing() {
    let world = World::new();
    table(&world, "joe@h: ?boss@h, |prog, !other, bob@y;");
    let done = forward(&world, &["-n"], "joe@h");
    let expected = "program prog\npreline other\nsender boss@h\nforward bob@y\n";
    assert_eq!((done.code, &done.out[..]), (0, expected));
    assert_eq!(world.envelope(), "");
}

#[test]
fn lists_must_be_readable_by_all_and_whole() {
    let world = World::new();
    table(&world, "l@h: ./l.bin;");
    assert_eq!(forward(&world, &[], "l@h").code, 111);
    let made = world.feed(
        "setmaillist",
        &["l.bin", "l.tmp"],
        b"# x\nbob@y\n&carol@z\n",
    );
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(forward(&world, &[], "l@h").code, 0);
    assert_eq!(world.envelope(), "Fann@x\0Tbob@y\0Tcarol@z\0\0");
    world.mode("l.bin", 0o640);
    let done = forward(&world, &[], "l@h");
    assert!(
        done.code == 111 && done.err.contains("chmod 644"),
        "{}",
        done.err
    );
    world.write("l.bin", b"|touch pwned\0bob@y\0");
    world.mode("l.bin", 0o644);
    assert_eq!(forward(&world, &[], "l@h").code, 111);
    assert!(!world.path("pwned").exists());
}

#[test]
fn a_missing_or_damaged_table_defers() {
    let world = World::new();
    assert_eq!(forward(&world, &[], "joe@h").code, 111);
    world.write("t.cdb", "short");
    assert_eq!(forward(&world, &[], "joe@h").code, 111);
    world.write("t.cdb", vec![0xff; 4096]);
    assert_eq!(forward(&world, &["-p"], "joe@h").code, 111);
    assert_eq!(world.envelope(), "");
}

#[test]
fn a_table_is_printed_as_it_was_written() {
    let world = World::new();
    table(&world, "a@h: ?o@h, b@y, |p\\ q; @h: ./l.bin;");
    let printed = world.feed("printforward", &[], &fs::read(world.path("t.cdb")).unwrap());
    assert_eq!(
        printed.out,
        "a@h: ?o@h;\na@h: &b@y, |p\\ q;\n@h: ./l.bin;\n"
    );
    assert_eq!(world.feed("printforward", &[], b"no table").code, 111);
    world.feed("setmaillist", &["l.bin", "l.tmp"], b"bob@y\n");
    let printed = world.feed(
        "printmaillist",
        &[],
        &fs::read(world.path("l.bin")).unwrap(),
    );
    assert_eq!(printed.out, "&bob@y\n");
    assert_eq!(world.feed("printmaillist", &[], b"no list").code, 111);
}

#[test]
fn a_bad_source_leaves_the_old_table() {
    let world = World::new();
    table(&world, "a@h: b@y;");
    let before = fs::read(world.path("t.cdb")).unwrap();
    let failed = world.feed("setforward", &["t.cdb", "t.tmp"], b"a@h: c@y;\nd@h");
    assert_eq!(failed.code, 100);
    assert!(failed.err.contains("input: line 2: "), "{}", failed.err);
    assert_eq!(fs::read(world.path("t.cdb")).unwrap(), before);
    assert!(!world.path("t.tmp").exists());
}

#[test]
fn a_link_in_place_of_the_temporary_file_is_not_followed() {
    let world = World::new();
    world.write("victim", "precious");
    std::os::unix::fs::symlink(world.path("victim"), world.path("t.tmp")).unwrap();
    table(&world, "a@h: b@y;");
    assert_eq!(world.read("victim"), "precious");
}

#[test]
fn the_aliases_of_a_system_are_obeyed() {
    let world = World::new();
    world.write("control/defaulthost", "here.example.org\n");
    world.write(
        "aliases",
        format!(
            "root: ann, bob@y.org\nlist: :include:{}\nowner-list: boss\nprog: \"|cat > got\"\n",
            world.path("members").display()
        ),
    );
    world.write("members", "# members\ncarol@z.org\nDave <dave@z.org>\n");
    let made = world.feed("newaliases", &["aliases"], b"");
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(world.feed("newinclude", &["members"], b"").code, 0);
    fs::rename(world.path("aliases.cdb"), world.path("t.cdb")).unwrap();

    assert_eq!(forward(&world, &[], "Root@h").code, 0);
    assert_eq!(
        world.envelope(),
        "Fann@x\0Tann@here.example.org\0Tbob@y.org\0\0"
    );
    assert_eq!(forward(&world, &[], "list@h").code, 0);
    assert_eq!(
        world.envelope(),
        "Fowner-list@here.example.org\0Tcarol@z.org\0Tdave@z.org\0\0"
    );
    assert_eq!(forward(&world, &["-p"], "prog@h").code, 99);
    assert!(world.read("got").starts_with("From ann@x DATE\n"));
}

#[test]
fn what_aliases_cannot_have_is_named() {
    let world = World::new();
    world.write("aliases", "a: b\nmine: /var/mail/mine\n");
    let failed = world.feed("newaliases", &["aliases"], b"");
    assert_eq!(failed.code, 100);
    assert!(
        failed.err.contains("aliases: line 2: delivery to files"),
        "{}",
        failed.err
    );
    assert!(!world.path("aliases.cdb").exists());
    world.write("members", "\"|prog\"\n");
    let failed = world.feed("newinclude", &["members"], b"");
    assert!(
        failed.code == 100 && failed.err.contains("line 1: programs"),
        "{}",
        failed.err
    );
    assert_eq!(world.feed("newaliases", &["none"], b"").code, 111);
}
