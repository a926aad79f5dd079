//! The programs, over connections to servers that follow a script.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

const PROGRAM: &str = env!("CARGO_BIN_EXE_serial-tools");

/// A maildir in an installation whose queue program keeps what it gets.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bin", "control", "run", "m/new", "m/cur", "m/tmp"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("control/me"), "me.example\n").unwrap();
        let queue = "#!/bin/sh\ncat > bounce; cat <&1 > envelope\n";
        testkit::write_script(directory.path().join("bin/qmail-queue"), queue);
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A message that came `age` seconds ago.
    fn message(&self, name: &str, sender: &str, recipient: &str, rest: &str, age: u64) {
        let path = self.path("m").join(name);
        let text = format!("Return-Path: <{sender}>\nDelivered-To: {recipient}\n{rest}");
        fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
    }

    fn run(&self, name: &str, arguments: &[&str], port: u16) -> Output {
        Command::new(PROGRAM)
            .arg0(name)
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.0.path())
            .env("PORT", port.to_string())
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap().replace('\0', "|")
    }

    fn left(&self) -> Vec<String> {
        let mut names: Vec<String> = ["m/new", "m/cur"]
            .iter()
            .flat_map(|directory| fs::read_dir(self.path(directory)).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server for one connection; what it returns is what it was told.
fn serve(
    talk: impl FnOnce(&mut BufReader<TcpStream>, &mut TcpStream) -> String + Send + 'static,
) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut output = stream.try_clone().unwrap();
        talk(&mut BufReader::new(stream), &mut output)
    });
    (port, server)
}

/// An SMTP server: recipients that say so fail or are told to come later.
fn smtp(pipelining: bool) -> (u16, JoinHandle<String>) {
    serve(move |input, output| {
        let mut told = String::new();
        let mut say = |text: &str| output.write_all(text.as_bytes()).unwrap();
        say("220 there\r\n");
        let (mut line, mut accepted) = (String::new(), 0);
        while input.read_line(&mut line).unwrap_or(0) != 0 {
            told.push_str(&line);
            match line.split([' ', '\r']).next().unwrap() {
                "EHLO" if pipelining => say("250-there\r\n250 PIPELINING\r\n"),
                "EHLO" => say("502 what?\r\n"),
                "RCPT" if line.contains("never") => say("550 no such user\r\n"),
                "RCPT" if line.contains("later") => say("450 busy\r\n"),
                "RCPT" => {
                    accepted += 1;
                    say("250 ok\r\n");
                }
                "RSET" => {
                    accepted = 0;
                    say("250 ok\r\n");
                }
                "DATA" if accepted == 0 => say("503 no recipients\r\n"),
                "DATA" => {
                    say("354 go\r\n");
                    line.clear();
                    while line != ".\r\n" {
                        line.clear();
                        input.read_line(&mut line).unwrap();
                        told.push_str(&line);
                    }
                    say("250 taken\r\n");
                }
                "QUIT" => say("221 bye\r\n"),
                _ => say("250 ok\r\n"),
            }
            line.clear();
        }
        told
    })
}

#[test]
fn maildirsmtp_sends_keeps_and_bounces() {
    for pipelining in [false, true] {
        let world = World::new();
        world.message("new/1", "ann@x", "p-bob@y", "X: 1\n\n.dot\n", 50);
        world.message("cur/2", "ann@x", "p-never@y", "\nnever\n", 40);
        world.message("new/3", "ann@x", "p-later@y", "\nlater\n", 30);
        world.message("new/4", "ann@x", "other@y", "\nother\n", 20);
        let (port, server) = smtp(pipelining);
        let output = world.run("maildirsmtp", &["m", "p-", "127.0.0.1", "me.example"], port);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told = server.join().unwrap();
        assert!(
            told.contains("MAIL FROM:<ann@x>\r\nRCPT TO:<bob@y>\r\n"),
            "{told}"
        );
        assert!(told.contains("X: 1\r\n\r\n..dot\r\n.\r\n") && told.ends_with("QUIT\r\n"));
        assert!(!told.contains("Return-Path") && !told.contains("other"));
        assert_eq!(world.left(), ["3", "4"]);
        assert_eq!(world.read("envelope"), "F|Tann@x||");
        let bounce = world.read("bounce");
        assert!(bounce.contains("\n\nHi. This is the maildirbounce program at me.example."));
        let paragraph = "\n\n<never@y>:\nMAIL from <ann@x> RCPT <never@y>, 127.0.0.1 said: 550 no such user\n\n";
        assert!(bounce.contains(paragraph), "{bounce}");
        assert!(bounce.ends_with("\n\nReturn-Path: <ann@x>\n\nnever\n"));
    }
}

#[test]
fn what_is_too_old_bounces_when_it_is_refused_for_now() {
    let world = World::new();
    fs::write(world.path("control/queuelifetime"), "1000\n").unwrap();
    world.message("new/old", "", "p-later@y", "\nx\n", 2000);
    world.message("new/young", "ann@x", "p-later@y", "\nx\n", 500);
    let (port, server) = smtp(true);
    let output = world.run("maildirsmtp", &["m", "p-", "127.0.0.1", "me.example"], port);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    server.join().unwrap();
    assert_eq!(world.left(), ["young"]);
    // Its sender was nobody, so the postmaster hears of it.
    assert_eq!(world.read("envelope"), "F#@[]|Tpostmaster@me.example||");
}

/// Trap 71.
#[test]
fn while_the_host_cannot_be_reached_nothing_bounces() {
    let world = World::new();
    fs::write(world.path("control/queuelifetime"), "1\n").unwrap();
    world.message("new/1", "ann@x", "p-bob@y", "\nx\n", 2000);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let output = world.run("maildirsmtp", &["m", "p-", "127.0.0.1", "me.example"], port);
    assert_eq!(output.status.code(), Some(111));
    assert!(stderr(&output).contains("making no progress, giving up"));
    assert_eq!(
        (world.left().len(), world.read("envelope")),
        (1, String::new())
    );
}

/// Trap 69.
#[test]
fn what_is_dated_later_waits_for_the_next_time_and_is_named() {
    let world = World::new();
    world.message("new/1", "ann@x", "p-bob@y", "\nx\n", 0);
    let path = world.path("m/new/1");
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(60))
        .unwrap();
    let output = world.run("maildirserial", &["m", "p-", "false"], 0);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("new/1: too young"));
    assert_eq!(world.left(), ["1"]);
}

/// Trap 69, mended: the client went away content and had sent nothing.
#[test]
fn what_came_this_second_is_sent_when_the_second_is_over() {
    let world = World::new();
    world.message("new/1", "ann@x", "p-bob@y", "\nx\n", 0);
    let (port, server) = smtp(true);
    let output = world.run("maildirsmtp", &["m", "p-", "127.0.0.1", "me.example"], port);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(world.left().is_empty(), "{}", stderr(&output));
    assert!(server.join().unwrap().contains("RCPT TO:<bob@y>"));
}

/// Trap 72.
#[test]
fn a_third_argument_leaves_the_session_open() {
    let world = World::new();
    world.message("new/1", "ann@x", "p-bob@y", "\nx\n", 9);
    let (port, server) = smtp(true);
    let port = port.to_string();
    let client = [
        "m",
        "p-",
        PROGRAM,
        "serialconnect",
        "127.0.0.1",
        &port,
        PROGRAM,
        "serialsmtp",
        "p-",
        "me.example",
        "x",
    ];
    let output = world.run("maildirserial", &client, 0);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!server.join().unwrap().contains("QUIT"));
    assert!(world.left().is_empty());
}

#[test]
fn a_client_that_dies_is_run_again_and_one_that_lies_is_not_believed() {
    let world = World::new();
    world.message("new/1", "ann@x", "p-bob@y", "\nx\n", 9);
    world.message("new/2", "ann@x", "p-bob@y", "\nx\n", 8);
    // It sends the first name only, each time; and says things of others.
    let script = "#!/bin/sh\nhead -c 5 | tr '\\000' ' ' | { read name; printf 'new/9\\0Kx\\n/etc/x\\0Kx\\n'\n\
        printf \"$name\\0Ksent\\n$name\\0Dno\\n$name\\0\"; }\n";
    testkit::write_script(world.path("client"), script);
    let client = world.path("client");
    let output = world.run(
        "maildirserial",
        &["-b", "m", "p-", client.to_str().unwrap()],
        0,
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(world.left().is_empty() && !Path::new(&world.path("envelope")).exists());
}

#[test]
fn maildirqmtp_hands_over_whole_messages() {
    let world = World::new();
    world.message("new/1", "ann@x", "p-bob@y", "X: 1\n\nhi\n", 9);
    world.message("new/2", "", "p-carl@y", "", 8);
    let (port, server) = serve(|input, output| {
        let (mut told, mut buffer) = (String::new(), [0; 1000]);
        for end in ["5:bob@y,,", "6:carl@y,,"] {
            while !told.ends_with(end) {
                let length = input.read(&mut buffer).unwrap();
                told.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            output.write_all(b"7:Kok 123,").unwrap();
        }
        told
    });
    let output = world.run("maildirqmtp", &["m", "p-", "127.0.0.1"], port);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "10:\nX: 1\n\nhi\n,5:ann@x,8:5:bob@y,,1:\n,0:,9:6:carl@y,,";
    assert_eq!(server.join().unwrap(), expected);
    assert!(world.left().is_empty());
}

#[test]
fn wrong_use_is_100() {
    let world = World::new();
    for line in [
        &["maildirserial", "m", "p-"][..],
        &["maildirserial", "-x", "m", "p-", "true"],
        &["maildirsmtp", "m"],
        &["serialsmtp"],
        &["serialqmtp", "a", "b"],
    ] {
        let output = world.run(line[0], &line[1..], 0);
        assert_eq!(output.status.code(), Some(100), "{line:?}");
    }
    let missing = world.run("maildirserial", &["none", "p-", "true"], 0);
    assert_eq!(missing.status.code(), Some(111));
}
