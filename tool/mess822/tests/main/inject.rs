//! qmail-inject and mailsubj.

use std::os::unix::net::UnixListener;
use std::path::Path;

use wire::queue::{Reply, Request, VERSION};

use crate::installation::Installation;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_message_and_its_envelope_reach_the_queue_program() {
    let here = Installation::new();
    here.queue_program("env > environment");
    let output = here.run(&["qmail-inject"], "To: ann\nBcc: bob@b.c\n\nbody\n.\nlast");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        here.read("envelope"),
        "Fjoe@me.example|Tann@me.example|Tbob@b.c||"
    );
    let message = here.read("message");
    assert!(message.starts_with("Date: "));
    assert!(
        message.ends_with("To: ann@me.example\n\nbody\n.\nlast\n"),
        "{message}"
    );
    assert!(here.read("environment").contains("X_INDIMAIL_TRACE="));
}

#[test]
fn what_the_queue_program_says_becomes_the_exit_code_and_a_line() {
    let here = Installation::new();
    for (then, code, line) in [
        (
            "exit 31",
            100,
            "mail server permanently rejected message (#5.3.0)",
        ),
        ("exit 53", 111, "qq write error or disk full (#4.3.0)"),
        (
            "echo 'Dno thanks (#5.7.1)' >&2; exit 88",
            100,
            "no thanks (#5.7.1)",
        ),
        ("kill -9 $$", 111, "qq crashed (#4.3.0)"),
    ] {
        here.queue_program(then);
        let output = here.run(&["qmail-inject", "ann"], "\nhi\n");
        assert_eq!(output.status.code(), Some(code), "{then}");
        assert_eq!(
            text(&output.stderr),
            format!("qmail-inject: fatal: {line}\n")
        );
    }
    std::fs::remove_file(here.root().join("bin/qmail-queue")).unwrap();
    let output = here.run(&["qmail-inject", "ann"], "\nhi\n");
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).contains("unable to exec qq (#4.3.0): "));
}

#[test]
fn a_message_that_is_too_big_is_not_queued_in_part() {
    let here = Installation::new();
    here.queue_program("");
    std::fs::write(here.root().join("control/databytes"), "500\n").unwrap();
    let output = here.run(&["qmail-inject", "ann"], &"x\n".repeat(5000));
    assert_eq!(output.status.code(), Some(100));
    assert!(text(&output.stderr).contains("message size exceeds my databytes limit"));
    assert_eq!(here.read("envelope"), "");
}

/// Takes one message on the socket of the queue writer.
fn serve(root: &Path, reply: Reply) -> std::thread::JoinHandle<(Vec<u8>, Request)> {
    let path = root.join("run/queue/socket");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut link = run::Link::accepted(stream, &path, VERSION);
        let begin: Request = link.receive().unwrap().unwrap();
        assert!(matches!(begin, Request::Begin { .. }));
        let mut message = Vec::new();
        loop {
            match link.receive().unwrap().unwrap() {
                Request::Data(piece) => message.extend(piece),
                commit => {
                    link.send(&reply).unwrap();
                    return (message, commit);
                }
            }
        }
    })
}

#[test]
fn the_queue_writer_is_preferred_to_the_program() {
    let here = Installation::new();
    let queued = Reply::Queued {
        message: 7,
        queue: "queue1".to_owned(),
        qp: 1,
    };
    let server = serve(here.root(), queued);
    let output = here.run(&["qmail-inject", "-f", "", "ann@b.c"], "Subject: x\n\nhi\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (message, commit) = server.join().unwrap();
    assert!(message.ends_with(b"Subject: x\n\nhi\n"));
    let expected = Request::Commit {
        sender: Vec::new(),
        recipients: vec![b"ann@b.c".to_vec()],
        extra_headers: Vec::new(),
    };
    assert_eq!(commit, expected);
}

#[test]
fn the_queue_writer_can_refuse() {
    let here = Installation::new();
    let refused = Reply::Refused {
        code: 53,
        text: "no space".to_owned(),
    };
    let server = serve(here.root(), refused);
    let output = here.run(&["qmail-inject", "ann@b.c"], "\nhi\n");
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).contains("qq write error or disk full (#4.3.0): no space"));
    server.join().unwrap();
}

#[test]
fn n_prints_what_would_be_queued() {
    let here = Installation::new();
    let output = here.run(
        &["qmail-inject", "-n"],
        "From: x@y.z\nDate: d\nMessage-ID: <1>\nTo: ann\n",
    );
    assert_eq!(
        text(&output.stdout),
        "Return-Path: <joe@me.example>\nFrom: x@y.z\nDate: d\nMessage-ID: <1>\nTo: ann@me.example\n"
    );
}

#[test]
fn rules_set_variables_by_sender() {
    let here = Installation::new();
    here.queue_program("echo $ONE > one");
    let rules = here.root().join("control/from.envrules");
    std::fs::write(&rules, "joe@*:ONE=first\n").unwrap();
    let output = here.run(&["qmail-inject", "ann"], "\nhi\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(here.read("one"), "first\n");
    let regex = [("QREGEX", "1")];
    std::fs::write(&rules, "^j[aeiou]e@:ONE=regex\\,1\n").unwrap();
    let output = here.run_with(&["qmail-inject", "ann"], "\nhi\n", &regex);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(here.read("one"), "regex,1\n");
    std::fs::write(&rules, "(joe:ONE=1\n").unwrap();
    let output = here.run_with(&["qmail-inject", "ann"], "\nhi\n", &regex);
    assert_eq!(output.status.code(), Some(111));
    std::fs::write(&rules, "joe@*:LD_PRELOAD=x\n").unwrap();
    let output = here.run(&["qmail-inject", "ann"], "\nhi\n");
    assert_eq!(output.status.code(), Some(111));
}

#[test]
fn mailsubj_makes_a_header() {
    let here = Installation::new();
    here.queue_program("");
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_mess822-tools"),
        here.root().join("bin/qmail-inject"),
    )
    .unwrap();
    let output = here.run(&["mailsubj", "a subject\nBcc: x", "ann@b.c"], "hi\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(here.read("envelope"), "Fjoe@me.example|Tann@b.c||");
    assert!(
        here.read("message")
            .ends_with("Subject: a subject Bcc: x\nTo: ann@b.c\n\nhi\n")
    );
}
