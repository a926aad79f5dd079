//! What is too big, too strange or too much for qmail-inject: the documented
//! answer, in bounded memory.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::installation::Installation;

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_message_of_100_megabytes_takes_little_memory() {
    let here = Installation::new();
    here.program("qmail-queue", "wc -c > bytes; cat <&1 > envelope");
    let script = "ulimit -v 49152; exec \"$0\" qmail-inject ann@b.c";
    let mut child = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_mess822-tools")])
        .env("QMAILDIR", here.root())
        .env("USER", "joe")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"Subject: big\n\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| pipe.write_all(&piece).unwrap());
    drop(pipe);
    assert!(child.wait().unwrap().success());
    let bytes: u64 = here.read("bytes").trim().parse().unwrap();
    assert!(100 << 20 < bytes && bytes < (100 << 20) + 1000);
}

#[test]
fn many_recipients_reach_the_queue_program_one_by_one() {
    const RECIPIENTS: usize = 100_000;
    let here = Installation::new();
    here.queue_program("");
    let mut header = String::from("To: ");
    for n in 0..RECIPIENTS {
        header.push_str(&format!("somebody-{n}@some.where.example,\n "));
    }
    let output = here.run(&["qmail-inject"], &format!("{}last@x.y\n\nhi\n", header));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(here.read("envelope").matches("|T").count(), RECIPIENTS + 1);
}

#[test]
fn a_header_without_end_is_refused() {
    let here = Installation::new();
    here.queue_program("");
    let message = format!("Subject: {}\n", "x".repeat(70)).repeat(120_000);
    let output = here.run(&["qmail-inject", "ann"], &message);
    assert_eq!(output.status.code(), Some(100));
    assert!(
        stderr(&output).contains("header is longer than"),
        "{}",
        stderr(&output)
    );
    assert_eq!(here.read("envelope"), "");
}

#[test]
fn a_first_line_without_end_is_a_body() {
    let here = Installation::new();
    here.program("qmail-queue", "wc -c > bytes; cat <&1 > envelope");
    let output = here.run(&["qmail-inject", "ann@b.c"], &"x".repeat(10 << 20));
    assert!(output.status.success(), "{}", stderr(&output));
    let bytes: usize = here.read("bytes").trim().parse().unwrap();
    assert!(10 << 20 < bytes, "{bytes}");
}

#[test]
fn addresses_end_at_1002_bytes() {
    let here = Installation::new();
    here.queue_program("");
    let address = |length: usize| format!("{}@x.example", "a".repeat(length - 10));
    for (length, code) in [(1002, 0), (1003, 100), (5000, 100)] {
        let line = ["qmail-inject".to_owned(), address(length)];
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        assert_eq!(
            here.run(&line, "\nhi\n").status.code(),
            Some(code),
            "{length}"
        );
        let field = format!("To: {}\n\nhi\n", address(length));
        assert_eq!(
            here.run(&["qmail-inject"], &field).status.code(),
            Some(code),
            "{length}"
        );
    }
}

#[test]
fn eight_bit_names_are_quoted_and_nul_bytes_pass_in_the_body() {
    let here = Installation::new();
    here.queue_program("");
    let message = "To: J\u{f6}rg <j@b.c>\n\na\0b\u{ff}\n";
    let output = here.run(&["qmail-inject"], message);
    assert!(output.status.success(), "{}", stderr(&output));
    let seen = std::fs::read(here.root().join("message")).unwrap();
    let seen = String::from_utf8(seen).unwrap();
    assert!(
        seen.ends_with("To: \"J\u{f6}rg\" <j@b.c>\n\na\0b\u{ff}\n"),
        "{seen:?}"
    );
    // An address with one would be two records of the envelope.
    let output = here.run(&["qmail-inject"], "To: \"a\0b\"@c.d\n\nhi\n");
    assert_eq!(output.status.code(), Some(100));
}

#[test]
fn a_caller_that_sets_variables_cannot_add_header_fields() {
    let here = Installation::new();
    let evil = [
        ("QMAILUSER", "joe\nBcc: a@b.c"),
        ("QMAILHOST", "h.i\nBcc: a@b.c"),
        ("QMAILNAME", "J\r\nBcc: a@b.c"),
        ("QMAILIDHOST", "h\nBcc: a@b.c"),
    ];
    let output = here.run_with(&["qmail-inject", "-n"], "To: x@y.z\n", &evil);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        !shown.contains("\nBcc") && !shown.contains("\rBcc"),
        "{shown}"
    );
}
