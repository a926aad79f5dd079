//! The attacks of our catalogue that a session alone must withstand; the
//! numbers are its rows.

use super::*;

/// A session with one recipient given, waiting for the message.
fn receiving(set: &[&str]) -> (World, Session) {
    let mut world = world();
    set.iter().for_each(|line| world.set(line));
    let mut session = world.session();
    let text = b"HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ann@local.test>\r\nDATA\r\n";
    world.feed(&mut session, text);
    assert!(world.output.ends_with(b"354 go ahead\r\n"));
    world.output.clear();
    (world, session)
}

#[test]
fn attack_1_no_variant_of_the_end_smuggles_a_message() {
    let inner = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<ann@local.test>\r\nDATA\r\nsmuggled\r\n.\r\n";
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r\n.\n",
        "\r\n.\r",
        "\r\r\n.\r\n",
        "\n\r.\r\n",
        "\r.\r\n",
        "\r\n\r.\r\n",
    ] {
        for cut in 0..end.len() {
            let (mut world, mut session) = receiving(&[]);
            world.feed(&mut session, b"Subject: x\r\n\r\nbody");
            world.feed(&mut session, &end.as_bytes()[..cut]);
            world.feed(&mut session, &end.as_bytes()[cut..]);
            world.feed(&mut session, inner.as_bytes());
            assert_eq!(world.queued, [] as [&str; 0], "{end:?} cut at {cut}");
            assert!(world.closed, "{end:?}");
            assert!(world.open.is_none());
            assert!(world.output.starts_with(b"554 5.6.0 "));
        }
    }
}

#[test]
fn attack_1_a_nul_before_the_dot_is_part_of_the_line() {
    let (mut world, mut session) = receiving(&[]);
    world.feed(&mut session, b"x\r\n\0.\r\nMAIL FROM:<e@b.test>\r\n.\r\n");
    assert_eq!(world.queued.len(), 1);
    assert!(world.bodies[0].ends_with("x\n\0.\nMAIL FROM:<e@b.test>\n"));
}

#[test]
fn attack_2_a_chunk_size_nobody_sends_costs_nothing() {
    let mut world = world();
    let mut session = world.session();
    world.feed(
        &mut session,
        b"HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@local.test>\r\n",
    );
    world.feed(&mut session, b"BDAT 18446744073709551615 LAST\r\n");
    for _ in 0..100 {
        world.feed(&mut session, &[b'x'; 10_000]);
        assert!(session.input.capacity() <= 2 * INPUT_BYTES_MAX);
    }
    assert!(world.queued.is_empty());
}

#[test]
fn attack_3_a_line_without_end_is_cut() {
    for line in [&[b'x'; 4096][..], &[b"AUTH ", &[b'A'; 20_000][..]].concat()] {
        let mut world = world();
        let mut session = world.session();
        world.feed(&mut session, line);
        assert!(world.closed);
        let output = String::from_utf8(world.output).unwrap();
        assert!(output.contains("500 5.5.2 sorry, the given command is too long!"));
    }
}

#[test]
fn attack_3_who_speaks_before_the_banner_is_sent_away() {
    let mut world = world();
    world.set("greetdelay 3");
    let mut session = world.session();
    session.receive(b"EHLO x\r\n");
    world.feed(&mut session, b"");
    assert!(
        world.closed
            && world
                .output
                .starts_with(b"554 5.7.1 SMTP protocol violation")
    );
}

#[test]
fn attack_4_the_end_of_a_message_too_big_is_as_strict() {
    let (mut world, mut session) = receiving(&["databytes 10"]);
    world.feed(
        &mut session,
        b"more than ten bytes\r\n\n.\nMAIL FROM:<e@b.test>\r\n",
    );
    assert!(world.closed && world.queued.is_empty());
    let (mut world, mut session) = receiving(&["databytes 10"]);
    world.feed(&mut session, b"more than ten bytes\r\n..\r\n.\r\n");
    assert!(world.output.starts_with(b"552 5.3.4 "));
    assert!(!world.closed && world.open.is_none());
}

#[test]
fn attack_5_plaintext_behind_starttls_is_not_executed() {
    let mut world = world();
    let mut session = world.session();
    world.feed(
        &mut session,
        b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<e@b.test>\r\n",
    );
    assert!(world.output.ends_with(b"220 2.0.0 ready for tls\r\n"));
}

#[test]
fn attack_11_nothing_in_an_address_starts_a_line_anywhere() {
    let mut world = world();
    let mut session = world.session();
    world.feed(
        &mut session,
        b"HELO x\x1b[31m\r\nHELO a%b\r\nMAIL FROM:<a\rb@c.test>\r\nMAIL FROM:<\"a\\\x1bb\"@c.test>\r\n\
          MAIL FROM:<\"a> RCPT <b\"@c.test>\r\nRCPT TO:<x@other.test>\r\n",
    );
    for line in &world.logs {
        assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
    }
    assert_eq!(
        world.logs,
        ["Invalid RELAY client: MAIL from <a>_RCPT_<b@c.test> RCPT <x@other.test>"]
    );
}

#[test]
fn attack_14_numbers_beyond_64_bits_are_no_wrap_around() {
    let mut world = world();
    world.set("databytes 1000");
    let mut session = world.session();
    world.feed(
        &mut session,
        b"HELO x\r\nMAIL FROM:<a@b.test> SIZE=18446744073709551617\r\nMAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n",
    );
    let output = String::from_utf8(world.output).unwrap();
    assert_eq!(output.matches("552 5.3.4").count(), 2);
}

#[test]
fn attack_20_idle_commands_and_floods_end() {
    let mut world = world();
    let mut session = world.session();
    world.feed(&mut session, &b"NOOP\r\n".repeat(100_000));
    assert!(world.closed);
    assert!(world.output.len() < 100 * OUTPUT_BYTES_MAX);
}

#[test]
fn attack_27_a_dictionary_of_recipients_is_slowed_and_cut() {
    let mut world = world();
    let mut session = world.session();
    world.feed(&mut session, b"HELO x\r\nMAIL FROM:<a@b.test>\r\n");
    world.feed(&mut session, &b"RCPT TO:<nobody@local.test>\r\n".repeat(60));
    assert!(world.closed);
    assert!(Duration::from_secs(40) < world.paused);
    assert!(
        world
            .output
            .ends_with(b"421 4.7.1 too many invalid addresses, goodbye (#4.7.1)\r\n")
    );
}

#[test]
fn the_received_line_says_how_and_not_who() {
    let mut world = world();
    world.set("tls");
    let mut session = world.session();
    world.feed(
        &mut session,
        b"EHLO pc(evil)\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<ann@local.test>\r\n\
          RCPT TO:<bob@local.test>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n",
    );
    let trace = world.notes[0].trace;
    assert_eq!(
        world.bodies[0],
        format!(
            "Received: from client.test (HELO pc?evil?) (192.0.2.1)\n  by mx.test with ESMTPSA \
             (TLSv1.3 TLS13_AES_256_GCM_SHA384) (user of local.test) id {trace}; 14 Nov 2023 22:13:20 -0000\n\
             Subject: x\n\nhi\n"
        )
    );
    assert_eq!(
        world.logs,
        [
            "HELO <pc(evil)> MAIL from <ann@local.test> RCPT <bob@local.test> \
          AUTH <ann@local.test: AUTH PLAIN: local-rcpt> Size: 15 TLS=TLSv1.3"
        ]
    );
    assert_eq!(world.notes[0].kind, Kind::Received);
}

#[test]
fn a_submitted_message_gets_what_it_lacks() {
    for (text, gets_date) in [
        ("Subject: x\r\n\r\nbody\r\n", true),
        ("DATE: x\r\nSubject: x\r\n", false),
    ] {
        let mut world = world();
        world.set("tls");
        world.set("submission");
        let mut session = world.session();
        let before = "EHLO x\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<>\r\n\
                      RCPT TO:<bob@local.test>\r\nDATA\r\n";
        world.feed(&mut session, format!("{before}{text}.\r\n").as_bytes());
        let body = &world.bodies[0];
        assert_eq!(body.contains("\nDate: 14 Nov"), gets_date, "{body}");
        assert!(body.contains("Subject: x\n"));
        assert!(body.contains("\nMessage-ID: <") && !body.contains("body\nMessage-ID"));
    }
}

#[test]
fn scram_and_cram_log_in_over_smtp() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let mut world = world();
    world.set("cram");
    let mut session = world.session();
    let challenge = |world: &World| {
        let output = String::from_utf8_lossy(&world.output);
        let line = output.lines().last().unwrap().to_owned();
        STANDARD.decode(line.strip_prefix("334 ").unwrap()).unwrap()
    };
    let mut client = sasl::client::ScramSha256::new(b"ann", b"secret", "abc");
    let first = encode(&client.first());
    world.feed(
        &mut session,
        format!("EHLO x\r\nAUTH SCRAM-SHA-256 {first}\r\n").as_bytes(),
    );
    let last = encode(&client.last(&challenge(&world)).unwrap());
    world.feed(&mut session, format!("{last}\r\n").as_bytes());
    client.verify(&challenge(&world)).unwrap();
    world.feed(&mut session, b"\r\n");
    assert!(
        world
            .output
            .ends_with(b"235 2.7.0 ok, go ahead (#2.0.0)\r\n")
    );

    let mut world = super::world();
    world.set("cram");
    let mut session = world.session();
    world.feed(&mut session, b"EHLO x\r\nAUTH CRAM-MD5\r\n");
    let response = sasl::client::CramMd5::new(b"ann", b"secret").respond(&challenge(&world));
    world.feed(
        &mut session,
        format!("{}\r\n", encode(&response)).as_bytes(),
    );
    assert!(
        world
            .output
            .ends_with(b"235 2.7.0 ok, go ahead (#2.0.0)\r\n")
    );
}

#[test]
fn the_queue_away_is_451_before_354() {
    let mut world = world();
    world.set("queue 56 no queue");
    let mut session = world.session();
    world.feed(
        &mut session,
        b"HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@local.test>\r\nDATA\r\n",
    );
    assert!(
        world
            .output
            .ends_with(b"451 4.3.0 Requested action aborted: qqt failure (#4.3.0)\r\n")
    );
    assert!(world.logs[0].starts_with("qqt failure: no queue"));
    assert!(!world.closed);
}

#[test]
fn any_bytes_are_answered_without_panic() {
    property::holds(|u| {
        let mut world = world();
        let mut session = world.session();
        let words: [&[u8]; 14] = [
            b"EHLO x\r\n",
            b"MAIL FROM:<a@b.test>\r\n",
            b"RCPT TO:<a@local.test>\r\n",
            b"DATA\r\n",
            b"BDAT 3\r\n",
            b"BDAT 2 LAST\r\n",
            b"\r\n",
            b".\r\n",
            b"ab",
            b"RSET\r\n",
            b"\n",
            b"*\r\n",
            b"AUTH LOGIN\r\n",
            b"AUTH SCRAM-SHA-256\r\n",
        ];
        for _ in 0..u.int_in_range(0..=30)? {
            match u.ratio(1, 8)? {
                true => {
                    let noise = property::bytes(u)?;
                    world.feed(&mut session, &noise);
                }
                false => world.feed(&mut session, u.choose(&words)?),
            }
        }
        if !world.closed {
            session.timed_out();
            world.run(&mut session);
        }
        assert!(world.closed && world.open.is_none());
        Ok(())
    });
}

#[test]
fn attack_29_no_form_of_an_address_makes_us_an_open_relay() {
    let taken = |sender: &str, recipient: &str| {
        let mut world = world();
        let mut session = world.session();
        let envelope = format!("EHLO x\r\nMAIL FROM:{sender}\r\nRCPT TO:{recipient}\r\n");
        world.feed(&mut session, envelope.as_bytes());
        world.feed(&mut session, b"DATA\r\nx\r\n.\r\n");
        world.queued
    };
    assert_eq!(taken("<a@b.test>", "<ann@local.test>").len(), 1);
    for recipient in [
        "<x@other.test>",
        "<x@other.test.>",
        "<X@OTHER.TEST>",
        "<x@local.test.other.test>",
        "<x@other.test@local.test>",
        "<x%other.test@local.test>",
        "<other.test!x@local.test>",
        "<\"x@other.test\"@local.test>",
        "<\"x%other.test\"@local.test>",
        "<@local.test:x@other.test>",
        "<@local.test,@b.test:x@other.test>",
        "<x@[192.0.2.99]>",
        "<x@[127.0.0.1]>",
        "<x@other.test(@local.test)>",
        "<x@local.test\\@other.test>",
        "<x@notlocal.test>",
        "x@other.test",
        "<x%other.test>",
        "<other.test!x>",
        "<\"x@other.test\">",
        "<x@other.test> NOTIFY=NEVER",
    ] {
        for sender in [
            "<a@b.test>",
            "<>",
            "<ann@local.test>",
            "<postmaster@local.test>",
        ] {
            let queued = taken(sender, recipient);
            assert!(queued.is_empty(), "{sender} {recipient}: {queued:?}");
        }
    }
}

#[test]
fn attack_29_an_srs_address_goes_back_to_whom_it_was_made_for_and_nowhere_else() {
    let mut setup = world();
    setup.set("srs");
    setup.set("batv");
    let srs = setup.config.srs.clone().unwrap();
    let now = 1_700_000_000;
    let made = |days: i64| srs.forward(b"joe@far.test", now - days * 86_400).unwrap();
    let text = |address: Vec<u8>| String::from_utf8(address).unwrap();
    let good = text(made(20));
    let taken = |recipient: &str| {
        let mut world = world();
        world.set("srs");
        world.set("batv");
        let mut session = world.session();
        let input =
            format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{recipient}>\r\nDATA\r\nx\r\n.\r\n");
        world.feed(&mut session, input.as_bytes());
        (world.queued, String::from_utf8(world.output).unwrap())
    };
    // Tagless, and outside of rcpthosts: the hash alone speaks for it.
    for fine in [good.clone(), good.to_ascii_uppercase()] {
        let (queued, output) = taken(&fine);
        assert_eq!(queued.len(), 1, "{fine}: {output}");
        assert!(
            queued[0].to_lowercase().ends_with(" joe@far.test"),
            "{queued:?}"
        );
    }
    for bad in [
        text(made(22)),
        good.replace("far.test", "near.test"),
        good.replace("joe", "ann"),
        good.replace("SRS0=", "SRS0=AAAA="),
        "SRS0=x@fwd.test".to_owned(),
        "SRS1=HHHH=near.test==HHHH=TT=host=user@fwd.test".to_owned(),
    ] {
        let (queued, output) = taken(&bad);
        assert!(queued.is_empty(), "{bad}: {queued:?}");
        assert!(output.contains("550 5.1.1 sorry, <"), "{bad}: {output}");
    }
}
