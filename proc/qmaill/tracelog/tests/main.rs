//! The real program, with events from this process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use run::{Home, Tracer};
use wire::trace::{Event, Kind, TraceId};

#[test]
fn events_become_lines_and_term_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path());
    std::fs::create_dir_all(home.run().join("trace")).unwrap();
    // Root's collector becomes another user; `nobody` stands for qmaill here.
    let user: &[&str] = if os::account::is_root() {
        &["--user", "nobody"]
    } else {
        &[]
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracelog"))
        .env("QMAILDIR", directory.path())
        .args(user)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let tracer = Tracer::connect(&home, "test");
    let mut event = tracer.event(TraceId::new(1, 2), Kind::Queued);
    event.sender = Some("ann@example.org".to_owned());
    // It may not listen yet: events are sent until one comes out.
    let (done, stop) = std::sync::mpsc::channel::<()>();
    let sent = event.clone();
    let sender = std::thread::spawn(move || {
        let wait = std::time::Duration::from_millis(20);
        while stop
            .recv_timeout(wait)
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            tracer.send(&sent);
        }
    });
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    drop(done);
    sender.join().unwrap();
    assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    os::signal::send(child.id(), os::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}
