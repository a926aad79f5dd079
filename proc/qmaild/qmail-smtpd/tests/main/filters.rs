//! QMAILQUEUE programs: what they are told, and what they say.

use std::process::Command;

use wire::verify;

use crate::world::{World, serve, talk};

const MESSAGE: &str = "HELO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<info@host.test>\r\n\
    DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n";

impl World {
    /// The program as tcpserver would start it, with a queue program that
    /// keeps what it gets in `message` and `envelope`.
    fn with_queue_program(&self, then: &str) -> Command {
        let script = self.path("stub");
        let text = format!(
            "#!/bin/bash\ncd {}\ncat > message; cat <&1 > envelope\n{then}\n",
            self.directory.path().display()
        );
        testkit::write_script(&script, &text);
        let mut command = self.command();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("TCPLOCALPORT", "25")
            .env("TCPREMOTEIP", "192.0.2.1")
            .env("TCPREMOTEHOST", "client.test")
            .env("QMAILQUEUE", &script)
            .env("NODNSCHECK", "1");
        command
    }

    fn text(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }

    /// Says this about every message.
    fn verifier(&self, results: &'static str) {
        serve(
            &self.path("run/verifier/socket"),
            verify::VERSION,
            move |link| {
                while let Ok(Some(request)) = link.receive() {
                    let reply = match request {
                        verify::Request::Message(_) | verify::Request::Data(_) => continue,
                        verify::Request::End => verify::Reply::Message(verify::Verdict {
                            results: results.as_bytes().to_vec(),
                            ..verify::Verdict::default()
                        }),
                        _ => verify::Reply::Temporary("not here".to_owned()),
                    };
                    link.send(&reply).unwrap();
                }
            },
        );
    }
}

/// Every row of smtp-receiving.md §5.2: classes and the guide's texts.
#[test]
fn acceptance_40_every_exit_code_has_its_reply() {
    let rows: &[(&[u8], &str)] = &[
        (
            &[11, 115],
            "554 5.1.3 envelope address too long for qq (#5.1.3)",
        ),
        (
            &[31],
            "554 5.3.0 mail server permanently rejected message (#5.3.0)",
        ),
        (
            &[32],
            "554 5.7.1 SPAM or junk mail threshold exceeded (#5.7.1)",
        ),
        (&[33], "554 5.7.1 Message contains virus (#5.7.1)"),
        (
            &[34],
            "554 5.7.1 Message contains banned attachment (#5.7.1)",
        ),
        (&[35], "554 5.3.5 Private key file does not exist (#5.3.5)"),
        (&[12, 30, 36, 40], "554 5.3.0 qq permanent problem (#5.3.0)"),
        (&[50], "451 4.3.0 unable to set uid/gid"),
        (&[51], "451 4.3.0 qq out of memory (#4.3.0)"),
        (&[52], "451 4.3.0 qq timeout (#4.3.0)"),
        (&[53], "451 4.3.0 qq write error or disk full (#4.3.0)"),
        (&[54], "451 4.3.0 qq read error (#4.3.0)"),
        (&[55], "451 4.3.0 qq unable to read configuration (#4.3.0)"),
        (
            &[56],
            "451 4.3.0 qq trouble making network connection (#4.3.0)",
        ),
        (&[57, 58, 59], "451 4.3.0 unable to "),
        (&[60], "451 4.3.0 qq trouble creating pipes"),
        (&[61], "451 4.3.0 qq trouble in home directory (#4.3.0)"),
        (&[62], "451 4.3.0 qq unable to access mess file (#4.3.0)"),
        (
            &[63, 64, 65, 66],
            "451 4.3.0 qq trouble creating files in queue (#4.3.0)",
        ),
        (&[67], "451 4.3.0 qq trouble getting uids/gids (#4.3.0)"),
        (
            &[68],
            "451 4.3.0 qq trouble creating temporary files (#4.3.0)",
        ),
        (&[69, 70, 78, 79, 80, 83], "451 4.3.0 qq "),
        (
            &[71],
            "451 4.3.0 mail server temporarily rejected message (#4.3.0)",
        ),
        (
            &[72],
            "451 4.4.1 connection to mail server timed out (#4.4.1)",
        ),
        (
            &[73],
            "451 4.4.1 connection to mail server rejected (#4.4.1)",
        ),
        (
            &[74],
            "451 4.4.2 communication with mail server failed (#4.4.2)",
        ),
        (&[75], "451 4.3.0 unable to exec"),
        (
            &[76],
            "451 4.3.0 temporary problem with SPAM filter (#4.3.0)",
        ),
        (&[77], "451 4.3.0 qq unable to run QHPSI scanner (#4.3.0)"),
        (&[81, 91, 88], "451 4.3.0 qq internal bug (#4.3.0)"),
        (&[82, 120], "451 4.3.0 unable to exec qq (#4.3.0)"),
        (
            &[87],
            "451 4.3.5 mail system incorrectly configured. (#4.3.5)",
        ),
        (&[121], "451 4.3.0 unable to fork"),
        (&[122], "451 4.3.0 qq waitpid surprise (#4.3.0)"),
        (&[123], "451 4.3.0 qq crashed (#4.3.0)"),
        (
            &[1, 10, 41, 49, 99, 100, 111, 255],
            "451 4.3.0 qq temporary problem (#4.3.0)",
        ),
    ];
    let world = World::new();
    for (codes, reply) in rows {
        for code in *codes {
            let (output, ..) = talk(world.with_queue_program(&format!("exit {code}")), MESSAGE);
            assert!(output.contains(&format!("\r\n{reply}")), "{code}: {output}");
        }
    }
    let (output, ..) = talk(world.with_queue_program("kill -9 $$"), MESSAGE);
    assert!(
        output.contains("\r\n451 4.3.0 qq crashed (#4.3.0)"),
        "{output}"
    );
}

#[test]
fn acceptance_43_what_a_filter_says_ends_the_line_of_the_log() {
    let world = World::new();
    let mut command = world.with_queue_program("echo 'X-Bogosity: Yes, tests=x' >&255");
    command.env("LOGFILTER", "1");
    let (output, log, _) = talk(command, MESSAGE);
    assert!(output.contains("\r\n250 2.0.0 ok "), "{output}");
    let line = log
        .lines()
        .find(|line| line.contains("RCPT <info@host.test>"));
    assert!(
        line.unwrap().ends_with(" TLS=No X-Bogosity: Yes, tests=x"),
        "{log}"
    );
    // Also where the message is refused for it.
    let refusing = "echo 'X-Bogosity: Spam' >&9; exit 32";
    let mut command = world.with_queue_program(refusing);
    command.env("LOGFILTER", "1").env("LOGFD", "9");
    let (output, log, _) = talk(command, MESSAGE);
    assert!(output.contains("\r\n554 5.7.1 SPAM"), "{output}");
    assert!(log.contains("TLS=No X-Bogosity: Spam qp 0"), "{log}");
}

#[test]
fn acceptance_43_a_fifo_is_told_and_nobody_waits_for_it() {
    let world = World::new();
    let fifo = world.path("fifo");
    let run = || {
        let mut command = world.with_queue_program("echo 'X-Bogosity: Ham' >&255");
        command.env("LOGFILTER", &fifo).env("SPAMFILTER", "cat");
        talk(command, MESSAGE).0
    };
    assert!(run().contains("\r\n451 4.3.0 Unable to queue messages (#4.3.0)"));
    os::file::make_fifo(&fifo, 0o600).unwrap();
    assert!(run().contains("\r\n250 2.0.0 ok "), "nobody reads");
    let mut reader = os::file::open_fifo_read(&fifo).unwrap();
    assert!(run().contains("\r\n250 2.0.0 ok "));
    let mut line = String::new();
    std::io::Read::read_to_string(&mut reader, &mut line).unwrap();
    let rest = " MAIL from <a@b.test> RCPT <info@host.test> Size: 18 X-Bogosity: Ham\n";
    assert!(
        line.starts_with("qmail-smtpd: pid ") && line.ends_with(rest),
        "{line}"
    );
}

#[test]
fn warnmail_marks_every_message() {
    let world = World::new();
    let mut command = world.with_queue_program("");
    command
        .env("WARNMAIL", "listed\r\nSubject: forged")
        .env("WARNMAIL0", "zero")
        .env("WARNMAIL9", "nine");
    let (output, ..) = talk(command, MESSAGE);
    assert!(output.contains("\r\n250 2.0.0 ok "), "{output}");
    let message = world.text("message");
    let (received, rest) = message.split_once("X-Spam-Warning: ").unwrap();
    assert!(received.starts_with("Received: ") && received.lines().count() == 2);
    assert_eq!(
        rest,
        "listed??Subject: forged\nX-Spam-Warning: zero\nX-Spam-Warning: nine\nSubject: x\n\nhello\n"
    );
}

#[test]
fn a_queue_program_gets_what_was_found_out_about_the_message() {
    let world = World::new();
    world.verifier("Authentication-Results: mx.test; dkim=none\n");
    let (output, log, _) = talk(world.with_queue_program(""), MESSAGE);
    assert!(output.contains("\r\n250 2.0.0 ok "), "{output} {log}");
    let message = world.text("message");
    let first = "Authentication-Results: mx.test; dkim=none\nReceived: from client.test";
    assert!(message.starts_with(first), "{message}");
    assert!(message.ends_with("\n\nhello\n"), "{message}");
    assert_eq!(world.text("envelope"), "Fa@b.test\0Tinfo@host.test\0\0");
    // One that stops half way leaves no trace in the program.
    std::fs::remove_file(world.path("message")).unwrap();
    let half = MESSAGE.split("hello").next().unwrap();
    talk(world.with_queue_program(""), half);
    assert!(!world.path("message").exists());
}
