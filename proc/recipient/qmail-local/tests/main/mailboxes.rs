//! Mailboxes that files, links, limits and others at the same time make
//! difficult.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::world::{World, exists};

#[test]
fn every_from_line_of_the_text_is_quoted() {
    let world = World::new();
    let text = "Subject: x\n\nFrom me\n>From me\n>>From me\nfrom me\n From me\nFromme\n";
    world.write("message", text, 0o600);
    assert_eq!(world.deliver("./Mailbox\n").code, 0);
    let mbox = world.read("home/Mailbox");
    let expected = "\n>From me\n>>From me\n>>>From me\nfrom me\n From me\nFromme\n\n";
    assert!(mbox.ends_with(expected), "{mbox}");
    assert!(mbox.starts_with("From ann@example.com "), "{mbox}");
    let first = mbox.lines().next().unwrap();
    // One blank, then the date in exactly 24 bytes.
    assert_eq!(first.len(), "From ann@example.com ".len() + 24, "{first}");
}

#[test]
fn a_bounce_is_from_mailer_daemon() {
    let world = World::new();
    world.write("home/.qmail", "./Mailbox\n", 0o600);
    assert_eq!(world.run(&[], "", "", "", "").code, 0);
    let mbox = world.read("home/Mailbox");
    assert!(mbox.starts_with("From MAILER-DAEMON "), "{mbox}");
    assert!(mbox.contains("\nReturn-Path: <>\nDelivered-To: joe@example.org\nX-Extra: 1\n"));
}

/// Tries of a delivery that has to wait.
const TRIES: usize = 20;

#[test]
fn two_large_deliveries_at_once_do_not_mix() {
    let world = World::new();
    world.write("home/.qmail", "./Mailbox\n", 0o600);
    let texts: Vec<String> = (0..4)
        .map(|n| format!("Subject: {n}\n\n{}", format!("{n}\n").repeat(500_000)))
        .collect();
    std::thread::scope(|scope| {
        for (n, text) in texts.iter().enumerate() {
            let name = format!("message{n}");
            world.write(&name, text, 0o600);
            let (world, home) = (&world, world.path("home"));
            scope.spawn(move || {
                let home = home.to_str().unwrap();
                // A lock somebody has for long is a reason to try again.
                let delivered = (0..TRIES).any(|_| {
                    let message = fs::File::open(world.path(&name)).unwrap();
                    let mut command = world.command();
                    command.args(["joe", home, "joe", "", "", "d", "s@t", "", ""]);
                    let code = command.stdin(message).status().unwrap().code();
                    assert!(matches!(code, Some(0 | 111)), "{code:?}");
                    code == Some(0)
                });
                assert!(delivered);
            });
        }
    });
    let mbox = world.read("home/Mailbox");
    for text in &texts {
        assert!(mbox.contains(&format!("Delivered-To: joe@d\n{text}\n")));
    }
    assert_eq!(mbox.matches("\nReturn-Path: ").count(), texts.len());
}

#[test]
fn names_in_a_maildir_are_as_documented() {
    let world = World::new();
    world.maildir("home/Maildir");
    assert_eq!(world.deliver("./Maildir/\n").code, 0);
    let path = &world.messages("home/Maildir")[0];
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(is_documented(name), "{name}");
    let size = name.rsplit_once(",S=").unwrap().1;
    assert_eq!(
        size.parse::<u64>().unwrap(),
        fs::metadata(path).unwrap().len()
    );
}

/// `^\d+\.I[0-9a-f]+V[0-9a-f]+M\d+P\d+\.[^,/]+,S=\d+$`
fn is_documented(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let hex = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parse = || {
        let (seconds, rest) = name.split_once(".I")?;
        let (inode, rest) = rest.split_once('V')?;
        let (device, rest) = rest.split_once('M')?;
        let (micros, rest) = rest.split_once('P')?;
        let (process, rest) = rest.split_once('.')?;
        let (host, size) = rest.rsplit_once(",S=")?;
        Some(
            digits(seconds)
                && hex(inode)
                && hex(device)
                && digits(micros)
                && digits(process)
                && !host.is_empty()
                && !host.contains([',', '/', ':'])
                && digits(size),
        )
    };
    parse().unwrap_or(false)
}

#[test]
fn what_is_no_mbox_defers_without_hanging() {
    let world = World::new();
    let fifo = world.path("home/fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    fs::create_dir(world.path("home/directory")).unwrap();
    for line in ["./fifo\n", "./directory\n", "/dev/full\n", "./none/mbox\n"] {
        let ended = world.deliver(line);
        assert_eq!(ended.code, 111, "{line}");
        assert!(
            ended.output.starts_with("Unable to open "),
            "{line}: {}",
            ended.output
        );
        assert!(
            ended.output.ends_with(" (#4.2.1)\n"),
            "{line}: {}",
            ended.output
        );
    }
    let ended = world.deliver("/dev/null\n");
    assert_eq!((ended.code, &ended.output[..]), (0, "did 1+0+0\n"));
}

#[test]
fn a_link_to_an_mbox_inside_the_home_is_followed() {
    let world = World::new();
    symlink("real", world.path("home/Mailbox")).unwrap();
    assert_eq!(world.deliver("./Mailbox\n").code, 0);
    assert!(world.read("home/real").contains("body\n"));
}

#[test]
fn a_maildir_with_links_inside_gets_nothing() {
    let world = World::new();
    world.maildir("home/Maildir");
    fs::create_dir(world.path("victim")).unwrap();
    for name in ["new", "tmp"] {
        let path = world.path("home/Maildir").join(name);
        fs::rename(&path, world.path(name)).unwrap();
        symlink(world.path("victim"), &path).unwrap();
        let ended = world.deliver("./Maildir/\n");
        assert_eq!(ended.code, 111, "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(world.path(name), &path).unwrap();
    }
    assert_eq!(fs::read_dir(world.path("victim")).unwrap().count(), 0);
    assert_eq!(world.deliver("./Maildir/\n").code, 0);
}

#[test]
fn a_failed_mbox_takes_the_lines_after_it_with_it() {
    let world = World::new();
    world.maildir("home/Maildir");
    let ended = world.deliver("&a@b\n./none/mbox\n./Maildir/\n");
    assert_eq!(ended.code, 111);
    assert!(world.messages("home/Maildir").is_empty());
    assert!(!exists(&world.path("queued/envelope")));
}
