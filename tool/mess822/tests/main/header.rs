//! The header tools, new-inject, ofmipd and the small helpers.

use crate::installation::Installation;

const MESSAGE: &str = "\
Received: from c by d; 26 Sep 1995 04:47:53 -0000
Received: from a by b (x); 26 Sep 1995 06:46:53 +0200
Date: Tue, 26 Sep 1995 04:46:53 EST
From: Ann <ann@a.example>
To: Bob <bob@b.example> (the builder), carl@c.example
SUBJECT: one
 two
Subject: three

Subject: body
";

fn run(line: &[&str], message: &str) -> (Option<i32>, String) {
    let output = Installation::new().run(line, message);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

fn code(line: &[&str]) -> Option<i32> {
    run(line, MESSAGE).0
}

#[test]
fn fields_header_and_body_are_taken_apart() {
    assert_eq!(
        run(&["822field"], MESSAGE),
        (Some(0), "one two\nthree\n".into())
    );
    assert_eq!(
        run(&["822field", "from"], MESSAGE).1,
        "Ann <ann@a.example>\n"
    );
    assert_eq!(code(&["822field", "x"]), Some(100));
    assert_eq!(code(&["822field", "a", "b"]), Some(100));
    let two = run(&["822fields", "date", "from"], MESSAGE).1;
    assert_eq!(two, "Tue, 26 Sep 1995 04:46:53 EST\nAnn <ann@a.example>\n");
    let only = run(&["822header", "-I", "subject", "-Ifrom"], MESSAGE).1;
    assert_eq!(
        only,
        "From: Ann <ann@a.example>\nSUBJECT: one\n two\nSubject: three\n"
    );
    let most = run(
        &["822header", "-X", "received", "-Xsubject", "-X", "to:"],
        MESSAGE,
    )
    .1;
    assert_eq!(
        most,
        "Date: Tue, 26 Sep 1995 04:46:53 EST\nFrom: Ann <ann@a.example>\n"
    );
    assert_eq!(code(&["822header", "x"]), Some(100));
    assert_eq!(run(&["822body"], MESSAGE).1, "Subject: body\n");
    assert_eq!(
        run(&["822body"], "a: b\nno header\nmore").1,
        "no header\nmore"
    );
    assert_eq!(run(&["822headerok"], MESSAGE), (Some(0), String::new()));
    assert_eq!(run(&["822headerok"], "a: b\nno header\n").0, Some(100));
}

#[test]
fn addresses_are_found_in_fields() {
    assert_eq!(
        run(&["822addr"], MESSAGE).1,
        "+bob@b.example\n(Bob\n(the builder\n+carl@c.example\n"
    );
    assert_eq!(
        run(&["822addr", "from"], MESSAGE).1,
        "+ann@a.example\n(Ann\n"
    );
    assert_eq!(code(&["822addr", "cc"]), Some(100));
    assert_eq!(run(&["822addr"], "To: \"x\n").0, Some(100));
    assert_eq!(code(&["iftocc", "CARL@c.example", "x"]), Some(0));
    assert_eq!(code(&["iftocc", "ann@a.example"]), Some(100));
    assert_eq!(code(&["iftoccfrom", "ann@a.example"]), Some(0));
    assert_eq!(code(&["iftocc", "@b.example"]), Some(0));
    assert_eq!(code(&["iftocc", "@example"]), Some(100));
    assert_eq!(code(&["ifaddr", "from", ":", "ann@a.example"]), Some(0));
    assert_eq!(code(&["ifaddr", "from", ":", "bob@b.example"]), Some(100));
    assert_eq!(code(&["ifaddr", "bob@b.example"]), Some(0));
    assert_eq!(code(&["iftocc"]), Some(100));
}

#[test]
fn dates_and_the_way_are_readable() {
    assert_eq!(
        run(&["822date"], MESSAGE),
        (
            Some(0),
            "1995-09-26 04:46:53 -0500\n1995-09-26 09:46:53 +0000\nTue Sep 26 09:46:53 1995\n"
                .into()
        )
    );
    assert_eq!(code(&["822date", "subject"]), Some(100));
    let way = run(&["822received"], MESSAGE).1;
    let lines: Vec<&str> = way.lines().collect();
    assert!(lines[0].starts_with("1995-09-26 04:46:53 +0000"), "{way}");
    assert!(lines[0].ends_with(" from a by b (x)"), "{way}");
    assert!(lines[1].contains(" +60s from c by d"), "{way}");
    let shown = run(&["822print"], MESSAGE).1;
    assert!(
        shown.contains("F\x08Fr\x08ro\x08om\x08m: Ann <ann@a.example>\n"),
        "{shown}"
    );
    assert!(
        shown.ends_with("_\x08t_\x08h_\x08r_\x08e_\x08e\n\nSubject: body\n"),
        "{shown}"
    );
}

#[test]
fn programs_see_a_part_of_the_message() {
    let (code, out) = run(
        &["822headerfilter", "tr", "a-z", "A-Z"],
        "a: b\n c\n\nbody\n",
    );
    assert_eq!((code, &out[..]), (Some(0), "A: B\n C\n"));
    assert_eq!(run(&["822headerfilter", "false"], MESSAGE).0, Some(1));
    assert_eq!(run(&["822headerfilter", "/no/such"], MESSAGE).0, Some(111));
    assert_eq!(
        run(&["822bodyfilter", "cat"], "a: b\n\nx\n").0,
        Some(111),
        "a pipe"
    );
    let here = Installation::new();
    let path = here.root().join("m");
    for (message, expected) in [
        ("a: b\n\nx\ny\n", "a: b\n\nX\nY\n"),
        ("a: b\nx y\n", "a: b\nX Y\n"),
    ] {
        std::fs::write(&path, message).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mess822-tools"))
            .args(["822bodyfilter", "tr", "a-z", "A-Z"])
            .stdin(std::fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn new_inject_merges_dates_and_obeys_envelope_fields() {
    let here = Installation::new();
    let message = "From: x@y.z\nMessage-ID: <1@x>\nTo: ann\nDate: 26 Sep 95 04:46:53 EST\n\
                   TO: bob+\nDate: soon\n\nhi\n";
    std::fs::write(here.root().join("control/plusdomain"), "plus.example\n").unwrap();
    let output = here.run(&["new-inject", "-n"], message);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Envelope-Sender: <joe@me.example>\n\
         Envelope-Recipients: ann@me.example,\n  bob+@me.example\n\
         From: x@y.z\nMessage-ID: <1@x>\nTo: ann@me.example, bob+@me.example\n\
         Date: 26 Sep 1995 04:46:53 -0500\n\nhi\n"
    );
    here.queue_program("");
    let message = "Envelope-Sender: s@t\nEnvelope-Recipients: ann, bob@x+\nTo: carl\n\nhi\n";
    assert!(here.run(&["new-inject"], message).status.success());
    assert_eq!(
        here.read("envelope"),
        "Fs@t.me.example|Tann@me.example|Tbob@x.plus.example||"
    );
    assert!(
        here.read("message")
            .ends_with("To: carl@me.example\n\nhi\n")
    );
    assert!(!here.read("message").contains("Envelope-"));
    std::fs::write(
        here.root().join("control/rewrite"),
        "=:here.example\n?:.there\n",
    )
    .unwrap();
    assert!(
        here.run(&["new-inject", "a", "b@c"], "\nhi\n")
            .status
            .success()
    );
    assert_eq!(
        here.read("envelope"),
        "Fjoe@here.example|Ta@here.example|Tb@c.there||"
    );
    let output = here.run(
        &["new-inject", "-nFIRM", "a"],
        "From: x@y\nMessage-ID: <1>\n\n",
    );
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("From: joe@here.example\n") && !shown.contains("<1>"),
        "{shown}"
    );
    let sender = shown.lines().next().unwrap();
    assert!(
        sender.starts_with("Envelope-Sender: <\"joe-") && sender.ends_with("-@here.example-\"@[]>"),
        "{sender}"
    );
    std::fs::write(here.root().join("control/rewrite"), "nonsense\n").unwrap();
    assert_eq!(
        here.run(&["new-inject", "a"], "\n").status.code(),
        Some(111)
    );
}

#[test]
fn ofmipd_takes_mail_and_repairs_it() {
    let here = Installation::new();
    here.queue_program("");
    let table = here.root().join("names.cdb").display().to_string();
    let made = here.run(
        &["ofmipname", &table, "tmp"],
        "joe:Joe Shmoe:joe@shmoe.example:\n",
    );
    assert!(made.status.success());
    let dialogue = "EHLO x\r\nRCPT TO:<a@b>\r\nMAIL FROM:<joe@pc>\r\nRCPT TO:<ann@b.c>\r\n\
                    RCPT TO:<bob>\r\nDATA\r\nFrom: x@y\r\nTo: ann\r\n\r\n..dot\r\n.\n.\r\n.\r\nNOOP\r\nQUIT\r\n";
    let output = here.run(&["ofmipd", &table], dialogue);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let codes: Vec<&str> = said.lines().map(|line| &line[..4]).collect();
    assert_eq!(
        codes,
        [
            "220 ", "250-", "250-", "250 ", "503 ", "250 ", "250 ", "250 ", "354 ", "250 ", "250 ",
            "221 "
        ]
    );
    assert_eq!(
        here.read("envelope"),
        "Fjoe@shmoe.example|Tann@b.c|Tbob@me.example||"
    );
    let message = here.read("message");
    assert!(
        message.contains("From: \"Joe Shmoe\" <joe@shmoe.example>\n"),
        "{message}"
    );
    assert!(
        message.ends_with("To: ann@me.example\n\n.dot\n\n.\n"),
        "{message}"
    );
}

#[test]
fn ofmipd_says_why_it_does_not_take_a_message_and_goes_on() {
    let here = Installation::new();
    here.queue_program("exit 31");
    let one = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let dialogue = format!("{one}x: y\r\n\r\nhi\r\n.\r\n{one}To: \"\r\n.\r\nFOO\r\nQUIT\r\n");
    let output = here.run(&["ofmipd"], &dialogue);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[4].starts_with("554 ") && lines[4].contains("(#5.3.0)"),
        "{said}"
    );
    assert!(lines[8].starts_with("554 5.6.0 unable to parse"), "{said}");
    assert!(
        lines[9].starts_with("502 ") && lines[10].starts_with("221 "),
        "{said}"
    );
    // A connection that breaks in the middle queues nothing.
    std::fs::remove_file(here.root().join("envelope")).unwrap();
    here.queue_program("");
    let output = here.run(&["ofmipd"], &format!("{one}x: y\r\n\r\nhi\r\n.\n"));
    assert_eq!(output.status.code(), Some(111));
    assert_eq!(here.read("envelope"), "");
}

#[test]
fn predate_adds_a_date_with_the_local_zone() {
    let output = Installation::new().run(&["predate", "cat"], "Subject: x\n\nhi\n");
    let text = String::from_utf8(output.stdout).unwrap();
    let (date, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "Subject: x\n\nhi\n");
    assert!(
        date.starts_with("Date: ") && date.ends_with(" +0000"),
        "{date}"
    );
}

#[test]
fn rmail_finds_the_sender_of_uucp_mail() {
    let here = Installation::new();
    here.queue_program("");
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_mess822-tools"),
        here.root().join("bin/qmail-inject"),
    )
    .unwrap();
    let message = "From far!ann Thu May 13 18:34:50 1999 remote from near\nTo: x@y.z\n\nhi\n";
    let output = here.run(&["rmail", "bob@b.c"], message);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(here.read("envelope"), "Fann@far.me.example|Tbob@b.c||");
    assert!(here.read("message").ends_with("To: x@y.z\n\nhi\n"));
    assert_eq!(here.run(&["rmail"], "").status.code(), Some(100));
}
