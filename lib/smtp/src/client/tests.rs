//! Dialogues with servers, friendly and hostile.

use address::Address;
use wire::dsn::Dsn;

use super::*;

fn path(address: &str) -> Path {
    Path::new(&Address::parse(address.as_bytes()).unwrap()).unwrap()
}

fn plan() -> Plan {
    Plan {
        helo: "client.example".to_owned(),
        sender: path("ann@a.example"),
        recipients: vec![path("bob@b.example")],
        size: 12,
        eight_bit: false,
        encryption: Encryption::IfOffered,
        credentials: None,
        dsn: Dsn::default(),
        wishes: Vec::new(),
    }
}

fn secret() -> Option<(Credentials, MechanismChoice)> {
    let credentials = Credentials {
        user: b"u".to_vec(),
        password: b"p".to_vec(),
        nonce: "abc".to_owned(),
    };
    Some((credentials, MechanismChoice::Strongest))
}

/// Plays a dialogue of `S:` and `C:` lines. `C: <TLS>` stands for the
/// handshake, `C: <TEXT>` for the message, `S: <EOF>` for the connection's
/// end. What the client says must be what is written.
fn play(plan: Plan, dialogue: &str) -> Outcome {
    let mut session = Session::new(plan);
    let mut said: Vec<u8> = Vec::new();
    let mut lines = dialogue.lines().map(str::trim).filter(|l| !l.is_empty());
    loop {
        match session.step() {
            Step::Send(bytes) => said.extend_from_slice(&bytes),
            Step::StartTls => {
                said.extend_from_slice(b"<TLS>\r\n");
                session.secured();
            }
            Step::Text => {
                said.extend_from_slice(b"<TEXT>\r\n");
                session.text_sent();
            }
            Step::Wait | Step::Done => {
                let done = session.step() == Step::Done;
                while let Some(end) = said.windows(2).position(|pair| pair == b"\r\n") {
                    let line: Vec<u8> = said.drain(..end + 2).collect();
                    let expected = lines.next().unwrap_or("nothing");
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    assert_eq!(format!("C: {line}"), expected);
                }
                match lines.next() {
                    None => return session.outcome(),
                    Some(line) if done => panic!("the client ended before {line:?}"),
                    Some("S: <EOF>") => session.broken(),
                    Some(line) => {
                        let line = line.strip_prefix("S: ").expect("the client says nothing");
                        session.receive(line.replace("\\r\\n", "\r\n").as_bytes());
                        session.receive(b"\r\n");
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_is_delivered() {
    let outcome = play(
        plan(),
        "S: 220 b.example ESMTP
         C: EHLO client.example
         S: 250-b.example
         S: 250 SIZE 1000
         C: MAIL FROM:<ann@a.example> SIZE=12
         S: 250 ok
         C: RCPT TO:<bob@b.example>
         S: 250 ok
         C: DATA
         S: 354 go
         C: <TEXT>
         S: 250 queued as 7
         C: QUIT",
    );
    let End::Accepted(reply) = outcome.end else {
        panic!("{outcome:?}")
    };
    assert_eq!(reply.text, b"250 queued as 7");
    assert!(!outcome.secured);
}

#[test]
fn an_old_server_is_greeted_the_old_way() {
    let outcome = play(
        plan(),
        "S: 220 hi
         C: EHLO client.example
         S: 502 what?
         C: HELO client.example
         S: 250 hello
         C: MAIL FROM:<ann@a.example>
         S: 550 not you
         C: QUIT",
    );
    assert!(matches!(outcome.end, End::Rejected(Stage::Sender, ref r) if r.is_permanent()));
}

#[test]
fn commands_travel_together_when_the_server_can() {
    let mut plan = plan();
    plan.recipients.push(path("carl@b.example"));
    plan.eight_bit = true;
    let outcome = play(
        plan,
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250-PIPELINING
         S: 250 8BITMIME
         C: MAIL FROM:<ann@a.example> BODY=8BITMIME
         C: RCPT TO:<bob@b.example>
         C: RCPT TO:<carl@b.example>
         S: 250 ok
         S: 550 no bob
         S: 451 carl later
         C: QUIT",
    );
    assert_eq!(outcome.end, End::NoRecipient);
    let codes: Vec<u16> = outcome.recipients.iter().map(|r| r.code).collect();
    assert_eq!(codes, [550, 451]);
}

#[test]
fn many_recipients_go_in_groups() {
    let mut plan = plan();
    plan.recipients = (0..120).map(|n| path(&format!("u{n}@b.example"))).collect();
    let mut session = Session::new(plan);
    session.receive(b"220 hi\r\n");
    let mut sent = 0;
    loop {
        match session.step() {
            Step::Send(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                if text.starts_with("EHLO") {
                    session.receive(b"250-hi\r\n250 PIPELINING\r\n");
                }
                if text.starts_with("MAIL") {
                    session.receive(b"250 ok\r\n");
                }
                let group = text.matches("RCPT").count();
                assert!(group <= 50);
                sent += group;
                session.receive(b"250 ok\r\n".repeat(group).as_slice());
                if text.starts_with("DATA") {
                    break;
                }
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(sent, 120);
}

#[test]
fn tls_forgets_what_was_offered_before() {
    let mut plan = plan();
    plan.credentials = secret();
    let outcome = play(
        plan,
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250-SIZE
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 go
         C: <TLS>
         C: EHLO client.example
         S: 250-hi
         S: 250 AUTH PLAIN LOGIN
         C: AUTH PLAIN AHUAcA==
         S: 235 welcome
         C: MAIL FROM:<ann@a.example>
         S: 451 later
         C: QUIT",
    );
    assert!(outcome.secured);
    assert!(matches!(outcome.end, End::Rejected(Stage::Sender, ref r) if !r.is_permanent()));
}

// Attack 6.
#[test]
fn a_reply_slipped_in_before_the_handshake_ends_the_session() {
    for extra in ["250 ok", "250-half", "x"] {
        let outcome = play(
            plan(),
            &format!(
                "S: 220 hi
                 C: EHLO client.example
                 S: 250-hi
                 S: 250 STARTTLS
                 C: STARTTLS
                 S: 220 go\\r\\n{extra}"
            ),
        );
        assert_eq!(outcome.end, End::Injected, "{extra}");
    }
}

// Attack 9.
#[test]
fn a_message_that_requires_tls_goes_only_where_it_is_required() {
    let demanding = |encryption| Plan {
        encryption,
        dsn: Dsn::from_headers(b"X-Indimail-Dsn: REQUIRETLS=YES\n"),
        ..plan()
    };
    // Offered in clear it is worth nothing.
    for (encryption, offered) in [
        (Encryption::Never, "REQUIRETLS"),
        (Encryption::Established, "SIZE"),
    ] {
        let script = format!(
            "S: 220 hi
             C: EHLO client.example
             S: 250-hi
             S: 250 {offered}
             C: QUIT"
        );
        let outcome = play(demanding(encryption), &script);
        assert_eq!(outcome.end, End::NotRequiringTls);
    }
    let outcome = play(
        demanding(Encryption::Established),
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250 REQUIRETLS
         C: MAIL FROM:<ann@a.example> REQUIRETLS
         S: 550 no
         C: QUIT",
    );
    assert!(matches!(outcome.end, End::Rejected(..)), "{outcome:?}");
}

#[test]
fn required_encryption_is_not_given_up() {
    let required = Plan {
        encryption: Encryption::Required,
        ..plan()
    };
    let outcome = play(
        required.clone(),
        "S: 220 hi
         C: EHLO client.example
         S: 250 hi
         C: QUIT",
    );
    assert_eq!(outcome.end, End::NotSecured);
    let outcome = play(
        required,
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250 STARTTLS
         C: STARTTLS
         S: 454 not now
         C: QUIT",
    );
    assert!(matches!(outcome.end, End::Rejected(Stage::StartTls, _)));
}

#[test]
fn optional_encryption_that_is_refused_is_gone_without() {
    let outcome = play(
        plan(),
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250 STARTTLS
         C: STARTTLS
         S: 454 not now
         C: MAIL FROM:<ann@a.example>
         S: <EOF>",
    );
    assert_eq!(outcome.end, End::Died(Stage::Sender));
}

#[test]
fn the_password_is_not_said_in_clear() {
    let mut plan = plan();
    plan.credentials = secret();
    let dialogue = |offer: &str| {
        format!(
            "S: 220 hi
             C: EHLO client.example
             S: 250-hi
             S: 250 {offer}
             C: QUIT"
        )
    };
    let outcome = play(plan.clone(), &dialogue("AUTH PLAIN LOGIN"));
    assert_eq!(outcome.end, End::PasswordInClear);
    let outcome = play(plan, &dialogue("AUTH GSSAPI"));
    assert_eq!(outcome.end, End::NoMechanism);
}

#[test]
fn a_server_that_asks_for_ever_gets_no_answer() {
    let mut plan = plan();
    plan.encryption = Encryption::Established;
    plan.credentials = secret();
    let outcome = play(
        plan,
        "S: 220 hi
         C: EHLO client.example
         S: 250-hi
         S: 250 AUTH LOGIN
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: dQ==
         S: 334 UGFzc3dvcmQ6
         C: cA==
         S: 334 bW9yZQ==
         C: QUIT",
    );
    assert_eq!(outcome.end, End::BadChallenge(Mechanism::Login));
}

#[test]
fn a_greeting_that_is_none_is_not_answered_with_a_message() {
    for (greeting, permanent) in [("554 go away", true), ("421 busy", false), ("nope", false)] {
        let outcome = play(plan(), &format!("S: {greeting}\nC: QUIT"));
        let End::Rejected(Stage::Greeting, reply) = outcome.end else {
            panic!("{outcome:?}")
        };
        assert_eq!(reply.is_permanent(), permanent);
    }
}

#[test]
fn a_flood_ends_the_session() {
    let mut session = Session::new(plan());
    for _ in 0..10_000 {
        session.receive(b"220-more\r\n");
        if session.step() == Step::Done {
            let end = session.outcome().end;
            let expected = End::Confused(Stage::Greeting, ReplyError::TooManyLines);
            assert_eq!(end, expected);
            return;
        }
    }
    panic!("the flood went on");
}

#[test]
fn a_break_says_whether_the_message_may_have_arrived() {
    let start = "S: 220 hi
         C: EHLO client.example
         S: 250 hi
         C: MAIL FROM:<ann@a.example>
         S: 250 ok
         C: RCPT TO:<bob@b.example>
         S: 250 ok
         C: DATA";
    let outcome = play(plan(), &format!("{start}\nS: <EOF>"));
    assert_eq!(outcome.end, End::Died(Stage::Data));
    let outcome = play(plan(), &format!("{start}\nS: 354 go\nC: <TEXT>\nS: <EOF>"));
    assert_eq!(outcome.end, End::Died(Stage::Final));
    let outcome = play(plan(), &format!("{start}\nS: 250 what?\nC: QUIT"));
    assert!(matches!(outcome.end, End::Rejected(Stage::Data, _)));
}

#[test]
fn a_refusal_in_the_middle_of_the_text_counts() {
    let mut session = Session::new(plan());
    for reply in ["220 hi", "250 hi", "250 ok", "250 ok", "354 go"] {
        session.receive(format!("{reply}\r\n").as_bytes());
        while matches!(session.step(), Step::Send(_)) {}
    }
    assert_eq!(session.step(), Step::Text);
    session.receive(b"552 too much\r\n");
    session.broken();
    let end = session.outcome().end;
    assert!(matches!(end, End::Rejected(Stage::Text, reply) if reply.code == 552));
}

#[test]
fn an_international_address_needs_a_server_that_knows() {
    let mut plan = plan();
    plan.recipients = vec![path("jürgen@b.example")];
    let hello = "S: 220 hi
         C: EHLO client.example
         S: 250-hi";
    let outcome = play(plan.clone(), &format!("{hello}\nS: 250 SIZE\nC: QUIT"));
    assert_eq!(outcome.end, End::NoUnicode);
    play(
        plan,
        &format!("{hello}\nS: 250 SMTPUTF8\nC: MAIL FROM:<ann@a.example> SMTPUTF8"),
    );
}

#[test]
fn a_server_that_offers_dsn_hears_what_the_sender_wants() {
    let mut plan = plan();
    plan.recipients.push(path("carl@b.example"));
    plan.dsn = Dsn::from_variables(
        b"RET=HDRS ENVID=a+20b",
        b"carl@b.example NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d",
    );
    plan.wishes = vec![
        plan.dsn.wish(b"bob@b.example"),
        plan.dsn.wish(b"carl@b.example"),
    ];
    let hello = "S: 220 hi
         C: EHLO client.example
         S: 250-hi";
    let with = "S: 250 dsn
         C: MAIL FROM:<ann@a.example> RET=HDRS ENVID=a+20b
         S: 250 ok
         C: RCPT TO:<bob@b.example>
         S: 250 ok
         C: RCPT TO:<carl@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d";
    assert!(play(plan.clone(), &format!("{hello}\n{with}")).reports);
    let without = "S: 250 SIZE
         C: MAIL FROM:<ann@a.example> SIZE=12
         S: 250 ok
         C: RCPT TO:<bob@b.example>
         S: 250 ok
         C: RCPT TO:<carl@b.example>";
    assert!(!play(plan, &format!("{hello}\n{without}")).reports);
}

#[test]
fn whatever_the_server_says_nothing_breaks() {
    property::holds(|u| {
        let mut session = Session::new(plan());
        for _ in 0..u.int_in_range(1..=40)? {
            let words: [&[u8]; 8] = [
                b"220 ",
                b"250-",
                b"250 ",
                b"354 ",
                b"\r\n",
                b"STARTTLS",
                b"5",
                b"PIPELINING\r\n",
            ];
            session.receive(words[usize::from(u.arbitrary::<u8>()? % 8)]);
            for _ in 0..20 {
                match session.step() {
                    Step::Send(bytes) => assert!(bytes.ends_with(b"\r\n")),
                    Step::StartTls => session.secured(),
                    Step::Text => session.text_sent(),
                    Step::Wait | Step::Done => break,
                }
            }
        }
        session.outcome();
        Ok(())
    });
}
