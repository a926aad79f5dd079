//! What `-n` prints for every kind of instruction.

use crate::world::World;

/// Mode and content of a file, dash and extension, exit code and output.
type Row = (
    u32,
    &'static str,
    &'static str,
    &'static str,
    i32,
    &'static str,
);

const BLANK: &str = "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n";
const FILE: &str = "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n";
const PROGRAM: &str = "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n";

const ROWS: &[Row] = &[
    (
        0o600,
        "./Mailbox\n",
        "",
        "",
        0,
        "mbox ./Mailbox\ndid 1+0+0\n",
    ),
    (
        0o600,
        "/var/mail/joe",
        "",
        "",
        0,
        "mbox /var/mail/joe\ndid 1+0+0\n",
    ),
    (0o600, ".", "", "", 0, "mbox .\ndid 1+0+0\n"),
    (
        0o600,
        "./Maildir/ \t\n",
        "",
        "",
        0,
        "maildir ./Maildir/\ndid 1+0+0\n",
    ),
    (0o600, "/", "", "", 0, "maildir /\ndid 1+0+0\n"),
    (
        0o600,
        "|a 'b c' | d\n",
        "",
        "",
        0,
        "program a 'b c' | d\ndid 0+0+1\n",
    ),
    (0o600, "| a\n", "", "", 0, "program  a\ndid 0+0+1\n"),
    (0o600, "&a@b\n", "", "", 0, "forward a@b\ndid 0+1+0\n"),
    (0o600, "a@b\n", "", "", 0, "forward a@b\ndid 0+1+0\n"),
    (0o600, "9a@b", "", "", 0, "forward 9a@b\ndid 0+1+0\n"),
    (0o600, "# text\n", "", "", 0, "did 0+0+0\n"),
    (0o600, "+other\n./M\n", "", "", 0, "mbox ./M\ndid 1+0+0\n"),
    (
        0o600,
        "./M\n\n\n./N\n",
        "",
        "",
        0,
        "mbox ./M\nmbox ./N\ndid 2+0+0\n",
    ),
    (
        0o600,
        "%./env\n?x test 1\n?y\n./M\n:y\n:x\n./N\n",
        "",
        "",
        0,
        "variables ./env\njump if test 1\nmbox ./N\ndid 1+0+1\n",
    ),
    (
        0o700,
        "?x\n|p\n:x\n&a@b\n",
        "",
        "",
        0,
        "forward a@b\ndid 0+1+0\n",
    ),
    (0o700, "?x p\n:x\n", "", "", 111, PROGRAM),
    (0o600, "\n./M\n", "", "", 111, BLANK),
    (0o600, " \t\n./M\n", "", "", 111, BLANK),
    (0o700, "&a@b\n", "", "", 0, "forward a@b\ndid 0+1+0\n"),
    (0o700, "./M\n", "", "", 111, FILE),
    (0o700, "|p\n", "", "", 111, PROGRAM),
    // What stands in for an empty file is not the user's.
    (0o700, "", "", "", 0, "mbox ./Mailbox\ndid 1+0+0\n"),
    (0o600, "", "", "", 0, "mbox ./Mailbox\ndid 1+0+0\n"),
    (0o600, "", "-", "ext", 0, "mbox ./Mailbox\ndid 1+0+0\n"),
    (
        0o600,
        "&x\n+list\n./M\n",
        "",
        "",
        111,
        "forward x\nUh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n",
    ),
    (0o600, "+list\n&x\n", "", "", 0, "forward x\ndid 0+1+0\n"),
];

#[test]
fn every_kind_of_instruction_is_printed() {
    for (mode, content, dash, ext, code, output) in ROWS {
        let world = World::new();
        world.write(&format!("home/.qmail{dash}{ext}"), content, *mode);
        let ended = world.run(&["-n"], dash, ext, "x@y", "./Mailbox");
        assert_eq!(
            (ended.code, &ended.output[..]),
            (*code, *output),
            "{content:?}"
        );
    }
}

#[test]
fn dash_and_extension_choose_the_file_that_is_printed() {
    let world = World::new();
    for name in [
        "",
        "default",
        "-a",
        "-a-default",
        "-a:b",
        "-default",
        "-a-owner",
    ] {
        world.write(
            &format!("home/.qmail{name}"),
            &format!("&from{name}\n"),
            0o600,
        );
    }
    for (dash, ext, from) in [
        ("", "", ""),
        ("-", "a", "-a"),
        ("-", "A", "-a"),
        ("-", "a-", "-a-default"),
        ("-", "a-b-c", "-a-default"),
        ("-", "a.b", "-a:b"),
        ("-", "ab", "-default"),
        ("-", "", "-default"),
        ("-", "a/b", "-default"),
        ("-", "default", "-default"),
        ("-", "a-default", "-a-default"),
    ] {
        let ended = world.run(&["-n"], dash, ext, "x@y", "");
        let expected = format!("forward from{from}\ndid 0+1+0\n");
        assert_eq!(ended.output, expected, "{dash}{ext}");
    }
}

#[test]
fn the_default_of_a_default_file_is_what_it_stands_for() {
    let world = World::new();
    world.write("home/.qmail-a-default", "|echo $DEFAULT\n", 0o600);
    for (ext, default) in [
        ("a-B.c", "B.c"),
        ("A-", ""),
        ("a-b-c", "b-c"),
        ("a-Default", "Default"),
    ] {
        let ended = world.run(&[], "-", ext, "x@y", "");
        assert_eq!(ended.output, format!("{default}\ndid 0+0+1\n"), "{ext}");
    }
}

#[test]
fn neither_loops_nor_editing_keep_it_from_printing() {
    let world = World::new();
    world.write("message", "Delivered-To: joe@example.org\n\n", 0o600);
    world.write("home/.qmail", "|touch pwned\n", 0o600);
    world.mode("home", 0o1700);
    let ended = world.run(&["-n"], "", "", "x@y", "");
    assert_eq!(ended.code, 0);
    assert_eq!(
        ended.output,
        "Warning: home directory is sticky.\nprogram touch pwned\ndid 0+0+1\n"
    );
}
