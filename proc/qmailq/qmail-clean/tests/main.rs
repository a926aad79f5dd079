//! The real program on real pipes.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn it_answers_each_command_once_and_ends_with_its_input() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("queue/queue1");
    queue::create(&root, None).unwrap();
    let layout = queue::Layout::detect(&root).unwrap();
    std::fs::write(layout.mess(24), "x").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_qmail-clean"))
        .env("QUEUEDIR", &root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(b"foop/24\0mess/24\0todo/../../etc/passwd\0todo/1/24\0")
        .unwrap();
    drop(input);
    let mut answers = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut answers)
        .unwrap();
    assert_eq!(answers, "+xx+");
    assert!(child.wait().unwrap().success());
    assert!(!layout.mess(24).exists());
}
