//! Without TLS, from this machine.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{LOGIN, World, line};

#[test]
fn a_client_reads_and_deletes_its_mail() {
    let world = World::start(&[
        ("1700000001.a.host,S=21", "Subject: a\n\n.dot\nend\n"),
        ("1700000002.b.host", "Subject: b\n\nno line end"),
        ("1700000003.c.host", "Subject: c\r\n\r\nkept\r\n"),
    ]);
    let printed = world.python(&format!(
        "{LOGIN}
print(p.stat())
print(p.list()[1])
print([u.split()[1].decode() for u in p.uidl()[1]])
print(p.retr(1)[1])
print(p.retr(2)[1])
print(p.top(3, 0)[1])
print(sorted(p.capa()))
p.dele(1)
p.dele(2)
p.quit()"
    ));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "(3, 70)");
    assert_eq!(lines[1], "[b'1 25', b'2 25', b'3 20']");
    assert_eq!(
        lines[2],
        "['1700000001.a.host', '1700000002.b.host', '1700000003.c.host']"
    );
    assert_eq!(lines[3], "[b'Subject: a', b'', b'.dot', b'end']");
    assert_eq!(lines[4], "[b'Subject: b', b'', b'no line end']");
    assert_eq!(lines[5], "[b'Subject: c', b'']");
    for capability in ["PIPELINING", "RESP-CODES", "SASL", "TOP", "UIDL", "USER"] {
        assert!(lines[6].contains(capability), "{}", lines[6]);
    }
    assert_eq!(
        world.python(&format!("{LOGIN}\nprint(p.uidl()[1])")).trim(),
        "[b'1 1700000003.c.host']"
    );
    let (code, log) = world.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("INFO: Connection, ip=[127.0.0.1]\n"), "{log}");
    assert!(log.contains("INFO: LOGIN, user=ann@example.org, ip=[127.0.0.1], port=["));
    assert!(log.contains("INFO: LOGOUT, user=ann@example.org, ip=[127.0.0.1], port=["));
}

#[test]
fn a_connection_that_breaks_deletes_nothing() {
    let world = World::start(&[("1700000001.a", "x\n")]);
    world.python(&format!("{LOGIN}\np.dele(1)\np.close()"));
    assert_eq!(
        world.python(&format!("{LOGIN}\nprint(p.stat())")).trim(),
        "(1, 3)"
    );
    assert!(world.maildir().join("new/1700000001.a").exists());
}

#[test]
fn what_was_read_is_seen_and_the_rest_is_not() {
    let world = World::start(&[("1.a", "x\n"), ("2.b", "x\n")]);
    world.python(&format!("{LOGIN}\np.retr(1)\np.quit()"));
    assert!(world.maildir().join("cur/1.a:2,S").exists());
    assert!(world.maildir().join("cur/2.b:2,").exists());
}

#[test]
fn deleting_gives_room_back() {
    let world = World::start(&[("1700000001.a,S=2", "x\n")]);
    let sizes = world.maildir().join("maildirsize");
    fs::write(&sizes, "1000000S\n500 7\n").unwrap();
    world.python(&format!("{LOGIN}\np.dele(1)\np.quit()"));
    assert_eq!(
        fs::read_to_string(&sizes).unwrap(),
        "1000000S\n500 7\n-2 -1\n"
    );
}

#[test]
fn wrong_passwords_are_refused_slowly_and_logged_harmlessly() {
    let world = World::start(&[]);
    let start = Instant::now();
    let mut client = world.dial();
    let name = "ann\u{9b}x";
    let commands = format!("USER {name}\r\nPASS wrong\r\nSTAT\r\n");
    client.get_mut().write_all(commands.as_bytes()).unwrap();
    assert_eq!(line(&mut client), "+OK Password required.\r\n");
    assert_eq!(line(&mut client), "-ERR [AUTH] Login failed.\r\n");
    assert!(Duration::from_secs(1) < start.elapsed());
    assert_eq!(line(&mut client), "-ERR log in first.\r\n");
    drop(client);
    let (_, log) = world.stop();
    assert!(log.contains("ERR: LOGIN FAILED, ip=[127.0.0.1], user=[ann??x], reason=credentials"));
    assert!(!log.contains("wrong"));
}

/// attacks.md row 20: a crowd of half-open connections.
#[test]
fn one_address_cannot_take_all_places() {
    let world = World::start(&[]);
    let crowd: Vec<_> = (0..25).map(|_| world.dial()).collect();
    let mut turned_away = BufReader::new(TcpStream::connect(world.address).unwrap());
    assert!(line(&mut turned_away).starts_with("-ERR [SYS/TEMP] too many"));
    drop(crowd);
    let start = Instant::now();
    while !line(&mut BufReader::new(
        TcpStream::connect(world.address).unwrap(),
    ))
    .starts_with("+OK")
    {
        assert!(start.elapsed() < Duration::from_secs(60), "still full");
        thread::sleep(Duration::from_millis(20));
    }
    world.python(LOGIN);
}

#[test]
fn a_missing_maildir_is_made() {
    let world = World::start(&[]);
    fs::remove_dir_all(world.root.path().join("mail/ann")).unwrap();
    assert_eq!(
        world.python(&format!("{LOGIN}\nprint(p.stat())")).trim(),
        "(0, 0)"
    );
    assert!(world.maildir().join("cur").is_dir());
}

/// attacks.md row 26: what a hole in pop3d could reach.
#[test]
fn a_maildir_elsewhere_is_out_of_reach() {
    let world = World::start(&[("1.a", "x\n")]);
    let elsewhere = world.root.path().join("elsewhere");
    fs::rename(world.maildir(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.maildir()).unwrap();
    let mut client = world.dial();
    let login = b"USER ann@example.org\r\nPASS secret\r\n";
    client.get_mut().write_all(login).unwrap();
    assert_eq!(line(&mut client), "+OK Password required.\r\n");
    let reply = line(&mut client);
    // Without Landlock the sandbox says so at the start and is not there.
    let (_, log) = world.stop();
    if !log.contains("this kernel enforces only") {
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    }
}

#[test]
fn help_and_mistakes() {
    let pop3d = env!("CARGO_BIN_EXE_pop3d");
    let help = Command::new(pop3d).arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"usage: pop3d --listen"));
    let mistake = Command::new(pop3d).arg("--frob").output().unwrap();
    assert_eq!(mistake.status.code(), Some(100));
    assert!(
        mistake
            .stderr
            .starts_with(b"pop3d: fatal: unknown argument --frob")
    );
}
