//! Attacks by number and by length, on the running system: whoever comes in
//! crowds, slowly or without end must not keep others waiting. Numbered after
//! the list of attacks that must fail.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::{Installation, run};

use crate::talk::Talk;

/// Idle connections to one port at a time.
const IDLE: usize = 500;
/// How often a comparison of times is tried on a busy machine.
const ROUNDS_MAX: usize = 8;
/// What an honest client waits at most while others attack.
const PATIENCE: Duration = Duration::from_secs(30);

fn hold(port: u16, count: usize, first: &[u8]) -> Vec<TcpStream> {
    use std::io::Write;
    let connect = |_| {
        let mut stream = connect_from_elsewhere(port);
        let _ = stream.write_all(first);
        stream
    };
    (0..count).map(connect).collect()
}

/// Connects from an address of the attackers' own: some servers limit how
/// many sessions one address has, and the honest client has another.
fn connect_from_elsewhere(port: u16) -> TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_CLOEXEC;
    let made = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    bind(made.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 9, 0)).expect("an address");
    connect(made.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).expect("the port is open");
    made.into()
}

/// A whole honest session on a port in the clear.
#[track_caller]
fn honest(server: &Installation, standard: u16) {
    let start = Instant::now();
    let password = testkit::USER_PASSWORD;
    let mut talk = Talk::to(server.port(standard));
    match standard {
        25 => {
            talk.say("EHLO honest.example");
            talk.say("MAIL FROM:<bob@foreign.example>");
            let reply = talk.say("RCPT TO:<ann@example.org>");
            assert!(reply.starts_with("250"), "{reply}");
        }
        587 => assert!(talk.say("EHLO honest.example").starts_with("250")),
        143 => {
            let reply = talk.say(&format!("a LOGIN ann@example.org \"{password}\""));
            assert!(reply.starts_with("a OK"), "{reply}");
        }
        110 => {
            talk.say("USER ann@example.org");
            let reply = talk.say(&format!("PASS {password}"));
            assert!(reply.starts_with("+OK"), "{reply}");
        }
        _ => unreachable!("no honest session is written for {standard}"),
    }
    let waited = start.elapsed();
    assert!(waited < PATIENCE, "port {standard}: {waited:?}");
}

/// As [`honest`], through TLS from the first byte.
#[track_caller]
fn honest_tls(server: &Installation, standard: u16) {
    let start = Instant::now();
    let mut client = std::process::Command::new("openssl");
    client
        .args(["s_client", "-quiet", "-connect"])
        .arg(format!("127.0.0.1:{}", server.port(standard)));
    let goodbye: &[u8] = match standard {
        993 => b"a LOGOUT\r\n",
        _ => b"QUIT\r\n",
    };
    let ran = run(&mut client, goodbye);
    let greeted = ["220 ", "* OK", "+OK"]
        .iter()
        .any(|greeting| ran.out.contains(greeting));
    assert!(greeted, "port {standard}: {} {}", ran.out, ran.err);
    let waited = start.elapsed();
    assert!(waited < PATIENCE, "port {standard}: {waited:?}");
}

#[test]
fn attack_20_five_hundred_idle_connections_keep_nobody_out() {
    let server = Installation::start("example.org");
    for standard in [25, 587, 143, 110] {
        let idle = hold(server.port(standard), IDLE, b"");
        honest(&server, standard);
        drop(idle);
    }
    for standard in [465, 993, 995] {
        let idle = hold(server.port(standard), IDLE, b"");
        honest_tls(&server, standard);
        drop(idle);
    }
}

#[test]
fn attack_20_half_a_line_and_half_a_handshake_keep_nobody_out() {
    let server = Installation::start("example.org");
    for (standard, half) in [
        (25, &b"EHLO slow.exam"[..]),
        (587, b"EHLO x.example\r\nAUTH PLAIN AGFu"),
        (143, b"a LOGIN ann {10}\r\nab"),
        (110, b"USER ann@exam"),
    ] {
        let slow = hold(server.port(standard), IDLE, half);
        honest(&server, standard);
        drop(slow);
    }
    // The first bytes of a ClientHello.
    for standard in [465, 993, 995] {
        let slow = hold(server.port(standard), IDLE, b"\x16\x03\x01\x02\x00\x01");
        honest_tls(&server, standard);
        drop(slow);
    }
}

#[test]
fn attack_14_a_hundred_thousand_recipients_meet_a_limit() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    let (mut taken, mut last) = (0_usize, String::new());
    for _ in 0..1000 {
        talk.raw(&b"RCPT TO:<ann@example.org>\r\n".repeat(100));
        for _ in 0..100 {
            last = talk.reply();
            taken += usize::from(last.starts_with("250"));
        }
        if last.is_empty() || last.starts_with("421") {
            break;
        }
    }
    println!("{taken} recipients were taken; the last reply was {last:?}");
    // RFC 5321 §4.5.3.1.8: at least 100, and not all.
    assert!((100..100_000).contains(&taken), "{taken} {last}");
    assert!(
        last.is_empty() || last.starts_with('4') || last.starts_with('5'),
        "{last}"
    );
    honest(&server, 25);
}

#[test]
fn attack_14_a_hundred_thousand_header_lines_harm_nobody() {
    let server = Installation::start("example.org");
    let mut message = b"Subject: many\r\n".to_vec();
    for n in 0..100_000 {
        message.extend(format!("X-{n}: {n}\r\n").as_bytes());
    }
    message.extend(b"\r\nbody\r\n.");
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say("RCPT TO:<ann@example.org>");
    assert!(talk.say("DATA").starts_with("354"));
    let reply = talk.say(&String::from_utf8(message).unwrap());
    if reply.starts_with("250") {
        let seen = server.wait_for_messages("ann", 1).remove(0);
        assert!(seen.contains("X-99999: 99999"));
        let mut talk = Talk::to(server.port(143));
        talk.raw(format!("a LOGIN ann@example.org \"{}\"\r\n", testkit::USER_PASSWORD).as_bytes());
        talk.raw(
            b"b SELECT INBOX\r\nc FETCH 1 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)\r\nd LOGOUT\r\n",
        );
        let replies = talk.rest();
        assert!(replies.contains("c OK"), "{replies}");
    } else {
        assert!(reply.starts_with('5'), "{reply}");
    }
    honest(&server, 25);
}

#[test]
fn attack_14_a_header_line_without_end_harms_nobody() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say("RCPT TO:<ann@example.org>");
    assert!(talk.say("DATA").starts_with("354"));
    for _ in 0..200 {
        talk.raw(&[b'x'; 50_000]);
    }
    let reply = talk.say("\r\n\r\nbody\r\n.");
    assert!(
        reply.starts_with('2') || reply.starts_with('5') || reply.is_empty(),
        "{reply}"
    );
    honest(&server, 25);
}

#[test]
fn attack_20_storms_of_literals_after_login_meet_a_limit() {
    let server = Installation::start("example.org");
    let login = format!("a LOGIN ann@example.org \"{}\"\r\n", testkit::USER_PASSWORD);
    for command in [
        "b APPEND INBOX {4294967295}\r\n".to_owned(),
        "b APPEND INBOX {99999999999999999999}\r\n".to_owned(),
        "b LOGIN {4294967295}\r\n".to_owned(),
        format!("b SEARCH {}\r\n", "(".repeat(100_000)),
        format!("b SEARCH {}ALL\r\n", "NOT ".repeat(50_000)),
        "b SEARCH TEXT {1}\r\nx TEXT {99999999}\r\n".to_owned(),
    ] {
        let mut talk = Talk::to(server.port(143));
        talk.raw(login.as_bytes()).raw(b"s SELECT INBOX\r\n");
        talk.raw(command.as_bytes());
        let replies = talk.rest();
        let head: String = command.chars().take(40).collect();
        assert!(!replies.contains("b OK"), "{head}: {replies}");
        honest(&server, 143);
    }
}

/// The reply to a wrong password, and how long it took.
fn refused(server: &Installation, standard: u16, user: &str) -> (String, Duration) {
    use std::process::Command;
    let mut talk = Talk::to(server.port(standard));
    let start;
    let reply = match standard {
        143 => {
            start = Instant::now();
            talk.say(&format!("a LOGIN {user} \"wrong password\""))
        }
        110 => {
            let first = talk.say(&format!("USER {user}"));
            start = Instant::now();
            first + &talk.say("PASS wrong password")
        }
        _ => {
            talk.say("EHLO x.example");
            let plain = format!("\0{user}\0wrong password");
            let base64 = run(Command::new("base64").arg("-w0"), plain.as_bytes()).out;
            start = Instant::now();
            talk.say(&format!("AUTH PLAIN {base64}"))
        }
    };
    (reply.replace(user, "USER"), start.elapsed())
}

#[test]
fn attack_27_who_exists_cannot_be_told_from_a_refused_login() {
    let server = Installation::start("example.org");
    for standard in [143, 110, 587] {
        // The first of each finds nothing remembered; the fastest is what the
        // machine needs, whatever else it does.
        let fastest = |users: [&str; 3]| {
            let all = users.map(|user| refused(&server, standard, user));
            let texts: Vec<_> = all.iter().map(|(text, _)| text.clone()).collect();
            let time = all.iter().map(|(_, time)| *time).min().unwrap_or_default();
            (texts, time)
        };
        let is_alike = || {
            let (known, known_time) = fastest(["ann@example.org"; 3]);
            let (unknown, unknown_time) = fastest(["nosuchuser@example.org"; 3]);
            let (foreign, foreign_time) = fastest(["ann@nosuchdomain.example"; 3]);
            println!("{standard}: {known_time:?} {unknown_time:?} {foreign_time:?}");
            assert_eq!(known, unknown, "port {standard}");
            assert_eq!(known, foreign, "port {standard}");
            [unknown_time, foreign_time].iter().all(|time| {
                let (short, long) = ((*time).min(known_time), (*time).max(known_time));
                long < short * 3 + Duration::from_millis(20)
            })
        };
        // What else runs here may disturb a round, but not all.
        assert!((0..ROUNDS_MAX).any(|_| is_alike()), "port {standard}");
    }
}

#[test]
fn attack_13_no_login_name_leads_out_of_the_mail_directory() {
    let server = Installation::start("example.org");
    for user in [
        "../../../etc/passwd",
        "/etc/passwd",
        "ann/../postmaster@example.org",
        "ann@../example.org",
        "ann@example.org/../example.org",
        "ann%@example.org",
        "ann@example.org'--",
    ] {
        for standard in [143, 110] {
            let mut talk = Talk::to(server.port(standard));
            let reply = match standard {
                143 => talk.say(&format!(
                    "a LOGIN \"{user}\" \"{}\"",
                    testkit::USER_PASSWORD
                )),
                _ => {
                    talk.say(&format!("USER {user}"));
                    talk.say(&format!("PASS {}", testkit::USER_PASSWORD))
                }
            };
            let accepted = reply.starts_with("a OK") || reply.starts_with("+OK");
            assert!(!accepted, "{user}: {reply}");
        }
    }
}

#[test]
fn attack_28_nothing_a_client_says_makes_a_log_line_of_its_own() {
    let server = Installation::start("example.org");
    let evil = "x\x1b[2J\x1b]0;owned\x07\rforged: fatal: owned\x08\u{9b}2J";
    for port in [25, 587] {
        let mut talk = Talk::to(server.port(port));
        talk.raw(format!("EHLO {evil}\r\n").as_bytes());
        talk.raw(format!("{evil}\r\n").as_bytes());
        talk.raw(format!("MAIL FROM:<{evil}@x.example>\r\n").as_bytes());
        talk.raw(format!("RCPT TO:<{evil}@example.org>\r\n").as_bytes());
        let login = format!("\0ann\nforged: fatal: owned{evil}\0pass\nforged: fatal: owned");
        let base64 = run(
            std::process::Command::new("base64").arg("-w0"),
            login.as_bytes(),
        )
        .out;
        talk.raw(format!("AUTH PLAIN {base64}\r\nQUIT\r\n").as_bytes());
        talk.rest();
    }
    let mut talk = Talk::to(server.port(143));
    talk.raw(format!("a LOGIN \"{evil}\" \"{evil}\"\r\n").as_bytes());
    let name = "ann\nforged: fatal: owned";
    talk.raw(format!("b LOGIN {{{}+}}\r\n{name} x\r\n", name.len()).as_bytes());
    talk.raw(format!("{evil} {evil}\r\nc LOGOUT\r\n").as_bytes());
    talk.rest();
    let mut talk = Talk::to(server.port(110));
    talk.raw(format!("USER {evil}\r\nPASS {evil}\r\n{evil}\r\nQUIT\r\n").as_bytes());
    talk.rest();
    // A whole message, so that queue and delivery log it too.
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<\"a\x1b[2Jb\"@x.example>");
    talk.say("RCPT TO:<ann@example.org>");
    talk.say("DATA");
    talk.say(&format!(
        "Subject: {evil}\r\nMessage-ID: <{evil}@x>\r\nFrom: {evil}\r\n\r\nx\r\n."
    ));
    // And one of a program on this host, whose sender nobody checked.
    let mut inject = server.tool("qmail-inject");
    inject.args([
        "-f",
        "a\nforged: fatal: owned\x1b[2J@x.example",
        "ann@example.org",
    ]);
    run(&mut inject, b"Subject: x\n\nx\n");
    std::thread::sleep(Duration::from_secs(2));
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(server.root().join("log")).unwrap() {
        let path = entry.unwrap().path().join("current");
        let bytes = std::fs::read(&path).unwrap_or_default();
        for line in bytes.split(|&byte| byte == b'\n') {
            let control = line
                .iter()
                .any(|&byte| byte != b'\t' && (byte < 32 || byte == 127));
            let text = String::from_utf8_lossy(line);
            let said = text.split_once(' ').map_or("", |(_, said)| said);
            if control || text.contains('\u{9b}') || said.starts_with("forged:") {
                wrong.push(format!("{}: {text:?}", path.display()));
            }
            if text.contains("wrong password") || text.contains("pass\\nforged") {
                wrong.push(format!("{}: a password: {text:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
