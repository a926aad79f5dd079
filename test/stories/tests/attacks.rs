//! Attacks on the running system, numbered after the list of attacks that
//! must fail. Those on the protocol cores alone are tested beside them.

use std::time::Duration;

use testkit::Installation;

use crate::talk::Talk;

fn envelope(server: &Installation) -> Talk {
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO attacker.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    assert!(talk.say("RCPT TO:<ann@example.org>").starts_with("250"));
    talk
}

#[test]
fn attack_01_no_other_end_of_data_ends_the_data() {
    let server = Installation::start("example.org");
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r\n.\n",
        "\r\n.\r",
        "\r\n\0.\r\n",
    ] {
        let mut talk = envelope(&server);
        assert!(talk.say("DATA").starts_with("354"));
        let smuggled = "MAIL FROM:<evil@foreign.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n\
                        Subject: smuggled\r\n\r\nx\r\n.\r\n";
        talk.raw(format!("Subject: outer\r\n\r\nbody{end}{smuggled}").as_bytes());
        let replies = talk.rest();
        let accepted = replies.matches("\n250 ").count() + usize::from(replies.starts_with("250 "));
        assert!(accepted <= 1, "{end:?}: {replies}");
    }
    std::thread::sleep(Duration::from_millis(500));
    for message in server.messages("ann") {
        let smuggled = message.contains("Return-Path: <evil@foreign.example>");
        assert!(!smuggled, "a smuggled message was delivered:\n{message}");
    }
}

#[test]
fn attack_03_nothing_a_stranger_sends_fills_the_memory() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(25));
    for _ in 0..100 {
        talk.raw(&[b'A'; 10_000]);
    }
    let reply = talk.rest();
    assert!(
        reply.is_empty() || reply.starts_with('5') || reply.starts_with('4'),
        "{reply}"
    );
    let mut talk = Talk::to(server.port(25));
    assert!(talk.say("NOOP\0").starts_with('5'));
    assert!(
        Talk::to(server.port(25))
            .say("EHLO ok.example")
            .starts_with("250")
    );
}

#[test]
fn attack_05_plaintext_behind_starttls_is_never_executed() {
    let server = Installation::start("example.org");
    for (port, line) in [
        (25, "EHLO x.example\r\nSTARTTLS\r\nRSET\r\nNOOP\r\n"),
        (143, "a STARTTLS\r\nb NOOP\r\n"),
        (110, "STLS\r\nNOOP\r\n"),
    ] {
        let mut talk = Talk::to(server.port(port));
        talk.raw(line.as_bytes());
        let replies = talk.rest();
        let injected = replies.contains("flushed")
            || replies.contains("b OK")
            || replies.matches("+OK").count() > 1;
        assert!(!injected, "port {port}: {replies}");
    }
}

#[test]
fn attack_10_addresses_never_reach_a_shell() {
    let server = Installation::start("example.org");
    let proof = server.root().join("doc/pwned");
    for sender in [
        "$(touch${IFS}PROOF)@x.example",
        "`touch PROOF`@x.example",
        "\"|touch PROOF\"@x.example",
    ] {
        let sender = sender.replace("PROOF", &proof.display().to_string());
        let mut talk = Talk::to(server.port(25));
        talk.say("EHLO x.example");
        talk.say(&format!("MAIL FROM:<{sender}>"));
        talk.say("RCPT TO:<ann@example.org>");
        talk.say("DATA");
        talk.say("Subject: x\r\n\r\nx\r\n.");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(!proof.exists());
}

#[test]
fn attack_13_no_name_leads_out_of_the_mail_directory() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(143));
    talk.say(&format!(
        "a LOGIN ann@example.org \"{}\"",
        testkit::USER_PASSWORD
    ));
    let _ = talk.rest();
    for name in [
        "../../postmaster/Maildir",
        "/etc",
        "..",
        ".",
        "a/../../b",
        "~root",
    ] {
        let mut talk = Talk::to(server.port(143));
        talk.raw(format!("a LOGIN ann@example.org \"{}\"\r\n", testkit::USER_PASSWORD).as_bytes());
        talk.raw(
            format!(
                "b SELECT \"{name}\"\r\nc CREATE \"{name}\"\r\nd SELECT \"{name}\"\r\ne LOGOUT\r\n"
            )
            .as_bytes(),
        );
        let replies = talk.rest();
        assert!(!replies.contains("b OK"), "{name}: {replies}");
    }
    assert!(
        !server
            .maildir("ann")
            .parent()
            .unwrap()
            .join("Maildir2")
            .exists()
    );
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<>");
    for to in [
        "../ann@example.org",
        "ann/../postmaster@example.org",
        "ann@../example.org",
    ] {
        assert!(
            talk.say(&format!("RCPT TO:<{to}>")).starts_with('5'),
            "{to}"
        );
    }
}

#[test]
fn attack_20_a_literal_before_login_is_refused_not_stored() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(143));
    talk.raw(b"a LOGIN {4294967295}\r\n");
    let reply = talk.reply();
    assert!(!reply.starts_with('+'), "{reply}");
    let mut talk = Talk::to(server.port(143));
    talk.raw(b"a LOGIN {99999999+}\r\nxxxx");
    let reply = talk.rest();
    assert!(!reply.contains("a OK"), "{reply}");
}
