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
        let (mut message, mut first) = (Vec::new(), Vec::new());
        loop {
            match link.receive().unwrap().unwrap() {
                Request::Data(piece) => message.extend(piece),
                Request::Recipients { recipients, .. } => first.extend(recipients),
                mut commit => {
                    if let Request::Commit { recipients, .. } = &mut commit {
                        recipients.splice(0..0, first);
                    }
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
fn a_hundred_thousand_recipients_reach_the_queue_writer() {
    const RECIPIENTS: usize = 100_000;
    let here = Installation::new();
    let queued = Reply::Queued {
        message: 7,
        queue: "queue1".to_owned(),
        qp: 1,
    };
    let server = serve(here.root(), queued);
    let list: Vec<String> = (0..RECIPIENTS)
        .map(|n| format!("somebody-{n}@some.where.example"))
        .collect();
    let message = format!("To: {}\n\nhi\n", list.join(",\n "));
    let output = here.run(&["qmail-inject"], &message);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let Request::Commit { recipients, .. } = server.join().unwrap().1 else {
        panic!("a message ends with a commit");
    };
    assert!(recipients.iter().eq(list.iter().map(|a| a.as_bytes())));
}

#[test]
fn the_domain_of_a_recipient_can_choose_the_queue() {
    let here = Installation::new();
    here.queue_program("echo $QUEUEDIR-$ONE > queue");
    let rules = here.root().join("control/domainqueue");
    std::fs::write(&rules, "*.slow.example:QUEUEDIR=queue/slowq\nx.y:ONE=1\n").unwrap();
    let queue = |recipients: &[&str]| {
        let output = here.run(&[&["qmail-inject"], recipients].concat(), "\nhi\n");
        assert!(output.status.success(), "{}", text(&output.stderr));
        here.read("queue")
    };
    assert_eq!(queue(&["ann@b.c"]), "-\n");
    assert_eq!(
        queue(&["ann@b.c", "bob@Very.Slow.Example"]),
        "queue/slowq-\n"
    );
    assert_eq!(queue(&["bob@a.slow.example", "c@x.y"]), "queue/slowq-1\n");
    std::fs::write(&rules, "nonsense\n").unwrap();
    let output = here.run(&["qmail-inject", "ann@b.c"], "\nhi\n");
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).contains("domainqueue"));
}

#[test]
fn directories_of_variables_say_where_messages_go() {
    let here = Installation::new();
    here.queue_program("echo $QUEUEDIR-$QUEUE_BASE-$QMAILHOST > queue");
    let home = here.root().join("home");
    let (of_site, of_user) = (
        here.root().join("control/defaultqueue"),
        home.join(".defaultqueue"),
    );
    std::fs::create_dir_all(&of_site).unwrap();
    std::fs::create_dir_all(&of_user).unwrap();
    std::fs::write(of_site.join("QUEUEDIR"), "queue/site \n").unwrap();
    std::fs::write(of_user.join("QMAILHOST"), "home.example\n").unwrap();
    let home = home.to_str().unwrap();
    let queue = |variables: &[(&str, &str)]| {
        let output = here.run_with(&["qmail-inject", "ann@b.c"], "\nhi\n", variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (here.read("queue"), here.read("envelope"))
    };
    let (chosen, envelope) = queue(&[("HOME", home)]);
    assert_eq!(chosen, "queue/site--home.example\n");
    assert_eq!(envelope, "Fjoe@home.example|Tann@b.c||");
    let skip = ("SKIP_LOCAL_ENVIRONMENT", "1");
    assert_eq!(queue(&[("HOME", home), skip]).0, "queue/site--\n");
    let base = ("QUEUE_BASE", "/q");
    assert_eq!(queue(&[("HOME", home), base]).0, "-/q-home.example\n");
    // What cannot be read is not guessed.
    std::fs::create_dir(of_site.join("BAD")).unwrap();
    let output = here.run(&["qmail-inject", "ann@b.c"], "\nhi\n");
    assert_eq!(output.status.code(), Some(111));
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
fn the_sender_is_rewritten_for_lines_of_qmail_files() {
    let here = Installation::new();
    here.queue_program("");
    for (name, content) in [("srs_domain", "fwd.example\n"), ("srs_secrets", "secret\n")] {
        std::fs::write(here.root().join("control").join(name), content).unwrap();
    }
    let sender = |variables: &[(&str, &str)]| {
        let line = ["qmail-inject", "-f", "bob@b.example", "ann@b.c"];
        let output = here.run_with(&line, "\nhi\n", variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
        here.read("envelope")
    };
    assert_eq!(sender(&[("HOST", "h")]), "Fbob@b.example|Tann@b.c||");
    let rewritten = sender(&[("HOST", "h"), ("EXT", "")]);
    assert!(rewritten.starts_with("FSRS0="), "{rewritten}");
    assert!(rewritten.ends_with("=b.example=bob@fwd.example|Tann@b.c||"));
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
