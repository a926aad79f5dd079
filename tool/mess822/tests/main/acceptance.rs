//! The acceptance ideas of the specification for injection, by their numbers
//! (queue-and-delivery.md §12); 1 to 5 and 14 are tests of qmail-queue.

use crate::installation::Installation;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn acceptance_9_what_is_missing_is_added() {
    let here = Installation::new();
    let output = here.run(&["qmail-inject", "-n"], "To: joe\n");
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "Return-Path: <joe@me.example>");
    assert!(
        lines[1].starts_with("Date: ") && lines[1].ends_with(" -0000"),
        "{shown}"
    );
    assert!(lines[2].starts_with("Message-ID: <") && lines[2].ends_with("@me.example>"));
    assert_eq!(lines[3..], ["From: joe@me.example", "To: joe@me.example"]);
}

#[test]
fn acceptance_10_lists_are_repaired_groups_kept_bcc_hidden() {
    let here = Installation::new();
    let message = "To: a b, Grp: c@d, e;\nBcc: s@t\n\nx\n";
    let shown = text(&here.run(&["qmail-inject", "-n", "-h"], message).stdout);
    let expected = "To: a@me.example, b@me.example, Grp: c@d.me.example, e@me.example;\n\nx\n";
    assert!(shown.ends_with(expected), "{shown}");
    assert!(!shown.contains("Bcc"));
    here.queue_program("");
    assert!(here.run(&["qmail-inject", "-h"], message).status.success());
    assert_eq!(
        here.read("envelope"),
        "Fjoe@me.example|Ta@me.example|Tb@me.example|Tc@d.me.example|Te@me.example|Ts@t.me.example||"
    );
}

#[test]
fn acceptance_11_the_sender_becomes_one_for_each_recipient() {
    let here = Installation::new();
    here.queue_program("");
    let output = here.run_with(
        &["qmail-inject", "u@r.example"],
        "\n",
        &[("QMAILINJECT", "r")],
    );
    assert!(output.status.success());
    assert_eq!(here.read("envelope"), "Fjoe-@me.example-@[]|Tu@r.example||");
    // What qmail-send makes of it for that recipient.
    assert_eq!(
        address::verp_expand(b"joe-@me.example-@[]", || b"u@r.example"),
        b"joe-u=r.example@me.example"
    );
}

#[test]
fn acceptance_12_t_adds_the_arguments_and_bp_is_qmail_qread() {
    let here = Installation::new();
    here.queue_program("");
    let message = "To: h@x.y\nCc: i@x.y\n\nhi\n";
    assert!(
        here.run(&["sendmail", "-t", "-f", "s@x", "b@y.z"], message)
            .status
            .success()
    );
    assert_eq!(
        here.read("envelope"),
        "Fs@x.me.example|Th@x.y|Ti@x.y|Tb@y.z||"
    );
    here.program("qmail-qread", "echo the queue; exit 3");
    for line in [&["sendmail", "-bp"][..], &["mailq"]] {
        let output = here.run(line, "");
        assert_eq!(
            (text(&output.stdout).as_str(), output.status.code()),
            ("the queue\n", Some(3))
        );
    }
}

#[test]
fn acceptance_13_the_queue_program_has_the_last_word() {
    let here = Installation::new();
    let run = |program: &str, more: &[(&str, &str)]| {
        let variables = [&[("QMAILQUEUE", program)], more].concat();
        let output = here.run_with(&["qmail-inject", "a@b.c"], "\nhi\n", &variables);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(run("/bin/false", &[]).0, Some(111));
    let read = "cat >/dev/null; cat <&1 >/dev/null";
    here.program("refuses", &format!("{read}; exit 31"));
    assert_eq!(run("bin/refuses", &[]).0, Some(100));
    here.program(
        "speaks",
        &format!("{read}; echo 'Dno thanks' >&${{1:-2}}; exit 88"),
    );
    let said = "qmail-inject: fatal: no thanks\n".to_owned();
    assert_eq!(run("bin/speaks", &[]), (Some(100), said.clone()));
    assert_eq!(run("bin/speaks 7", &[("ERROR_FD", "7")]), (Some(100), said));
    let (code, line) = run("bin/speaks", &[("ERROR_FD", "-1")]);
    assert_eq!(code, Some(111));
    assert!(line.contains("qq temporary problem (#4.3.0)"), "{line}");
    assert_eq!(run("'bin/speaks", &[]).0, Some(111), "an open quote");
    assert_eq!(run("bin/speaks", &[("NULLQUEUE", "1")]).0, Some(0));
}
