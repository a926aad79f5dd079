//! Dialogues with a session.

use wire::lookup::Login;

use super::*;

fn offer(encryption: Encryption) -> Offer {
    Offer {
        encryption,
        plaintext: false,
        pass: true,
        mechanisms: vec![Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256],
    }
}

/// The user is `ann` with password `secret`; two messages.
fn drive(session: &mut Session, step: Step, out: &mut String, log: &mut Vec<String>) -> bool {
    let mut step = step;
    loop {
        step = match step {
            Step::Send(bytes) | Step::SendLate(bytes) => {
                out.push_str(std::str::from_utf8(&bytes).unwrap());
                session.step()
            }
            Step::Ask(question) => {
                let granted = question
                    == Question::Password {
                        user: b"ann".to_vec(),
                        password: b"secret".to_vec(),
                    };
                let account = Account {
                    address: "ann@example.org".to_owned(),
                    maildir: "/nowhere".to_owned(),
                    quota: String::new(),
                    may_relay: false,
                    server_signature: Vec::new(),
                };
                session.answer(Reply::Login(if granted {
                    Login::Granted(account)
                } else {
                    Login::Refused
                }))
            }
            Step::Secure(bytes) => {
                out.push_str(std::str::from_utf8(&bytes).unwrap());
                session.secured();
                session.step()
            }
            Step::Open(_) => {
                let entry = |size, id: &str| Entry {
                    size,
                    unique_id: id.to_owned(),
                };
                session.opened(Opened::Entries(vec![entry(10, "a"), entry(20, "b")]))
            }
            Step::Retrieve { at, lines } => {
                log.push(format!("retrieve {at} {lines:?}"));
                out.push_str(std::str::from_utf8(&session.found(at == 0)).unwrap());
                session.step()
            }
            Step::Update(update) => {
                log.push(format!(
                    "delete {:?} read {:?}",
                    update.deleted, update.read
                ));
                session.updated(true)
            }
            Step::Close(bytes) => {
                out.push_str(std::str::from_utf8(&bytes).unwrap());
                return false;
            }
            Step::Wait => return true,
        }
    }
}

/// Feeds the pieces to a new session; what it sends and does.
fn talk(encryption: Encryption, pieces: &[&[u8]]) -> (String, Vec<String>) {
    let mut session = Session::new(offer(encryption), &[7; 16]);
    let (mut out, mut log) = (String::new(), Vec::new());
    let step = session.step();
    let mut open = drive(&mut session, step, &mut out, &mut log);
    for piece in pieces {
        if !open {
            break;
        }
        session.receive(piece);
        let step = session.step();
        open = drive(&mut session, step, &mut out, &mut log);
    }
    (out, log)
}

const LOGIN: &[u8] = b"USER ann\r\nPASS secret\r\n";

fn logged_in(commands: &[u8]) -> (String, Vec<String>) {
    let (out, log) = talk(Encryption::Active, &[LOGIN, commands]);
    let greeting = "+OK POP3 Server Ready.\r\n+OK Password required.\r\n+OK logged in.\r\n";
    (out.strip_prefix(greeting).unwrap().to_owned(), log)
}

#[test]
fn listing_and_reading() {
    let (out, log) =
        logged_in(b"STAT\r\nLIST\r\nUIDL 2\r\nRETR 1\r\nTOP 1 5\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n");
    assert_eq!(
        out,
        "+OK 2 30\r\n+OK\r\n1 10\r\n2 20\r\n.\r\n+OK 2 b\r\n+OK 10 octets\r\n+OK\r\n\
         -ERR message is gone\r\n-ERR no such message\r\n+OK Bye-bye.\r\n"
    );
    let expected = [
        "retrieve 0 None",
        "retrieve 0 Some(5)",
        "retrieve 1 None",
        "delete [] read [0]",
    ];
    assert_eq!(log, expected);
}

#[test]
fn deletions_happen_at_quit_only() {
    let (out, log) = logged_in(b"DELE 1\r\nDELE 1\r\nSTAT\r\nLIST 1\r\nRSET\r\nSTAT\r\nDELE 2\r\n");
    assert!(
        out.ends_with("+OK 1 20\r\n-ERR no such message\r\n+OK\r\n+OK 2 30\r\n+OK Deleted.\r\n")
    );
    assert!(log.is_empty(), "the connection may break now");
    let (_, log) = logged_in(b"DELE 2\r\nQUIT\r\n");
    assert_eq!(log, ["delete [1] read []"]);
}

#[test]
fn no_password_without_tls() {
    for encryption in [Encryption::Offered, Encryption::None] {
        let input: &[u8] = b"USER ann\r\nPASS secret\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nSTAT\r\n";
        let (out, _) = talk(encryption, &[input]);
        assert_eq!(out.matches("-ERR TLS required to log in.\r\n").count(), 3);
        assert!(out.ends_with("-ERR log in first.\r\n"));
    }
    let (out, _) = talk(
        Encryption::Offered,
        &[b"CAPA\r\n", b"STLS\r\n", b"CAPA\r\n", LOGIN],
    );
    let (before, after) = out.split_once("negotiation now.\r\n").unwrap();
    assert!(before.contains("\r\nSTLS\r\n") && !before.contains("\r\nUSER\r\n"));
    assert!(before.contains("\r\nSASL SCRAM-SHA-256\r\n"));
    assert!(!after.contains("STLS") && after.contains("SASL PLAIN LOGIN SCRAM-SHA-256\r\n"));
    assert!(after.ends_with("+OK logged in.\r\n"));
}

/// attacks.md row 5.
#[test]
fn plaintext_behind_stls_is_never_executed() {
    let (out, _) = talk(
        Encryption::Offered,
        &[b"STLS\r\nUSER ann\r\nPASS secret\r\nSTAT\r\n"],
    );
    assert!(out.ends_with("-ERR nothing may follow STLS.\r\n"));
    // What was said before TLS is forgotten.
    let mut session = Session::new(
        Offer {
            plaintext: true,
            ..offer(Encryption::Offered)
        },
        &[7; 16],
    );
    session.step();
    session.receive(b"USER ann\r\n");
    session.step();
    session.receive(b"STLS\r\n");
    assert!(matches!(session.step(), Step::Secure(_)));
    session.receive(b"PASS secret\r\n");
    session.secured();
    assert!(matches!(session.step(), Step::Wait));
    session.receive(b"PASS secret\r\n");
    assert!(matches!(session.step(), Step::Send(reply) if reply == b"-ERR USER first.\r\n"));
}

#[test]
fn sasl_with_and_without_initial_response() {
    let login = "+OK logged in.\r\n";
    for pieces in [
        &[&b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"[..]][..],
        &[b"AUTH PLAIN\r\n", b"AGFubgBzZWNyZXQ=\r\n"],
        &[b"auth login\r\n", b"YW5u\r\n", b"c2VjcmV0\r\n"],
    ] {
        let (out, _) = talk(Encryption::Active, pieces);
        assert!(out.ends_with(login), "{out}");
    }
    let (out, _) = talk(
        Encryption::Active,
        &[b"AUTH PLAIN\r\n*\r\nAUTH PLAIN !!!\r\nAUTH X\r\n"],
    );
    assert!(
        out.ends_with("-ERR login cancelled.\r\n-ERR bad base64.\r\n-ERR unknown mechanism.\r\n")
    );
}

#[test]
fn guessing_ends_soon() {
    let wrong = b"USER ann\r\nPASS wrong\r\n".repeat(5);
    let (out, _) = talk(Encryption::Active, &[&wrong]);
    assert_eq!(
        out.matches("-ERR [AUTH] Login failed.\r\n").count(),
        FAILURES_MAX as usize
    );
}

#[test]
fn nonsense_ends_soon() {
    let (out, _) = talk(Encryption::Active, &[&b"XYZZY\r\n".repeat(100)]);
    assert!(out.lines().count() <= ERRORS_MAX as usize + 1);
    // attacks.md row 20: a line without end.
    let (out, _) = talk(Encryption::Active, &[&b"A".repeat(COMMAND_BYTES_MAX + 2)]);
    assert!(out.ends_with("-ERR line too long\r\n"));
    let line = [b"AUTH PLAIN ", &b"A".repeat(LINE_BYTES_MAX)[..]].concat();
    let (out, _) = talk(Encryption::Active, &[&line]);
    assert!(out.ends_with("-ERR line too long\r\n"));
}

#[test]
fn where_the_bytes_are_cut_does_not_matter() {
    let input =
        b"CAPA\r\nUSER ann\nPASS secret\r\nLIST\r\nRETR 1\r\nDELE 2\r\nbad\r\nUIDL\r\nQUIT\r\n";
    property::holds(|u| {
        let (head, tail) = input.split_at(u.int_in_range(0..=input.len())?);
        assert_eq!(
            talk(Encryption::Active, &[head, tail]),
            talk(Encryption::Active, &[input])
        );
        Ok(())
    });
}

#[test]
fn foreign_bytes_do_no_harm() {
    property::holds(|u| {
        let pieces = property::several(u, property::bytes)?;
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        talk(Encryption::Offered, &pieces);
        talk(Encryption::Active, &[&[LOGIN], &pieces[..]].concat());
        Ok(())
    });
}
