//! The session on descriptors 0 and 1, as under tcpserver.

use std::process::Command;

use crate::world::{World, talk};

/// The program as tcpserver would start it, with a queue program that keeps
/// message and envelope and ends as told.
fn under_tcpserver(world: &World, code: u8, printed: &str) -> Command {
    let stub = world.path("stub");
    let script = format!(
        "#!/bin/sh\ncat > {0}/message\ncat <&1 > {0}/envelope\nprintf '%s' '{printed}' >&2\nexit {code}\n",
        world.directory.path().display()
    );
    testkit::write_script(&stub, &script);
    let mut command = world.command();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("TCPLOCALPORT", "25")
        .env("TCPREMOTEIP", "192.0.2.1")
        .env("TCPREMOTEHOST", "client.test")
        .env("QMAILQUEUE", &stub)
        .env("NODNSCHECK", "1");
    command
}

const MESSAGE: &str = "HELO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<info@host.test>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n";

#[test]
fn a_message_goes_into_the_queue_program() {
    let world = World::new();
    let (output, log, code) = talk(under_tcpserver(&world, 0, ""), MESSAGE);
    assert_eq!(code, Some(0), "{log}");
    assert!(output.contains("\r\n250 2.0.0 ok "), "{output}");
    assert!(output.ends_with("221 2.0.0 mx.test closing connection\r\n"));
    let envelope = std::fs::read(world.path("envelope")).unwrap();
    assert_eq!(envelope, b"Fa@b.test\0Tinfo@host.test\0\0");
    let message = std::fs::read_to_string(world.path("message")).unwrap();
    assert!(
        message.starts_with("Received: from client.test (192.0.2.1)\n  by mx.test with SMTP id ")
    );
    assert!(message.ends_with("\nhello\n"));
    assert!(
        log.contains(
            " from 192.0.2.1 HELO <client.test> MAIL from <a@b.test> RCPT <info@host.test>"
        )
    );
}

#[test]
fn what_the_queue_program_says_becomes_the_reply() {
    for (code, printed, reply) in [
        (
            31,
            "",
            "554 5.3.0 mail server permanently rejected message (#5.3.0)",
        ),
        (53, "", "451 4.3.0 qq write error or disk full (#4.3.0)"),
        (
            88,
            "noise\nDno thanks (#5.7.1)",
            "554 5.7.1 no thanks (#5.7.1)",
        ),
        (88, "Zlater (#4.7.1)", "451 4.7.1 later (#4.7.1)"),
        (88, "", "451 4.3.0 qq internal bug (#4.3.0)"),
        (200, "", "451 4.3.0 qq temporary problem (#4.3.0)"),
    ] {
        let world = World::new();
        let (output, ..) = talk(under_tcpserver(&world, code, printed), MESSAGE);
        assert!(
            output.contains(&format!("\r\n{reply}\r\n")),
            "{code}: {output}"
        );
    }
}

#[test]
fn a_queue_program_that_makes_no_sense_is_not_passed_by() {
    let world = World::new();
    world.queue_writer(0);
    let mut command = under_tcpserver(&world, 0, "");
    command.env("QMAILQUEUE", "bin/filter 'open");
    let (output, ..) = talk(command, MESSAGE);
    assert!(output.contains("\r\n451 4.3.0 "), "{output}");
    assert!(!output.contains("\r\n354 "), "{output}");
    assert!(world.queued.lock().unwrap().is_empty());
}

#[test]
fn what_a_queue_program_says_elsewhere_is_heard_there() {
    let world = World::new();
    let mut command = under_tcpserver(&world, 88, "Dnot here (#5.7.1)");
    command.env("ERROR_FD", "7");
    let (output, ..) = talk(command, MESSAGE);
    assert!(output.contains("\r\n451 "), "{output}");
    let stub = world.path("stub");
    let script =
        "#!/bin/sh\ncat >/dev/null; cat <&1 >/dev/null\necho 'Dnot here (#5.7.1)' >&7; exit 88\n";
    testkit::write_script(&stub, script);
    let mut command = world.command();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("TCPLOCALPORT", "25")
        .env("TCPREMOTEIP", "192.0.2.1")
        .env("QMAILQUEUE", &stub)
        .env("ERROR_FD", "7")
        .env("NODNSCHECK", "1");
    let (output, ..) = talk(command, MESSAGE);
    assert!(
        output.contains("\r\n554 5.7.1 not here (#5.7.1)\r\n"),
        "{output}"
    );
}

#[test]
fn a_message_refused_half_way_leaves_no_envelope() {
    let world = World::new();
    let mut command = under_tcpserver(&world, 0, "");
    command.env("DATABYTES", "3");
    let (output, ..) = talk(command, MESSAGE);
    assert!(output.contains("552 5.3.4 "), "{output}");
    let envelope = std::fs::read(world.path("envelope")).unwrap_or_default();
    assert_eq!(envelope, b"");
}

#[test]
fn variables_of_tcpserver_decide_about_relaying() {
    let world = World::new();
    let input = "HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@other.test>\r\nQUIT\r\n";
    let (output, ..) = talk(under_tcpserver(&world, 0, ""), input);
    assert!(output.contains("553 5.7.1 "));
    let mut command = under_tcpserver(&world, 0, "");
    command.env("RELAYCLIENT", "");
    let (output, ..) = talk(command, input);
    assert!(output.contains("250 2.1.5 ok"));
    world.control("relayclients", "192.0.2.:\n");
    let (output, ..) = talk(under_tcpserver(&world, 0, ""), input);
    assert!(output.contains("250 2.1.5 ok"));
}

#[test]
fn shutdown_and_openrelay_greet_with_a_refusal() {
    for (name, value, greeting) in [
        (
            "SHUTDOWN",
            "",
            "421 mx.test SMTP service unavailable (#4.3.2)\r\n",
        ),
        (
            "SHUTDOWN",
            "450 back at noon",
            "450 mx.test back at noon\r\n",
        ),
        (
            "OPENRELAY",
            "1",
            "554 mx.test No mail accepted from an open relay (192.0.2.1)",
        ),
        ("RBLSMTPD", "-%IP% is listed", "554 192.0.2.1 is listed\r\n"),
        ("RBLSMTPD", "not now", "451 not now\r\n"),
        ("RBLSMTPD", "", "220 mx.test"),
    ] {
        let world = World::new();
        let mut command = under_tcpserver(&world, 0, "");
        command.env(name, value);
        let (output, ..) = talk(command, "QUIT\r\n");
        assert!(output.starts_with(greeting), "{output}");
        assert!(output.contains("221 2.0.0 "));
    }
}

#[test]
fn auth_is_offered_only_with_a_checker() {
    let world = World::new();
    let input = "EHLO x\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n";
    let (output, ..) = talk(under_tcpserver(&world, 0, ""), input);
    assert!(
        output.contains("503 5.3.3 auth not available (#5.3.3)"),
        "{output}"
    );
    let mut command = under_tcpserver(&world, 0, "");
    command
        .args(["mx.test", "vchkpass", "/bin/false"])
        .env("PLAINTEXT_AUTH", "");
    let (output, ..) = talk(command, input);
    assert!(output.contains("250-AUTH PLAIN LOGIN\r\n"), "{output}");
    assert!(
        output.contains("454 4.7.0 temporary authentication failure"),
        "{output}"
    );
}

/// A checker that keeps descriptor 3 and its arguments, and ends as told.
pub fn checked(world: &World, ending: &str, input: &str) -> (String, String) {
    let stub = world.path("checker");
    let root = world.directory.path().display();
    let script =
        format!("#!/bin/sh\ncat <&3 > {root}/asked\necho \"$@\" > {root}/words\n{ending}\n");
    testkit::write_script(&stub, &script);
    let mut command = under_tcpserver(world, 0, "");
    command
        .arg("mx.test")
        .arg(&stub)
        .args(["next", "/bin/false"])
        .env("PLAINTEXT_AUTH", "");
    let (output, log, _) = talk(command, input);
    (output, log)
}

// Acceptance 35 to 37.
#[test]
fn a_checker_decides_who_logs_in() {
    let plain = "EHLO x\r\nAUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AcGFzcw==\r\n";
    let relay = "MAIL FROM:<user@example.com>\r\nRCPT TO:<x@other.test>\r\nQUIT\r\n";
    for (ending, answer, relays) in [
        ("exit 0", "235 2.7.0 ", "250 2.1.5 ok"),
        ("exit 3", "235 2.7.0 ", "553 5.7.1 "),
        (
            "exit 1",
            "535 5.7.8 authorization failed (#5.7.0)",
            "553 5.7.1 ",
        ),
        (
            "echo '553-no SMTP for you (#5.7.1)'; exit 1",
            "535 5.7.8 authorization failed: no SMTP for you (#5.7.1)",
            "553 5.7.1 ",
        ),
        ("exit 111", "454 4.7.0 ", "553 5.7.1 "),
        ("kill -9 $$", "454 4.7.0 ", "553 5.7.1 "),
    ] {
        let world = World::new();
        let (output, log) = checked(&world, ending, &format!("{plain}{relay}"));
        assert!(output.contains("250-AUTH PLAIN LOGIN\r\n"), "{output}");
        assert!(
            output.contains(&format!("\r\n{answer}")),
            "{ending}: {output} {log}"
        );
        assert!(
            output.contains(&format!("\r\n{relays}")),
            "{ending}: {output} {log}"
        );
        let asked = std::fs::read(world.path("asked")).unwrap();
        assert_eq!(asked, b"user@example.com\0pass\0\0\x02\0");
        let words = std::fs::read_to_string(world.path("words")).unwrap();
        assert_eq!(words, "next /bin/false\n");
    }
    let world = World::new();
    let login = "EHLO x\r\nAUTH LOGIN dQ==\r\ncA==\r\nQUIT\r\n";
    checked(&world, "exit 0", login);
    let asked = std::fs::read(world.path("asked")).unwrap();
    assert_eq!(asked, b"u\0p\0\0\x01\0");
}

#[test]
fn whom_inlookup_does_not_know_the_next_checker_may() {
    let world = World::new();
    world.inlookup();
    let stub = world.path("checker");
    testkit::write_script(
        &stub,
        "#!/bin/sh\ntest \"$(tr '\\0' ' ' <&3 | cut -c 1-7)\" = 'joe abc'\n",
    );
    let talk = |login: &str| {
        let mut command = under_tcpserver(&world, 0, "");
        command
            .args(["mx.test", "/x/vchkpass"])
            .arg(&stub)
            .arg("false");
        command.env("PLAINTEXT_AUTH", "");
        talk(
            command,
            &format!("EHLO x\r\nAUTH PLAIN {login}\r\nQUIT\r\n"),
        )
        .0
    };
    // ann@v.test with inlookup's password, joe with the checker's, and joe
    // without.
    for (login, answer) in [
        ("AGFubkB2LnRlc3QAc2VjcmV0", "\r\n235 "),
        ("AGpvZQBhYmM=", "\r\n235 "),
        ("AGpvZQBhYmQ=", "\r\n535 "),
    ] {
        let output = talk(login);
        assert!(output.contains(answer), "{login}: {output}");
    }
}

#[test]
fn help_and_wrong_usage() {
    let world = World::new();
    let mut command = world.command();
    command.arg("--help");
    let (output, _, code) = talk(command, "");
    assert!(output.starts_with("usage: qmail-smtpd") && code == Some(0));
    let mut command = world.command();
    command.arg("--nonsense");
    let (_, log, code) = talk(command, "");
    assert!(log.contains("--help") && code == Some(100));
}

#[test]
fn without_a_queue_program_the_queue_writer_is_asked() {
    let world = World::new();
    world.queue_writer(0);
    let mut command = under_tcpserver(&world, 0, "");
    command.env_remove("QMAILQUEUE");
    let (output, log, _) = talk(command, MESSAGE);
    assert!(output.contains(" qp 4242 trace "), "{output} {log}");
    assert_eq!(
        world.queued.lock().unwrap()[0].recipients,
        ["info@host.test"]
    );
}

// Acceptance 48.
#[test]
fn a_port_has_its_own_commands() {
    let world = World::new();
    let say = |port: &str, variables: &[(&str, &str)], lines: &str| {
        let mut command = under_tcpserver(&world, 0, "");
        command
            .env("TCPLOCALPORT", port)
            .env("TCPREMOTEIP", "127.0.0.1")
            .envs(variables.iter().copied());
        talk(command, lines).0
    };
    let unknown = "500 5.5.1 command not recognized (#5.5.1)\r\n";
    let out = say("587", &[], "EHLO x\r\nETRN host.test\r\nQUIT\r\n");
    assert!(!out.contains("250-ETRN") && out.contains(unknown), "{out}");
    let out = say("25", &[], "EHLO x\r\nETRN host.test\r\nQUIT\r\n");
    assert!(
        out.contains("250-ETRN\r\n") && out.contains("etrn service unavailable"),
        "{out}"
    );
    world.control("etrnhosts", "host.test\n");
    let out = say("25", &[], "HELO x\r\nETRN host.test\r\nQUIT\r\n");
    assert!(
        out.contains("250 2.0.0 OK, No message waiting for node <host.test>"),
        "{out}"
    );
    std::fs::create_dir_all(world.path("autoturn/host.test/Maildir/new")).unwrap();
    let out = say("25", &[], "HELO x\r\nETRN host.test\r\nQUIT\r\n");
    assert!(
        out.contains("451 4.3.0 Unable to queue messages (#4.3.0)"),
        "{out}"
    );

    let out = say("366", &[], "EHLO x\r\nQUIT\r\n");
    assert!(
        out.starts_with("421 mx.test SMTP service unavailable"),
        "{out}"
    );
    let lines = "EHLO x\r\nATRN\r\nMAIL FROM:<a@b.test>\r\nQUIT\r\n";
    for variables in [
        ("366", &[("SMTPAUTH", "")][..]),
        ("25", &[("SMTPAUTH", ""), ("ODMR", "")]),
    ] {
        let out = say(variables.0, variables.1, lines);
        assert!(out.contains("250-ATRN\r\n"), "{out}");
        assert!(
            out.contains("530 5.7.1 authentication required (#5.7.1)\r\n500 5.5.1"),
            "{out}"
        );
    }
}
