//! sendmail.

use std::io::Write;

use run::Tracer;
use wire::trace::{Event, Kind, TraceId};

use crate::installation::Installation;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn recipients_are_those_of_the_header_only_with_t() {
    let here = Installation::new();
    here.queue_program("");
    let run = |flags: &[&str]| {
        let line = [&["sendmail"], flags].concat();
        let output = here.run(&line, "To: ann@b.c\n\nhi\n.\nmore\n");
        assert!(output.status.success(), "{}", text(&output.stderr));
        here.read("envelope")
    };
    assert_eq!(run(&["-oi", "-t"]), "Fjoe@me.example|Tann@b.c||");
    assert_eq!(
        run(&["-t", "-fx@y.z", "bob@b.c"]),
        "Fx@y.z|Tann@b.c|Tbob@b.c||"
    );
    assert_eq!(run(&["bob@b.c"]), "Fjoe@me.example|Tbob@b.c||");
    assert!(
        here.read("message").ends_with("\nhi\n.\nmore\n"),
        "a dot ends nothing"
    );
}

#[test]
fn exit_codes_are_those_of_qmail_inject() {
    let here = Installation::new();
    let code = |line: &[&str], message| here.run(line, message).status.code();
    here.queue_program("exit 53");
    assert_eq!(code(&["sendmail", "ann@b.c"], "\n"), Some(111));
    here.queue_program("exit 31");
    assert_eq!(code(&["sendmail", "ann@b.c"], "\n"), Some(100));
    assert_eq!(code(&["sendmail", "-t"], "To: (\n"), Some(100));
    assert_eq!(code(&["sendmail", "-Z"], ""), Some(100));
    assert_eq!(code(&["sendmail"], "\n"), Some(100));
}

#[test]
fn mailq_and_bs_become_other_programs() {
    let here = Installation::new();
    here.program("qmail-qread", "echo the queue");
    here.program(
        "qmail-smtpd",
        "echo relay=$RELAYCLIENT from $TCPREMOTEIP; cat",
    );
    assert_eq!(text(&here.run(&["mailq"], "").stdout), "the queue\n");
    assert_eq!(
        text(&here.run(&["sendmail", "-bp"], "").stdout),
        "the queue\n"
    );
    let session = here.run(&["sendmail", "-bs"], "QUIT\n");
    assert_eq!(text(&session.stdout), "relay= from 127.0.0.1\nQUIT\n");
}

/// Appends an event to the trace log, as the collector would.
fn log(root: &std::path::Path, trace: TraceId, kind: Kind, text: &str) {
    let mut event = Event::new(trace, 1.0, "qmail-send", 1, kind);
    event.recipients = vec!["ann@b.c".to_owned()];
    event.channel = Some("remote".to_owned());
    event.text = Some(text.to_owned());
    let json = serde_json::to_string(&event).unwrap();
    let path = root.join("log/trace/current");
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(file, "@4000000038c3eeb027f41c7c {json}").unwrap();
}

#[test]
fn v_tells_the_story_to_its_end() {
    for (end, code, line) in [
        (
            Kind::Delivered,
            0,
            "delivery 1 to remote ann@b.c: delivered: because\n",
        ),
        (
            Kind::Deferred,
            75,
            "delivery 1 to remote ann@b.c: deferred until later: because\n",
        ),
        (
            Kind::Failed,
            69,
            "delivery 1 to remote ann@b.c: failed: because\n",
        ),
    ] {
        let here = Installation::new();
        // The queue program tells which trace it was given.
        here.queue_program("printf %s $X_INDIMAIL_TRACE > trace; mv trace known");
        log(
            here.root(),
            Tracer::new_id(),
            Kind::Queued,
            "another message",
        );
        let root = here.root().to_owned();
        let writer = std::thread::spawn(move || {
            let known = root.join("known");
            while !known.exists() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            let trace = TraceId::parse(&std::fs::read(known).unwrap()).unwrap();
            log(&root, trace, Kind::Queued, "");
            log(&root, trace, Kind::Started, "");
            log(&root, trace, end, "because");
        });
        let output = here.run(&["sendmail", "-v", "ann@b.c"], "\nhi\n");
        writer.join().unwrap();
        let told = text(&output.stdout);
        assert!(told.ends_with(line), "{told}");
        assert!(!told.contains("another"));
        assert_eq!(output.status.code(), Some(code), "{told}");
    }
}

#[test]
fn v_is_polite_when_the_log_is_not_for_everybody() {
    let here = Installation::new();
    here.queue_program("");
    let output = here.run(&["sendmail", "-v", "ann@b.c"], "\nhi\n");
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("the message is queued, but cannot read the trace log"));
}
