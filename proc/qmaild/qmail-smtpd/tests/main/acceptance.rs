//! The acceptance ideas of smtp-receiving.md §10, numbered as there, with the
//! program as tcpserver would start it and a queue program that keeps what it
//! gets.

use crate::world::{World, talk};

/// What a session said, how it ended, and what the queue program has.
pub struct Said {
    pub output: String,
    pub log: String,
    pub code: Option<i32>,
    pub message: String,
    pub envelope: String,
}

impl Said {
    #[track_caller]
    pub fn has(self, text: &str) -> Self {
        assert!(
            self.output.contains(text),
            "{text:?} is not in {}",
            self.output
        );
        self
    }

    #[track_caller]
    pub fn has_not(self, text: &str) -> Self {
        assert!(
            !self.output.contains(text),
            "{text:?} is in {}",
            self.output
        );
        self
    }
}

pub struct Site(pub World);

impl Site {
    pub fn new() -> Self {
        let world = World::new();
        std::fs::remove_file(world.path("control/locals")).unwrap();
        std::fs::remove_file(world.path("control/virtualdomains")).unwrap();
        world.control("rcpthosts", "local.test\n");
        let site = Self(world);
        site.queue_ends("0");
        site
    }

    pub fn control(&self, name: &str, text: &str) -> &Self {
        self.0.control(name, text);
        self
    }

    /// What the queue program does when it has read everything.
    fn queue_ends(&self, end: &str) {
        let directory = self.0.directory.path().display();
        let script = format!(
            "#!/bin/sh\ncat >{directory}/message\ncat <&1 >{directory}/envelope\nexit {end}\n"
        );
        testkit::write_script(self.0.path("stub"), &script);
    }

    pub fn say(&self, variables: &[(&str, &str)], input: &str) -> Said {
        for name in ["message", "envelope"] {
            let _ = std::fs::remove_file(self.0.path(name));
        }
        let mut command = self.0.command();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("TCPLOCALPORT", "25")
            .env("TCPREMOTEIP", "192.0.2.1")
            .env("TCPREMOTEHOST", "client.test")
            .env("QMAILQUEUE", self.0.path("stub"))
            .env("NODNSCHECK", "1")
            .envs(variables.iter().copied());
        let (output, log, code) = talk(command, input);
        let read = |name: &str| {
            let bytes = std::fs::read(self.0.path(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (message, envelope) = (read("message"), read("envelope"));
        Said {
            output,
            log,
            code,
            message,
            envelope,
        }
    }

    /// Lines after HELO, and QUIT after them.
    pub fn lines(&self, variables: &[(&str, &str)], lines: &[&str]) -> Said {
        let text = format!("HELO x.test\r\n{}\r\nQUIT\r\n", lines.join("\r\n"));
        self.say(variables, &text)
    }

    /// A message from `from` to these, with this text.
    pub fn mail(&self, variables: &[(&str, &str)], from: &str, to: &[&str], text: &str) -> Said {
        let from = format!("MAIL FROM:<{from}>");
        let to: Vec<String> = to.iter().map(|to| format!("RCPT TO:<{to}>")).collect();
        let mut lines = vec![from.as_str()];
        lines.extend(to.iter().map(String::as_str));
        lines.extend(["DATA", text, "."]);
        self.lines(variables, &lines)
    }
}

#[test]
fn acceptance_9_a_greeting_has_as_many_lines_as_its_file() {
    let site = Site::new();
    site.control("smtpgreeting", "mx.test hello\nsecond line\n");
    let said = site
        .say(&[], "QUIT\r\n")
        .has("\r\n220 second line\r\n")
        .has("\r\n221 ");
    assert!(
        said.output.starts_with("220-mx.test hello"),
        "{}",
        said.output
    );
    assert_eq!(said.code, Some(0));
}

#[test]
fn acceptance_10_who_speaks_first_is_sent_away() {
    let site = Site::new();
    let said = site.say(&[("GREETDELAY", "-1")], "EHLO x.test\r\n");
    assert_eq!(said.code, Some(1));
    assert!(said.output.starts_with("554 "), "{}", said.output);
    said.has("SMTP protocol violation").has_not("220");
}

#[test]
fn acceptance_11_shutdown_and_open_relays_hear_it_at_once() {
    let site = Site::new();
    let said = site.say(&[("SHUTDOWN", "")], "QUIT\r\n");
    assert!(
        said.output.starts_with("421 ") && said.code == Some(0),
        "{}",
        said.output
    );
    let said = site.say(&[("OPENRELAY", "1")], "QUIT\r\n");
    said.has("open relay").has("\r\n221 ");
}

#[test]
fn acceptance_12_commands_have_an_order() {
    let site = Site::new();
    site.say(&[], "MAIL FROM:<a@b.test>\r\nHELO x.test\r\nRCPT TO:<x@local.test>\r\nMAIL FROM:<a@b.test>\r\nDATA\r\nRSET x\r\nFOO\r\nQUIT\r\n")
        .has("503 5.5.4 Polite people say hello first (#5.5.4)")
        .has("503 5.5.1 MAIL first (#5.5.1)")
        .has("503 5.5.1 RCPT first (#5.5.1)")
        .has("\r\n501 ")
        .has("\r\n500 ");
    // Who leaves without QUIT is logged as cut short.
    assert_eq!(site.say(&[], "HELO x.test\r\n").code, Some(1));
}

#[test]
fn acceptance_13_badmailfrom_has_no_case_and_addresses_keep_theirs() {
    let site = Site::new();
    site.control("badmailfrom", "@evil.test\n");
    for sender in ["a@evil.test", "A@EVIL.TEST"] {
        site.lines(&[], &[&format!("MAIL FROM:<{sender}>")])
            .has("553 5.7.1 sorry, your envelope sender is in my badmailfrom list (#5.7.1)");
    }
    let said = site.mail(&[], "Joe@ok.test", &["Ann@local.test"], "hi");
    assert_eq!(said.envelope, "FJoe@ok.test\0TAnn@local.test\0\0");
}

#[test]
fn acceptance_14_patterns_and_regular_expressions() {
    let site = Site::new();
    site.control("badmailpatterns", "*@isp.test\n!fred@isp.test\n");
    site.control("badmailfrom", "^[0-9]+@\n");
    let ask = |variables: &[(&str, &str)], sender: &str| {
        let said = site.lines(variables, &[&format!("MAIL FROM:<{sender}>")]);
        let replies: Vec<&str> = said.output.lines().collect();
        replies[2][..3].to_owned()
    };
    assert_eq!(ask(&[], "joe@isp.test"), "553");
    assert_eq!(ask(&[], "fred@isp.test"), "250");
    assert_eq!(ask(&[("QREGEX", "1")], "12@x.test"), "553");
    assert_eq!(ask(&[("QREGEX", "1")], "joe@isp.test"), "250");
    assert_eq!(ask(&[("QREGEX", "")], "joe@isp.test"), "553");
    site.control("badmailfrom", "a(b\n");
    let said = site.lines(&[("QREGEX", "1")], &["MAIL FROM:<a@b.test>"]);
    assert!(said.output.starts_with("451 "), "{}", said.output);
}

#[test]
fn acceptance_15_goodrcptto_beats_badrcptto() {
    let site = Site::new();
    site.control("badrcptto", "a@local.test\nb@local.test\n");
    site.control("goodrcptto", "a@local.test\n");
    let lines = [
        "MAIL FROM:<x@y.test>",
        "RCPT TO:<a@local.test>",
        "RCPT TO:<b@local.test>",
    ];
    site.lines(&[], &lines).has("250 2.1.5 ok\r\n553 5.7.1 ");
}

#[test]
fn acceptance_16_17_18_who_may_relay() {
    let site = Site::new();
    let to = |variables: &[(&str, &str)], to: &str| {
        site.lines(
            variables,
            &["MAIL FROM:<x@y.test>", &format!("RCPT TO:<{to}>")],
        )
    };
    to(&[], "x@other.test")
        .has("553 5.7.1 ")
        .has("without authentication (#5.7.1)");
    to(&[("RELAYCLIENT", "")], "x@other.test").has("250 2.1.5");
    to(&[("AUTH_ALL", "1")], "x@local.test").has("553 5.7.1 ");
    to(&[], "x%y@local.test").has("553 5.7.1 we don't relay (#5.7.1)");
    site.control("relayclients", "192.0.2.:\n");
    to(&[], "x@other.test").has("250 2.1.5");
    site.control("relayclients", "");
    site.control("relaymailfrom", "boss@local.test\n");
    let transactions = [
        "MAIL FROM:<boss@local.test>",
        "RCPT TO:<x@other.test>",
        "RSET",
        "MAIL FROM:<joe@local.test>",
        "RCPT TO:<x@other.test>",
    ];
    site.lines(&[], &transactions)
        .has("250 2.1.5 ok\r\n250 2.0.0 flushed\r\n250 2.1.0 ok\r\n553 5.7.1 ");
}

#[test]
fn acceptance_19_20_so_many_recipients() {
    let site = Site::new();
    let three = ["a@local.test", "b@local.test", "c@local.test"];
    let said = site.mail(&[("MAXRECIPIENTS", "2")], "x@y.test", &three, "hi");
    assert_eq!(said.envelope, "Fx@y.test\0Ta@local.test\0Tb@local.test\0\0");
    said.has("452 4.5.3 sorry, too many recipients (#4.5.3)");
    let two = [
        "MAIL FROM:<>",
        "RCPT TO:<a@local.test>",
        "RCPT TO:<b@local.test>",
    ];
    site.lines(&[], &two)
        .has("550 5.7.1 sorry, bounce messages should have a single envelope recipient (#5.7.1)");
}

#[test]
fn acceptance_21_22_too_big_or_too_far() {
    let site = Site::new();
    let limit = [("DATABYTES", "100")];
    let big = "sorry, that message size exceeds my databytes limit (#5.3.4)";
    let said = site
        .mail(&limit, "x@y.test", &["a@local.test"], &"x".repeat(200))
        .has(big);
    assert!(!said.envelope.ends_with("\0\0"), "{:?}", said.envelope);
    site.lines(&limit, &["MAIL FROM:<x@y.test> SIZE=200"])
        .has("552 5.3.4 ");
    let hops = |count: usize| vec!["Received: x"; count].join("\r\n") + "\r\n\r\nhi";
    site.mail(&[], "x@y.test", &["a@local.test"], &hops(100))
        .has("554 5.4.6 too many hops, this message is looping (#5.4.6)");
    site.mail(&[], "x@y.test", &["a@local.test"], &hops(99))
        .has("250 2.0.0 ok ");
}

#[test]
fn acceptance_23_nothing_is_smuggled() {
    let site = Site::new();
    let text = "a\n.\nMAIL FROM:<x@y>\r\nRCPT TO:<b@local.test>\r\nDATA\r\nb";
    let said = site.mail(&[], "x@y.test", &["a@local.test"], text);
    assert!(!said.envelope.contains("b@local.test"), "{}", said.envelope);
    assert_eq!(said.code, Some(1));
    said.has("554 5.6.0 ").has_not("250 2.0.0 ok ");
}

#[test]
fn acceptance_25_hostaccess() {
    let site = Site::new();
    site.control("hostaccess", "yahoo.com:192.0.2.5\n");
    let from = |ip: &str, variable: &str, sender: &str| {
        let variables = [("TCPREMOTEIP", ip), (variable, "1")];
        site.lines(&variables, &[&format!("MAIL FROM:<{sender}>")])
    };
    let denied = "553 5.7.1 sorry, your host has been denied (#5.7.1)";
    from("192.0.2.5", "X", "a@yahoo.com").has("250 2.1.0");
    from("192.0.2.5", "X", "a@other.test").has(denied);
    from("192.0.2.5", "DOMAIN_MASQUERADE", "a@other.test").has("250 2.1.0");
    from("192.0.2.1", "X", "a@yahoo.com").has("250 2.1.0");
    from("192.0.2.1", "PARANOID", "a@yahoo.com").has(denied);
}

#[test]
fn acceptance_26_27_accesslist_and_blackholes() {
    let site = Site::new();
    site.control("accesslist", "rcpt:boss@local.test:list@local.test\n");
    let ask = |sender: &str, to: &str| {
        let from = format!("MAIL FROM:<{sender}>");
        site.lines(&[], &[&from, &format!("RCPT TO:<{to}>")])
    };
    ask("boss@local.test", "list@local.test").has("250 2.1.5");
    ask("other@local.test", "list@local.test")
        .has("553 5.7.1 sorry, sites access list denies transaction (#5.7.1)");
    ask("other@local.test", "someone@local.test").has("250 2.1.5");
    ask("", "list@local.test").has("250 2.1.5");
    site.control("accesslist", "");
    site.control("blackholedrcpt", "gone@local.test\n");
    let both = ["gone@local.test", "a@local.test"];
    let said = site.mail(&[], "x@y.test", &both, "hi");
    assert_eq!(said.envelope, "Fx@y.test\0Ta@local.test\0\0");
    said.has("250 2.0.0 ok ");
}

#[test]
fn acceptance_28_recipients_cdb() {
    let site = Site::new();
    let mut table = cdb::Builder::default();
    table.add(b":a@local.test", b"").unwrap();
    let path = site.0.path("users/recipients.cdb");
    std::fs::write(&path, table.finish().unwrap()).unwrap();
    let ask = |to: &str| {
        let to = format!("RCPT TO:<{to}>");
        site.lines(&[("CHECKRECIPIENT", "3")], &["MAIL FROM:<x@y.test>", &to])
    };
    ask("a@local.test").has("250 2.1.5");
    ask("b@local.test").has("550 5.1.1 ").has("absent");
    std::fs::remove_file(&path).unwrap();
    ask("a@local.test").has("451 4.3.2 ");
}

#[test]
fn acceptance_33_34_signatures_and_bodycheck() {
    let site = Site::new();
    site.control("signatures", "TVqQAAMAA:exe\n");
    let part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nTVqQAAMAAxx\r\n--b--";
    let said = site.mail(&[("VIRUSCHECK", "1")], "x@y.test", &["a@local.test"], part);
    assert!(!said.envelope.ends_with("\0\0"), "{:?}", said.envelope);
    said.has("\r\n552-5.3.4 we don't accept email with the below content (#5.3.4)\r\n552 5.3.4 Further Information: exe\r\n");
    let second = "Subject: x\r\n\r\nfirst\r\nTVqQAAMAA";
    site.mail(
        &[("VIRUSCHECK", "1")],
        "x@y.test",
        &["a@local.test"],
        second,
    )
    .has("250 2.0.0 ok ");
    site.control("bodycheck", "viagra:drugs:-header\n");
    let check = [("BODYCHECK", "")];
    let subject = "Subject: Viagra\r\n\r\nx";
    site.mail(&check, "x@y.test", &["a@local.test"], subject)
        .has("Further Information: drugs");
    let body = "Subject: x\r\n\r\nviagra";
    site.mail(&check, "x@y.test", &["a@local.test"], body)
        .has("250 2.0.0 ok ");
}

#[test]
fn acceptance_39_rules_for_a_sender_end_with_its_transaction() {
    let site = Site::new();
    let rules = "*@big.test:DATABYTES=50\na@big.test:DATABYTES=,REQUIREAUTH=1\n";
    site.control("from.envrules", rules);
    let lines = [
        "MAIL FROM:<b@big.test> SIZE=60",
        "MAIL FROM:<a@big.test>",
        "MAIL FROM:<c@x.test> SIZE=60",
    ];
    site.lines(&[], &lines)
        .has("552 5.3.4 ")
        .has("\r\n530 5.7.1 authentication required (#5.7.1)\r\n250 2.1.0 ok\r\n");
}

/// The table of codes is in `filters.rs`.
#[test]
fn acceptance_40_a_program_may_say_why_itself() {
    let site = Site::new();
    for (said, reply) in [
        ("Dno thanks (#5.7.1)", "554 5.7.1 no thanks (#5.7.1)"),
        ("Zlater (#4.7.1)", "451 4.7.1 later (#4.7.1)"),
        (
            "noise\\nmore\\nDno thanks (#5.7.1)",
            "554 5.7.1 no thanks (#5.7.1)",
        ),
        ("", "451 4.3.0 qq internal bug (#4.3.0)"),
    ] {
        site.queue_ends(&format!("$(printf '{said}' >&2; echo 88)"));
        let told = site.mail(&[], "x@y.test", &["a@local.test"], "hi");
        assert!(!told.log.contains("panic"), "{}", told.log);
        assert!(told.message.ends_with("\nhi\n"), "{}", told.message);
        told.has(&format!("\r\n{reply}\r\n"));
    }
}
