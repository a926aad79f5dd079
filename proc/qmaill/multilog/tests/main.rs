//! The real program on real pipes and directories.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use os::signal::Signal;

fn start(directory: &Path, actions: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_multilog"));
    command.args(actions).current_dir(directory);
    command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Feeds all input, waits, gives the exit code and stderr.
fn log(directory: &Path, actions: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let mut child = start(directory, actions);
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn current(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("d/current")).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The finished files, oldest first.
fn finished(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("d")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.file_name().unwrap().as_encoded_bytes()[0] == b'@');
    names.sort();
    names
}

fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn lines_are_stamped_and_selected() {
    let directory = tempfile::tempdir().unwrap();
    let end = log(directory.path(), &["t", "-*", "+* b", "./d"], b"a\nb\n");
    assert_eq!(end.0, Some(0));
    let line = current(directory.path());
    assert_eq!(line.len(), 1 + 24 + 1 + 2, "{line}");
    assert!(line.starts_with("@4000") && line.ends_with(" b\n"));
    assert_eq!(mode(&directory.path().join("d/current")), 0o744);
}

#[test]
fn a_missing_newline_is_added_and_the_next_run_goes_on_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    log(directory.path(), &["./d"], b"one\ntwo");
    log(directory.path(), &["./d"], b"three\n");
    assert_eq!(current(directory.path()), "one\ntwo\nthree\n");
    assert!(finished(directory.path()).is_empty());
}

#[test]
fn files_are_rotated_and_pruned_and_no_byte_is_lost_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..1000).map(|n| format!("line {n:04}\n")).collect();
    assert_eq!(
        log(
            directory.path(),
            &["s4096", "n100", "./d"],
            lines.as_bytes()
        )
        .0,
        Some(0)
    );
    let mut all = String::new();
    for path in finished(directory.path()) {
        let content = std::fs::read_to_string(&path).unwrap();
        assert!(content.len() <= 4096 && content.ends_with('\n'));
        assert_eq!(
            (path.extension().unwrap().to_str(), mode(&path)),
            (Some("s"), 0o744)
        );
        all.push_str(&content);
    }
    assert_eq!(all + &current(directory.path()), lines);
    log(
        directory.path(),
        &["s4096", "n3", "./d"],
        &lines.as_bytes()[..5000],
    );
    assert_eq!(finished(directory.path()).len(), 2);
}

#[test]
fn a_line_without_end_needs_no_memory_and_is_cut_into_files() {
    let directory = tempfile::tempdir().unwrap();
    log(
        directory.path(),
        &["s4096", "n100", "./d"],
        &vec![b'x'; 10_000],
    );
    let total: u64 = finished(directory.path())
        .iter()
        .map(|p| p.metadata().unwrap().len())
        .sum();
    assert_eq!(total + current(directory.path()).len() as u64, 10_001);
}

#[test]
fn alrm_rotates_and_term_leaves_the_rest_unread() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start(directory.path(), &["./d"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"first\n").unwrap();
    let path = directory.path().join("d/current");
    wait_until(|| std::fs::read(&path).is_ok_and(|content| content == b"first\n"));
    os::signal::send(child.id(), Signal::SIGALRM).unwrap();
    wait_until(|| finished(directory.path()).len() == 1);
    let read = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = read();
    input.write_all(b"half").unwrap();
    wait_until(|| before + 4 <= read());
    os::signal::send(child.id(), Signal::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for the newline"
    );
    input.write_all(b" line\nrest\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(current(directory.path()), "half line\n");
}

#[test]
fn an_interrupted_file_is_kept_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start(directory.path(), &["./d"]);
    child.stdin.as_mut().unwrap().write_all(b"first\n").unwrap();
    let path = directory.path().join("d/current");
    wait_until(|| std::fs::read(&path).is_ok_and(|content| !content.is_empty()));
    assert_eq!(mode(&path), 0o644);
    assert_eq!(
        log(directory.path(), &["./d"], b"").0,
        Some(111),
        "the directory is locked"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    log(directory.path(), &["./d"], b"second\n");
    assert_eq!(current(directory.path()), "second\n");
    let [interrupted] = &finished(directory.path())[..] else {
        panic!()
    };
    assert_eq!(interrupted.extension().unwrap(), "u");
    assert_eq!(std::fs::read(interrupted).unwrap(), b"first\n");
}

#[test]
fn a_processor_gets_the_file_and_its_state() {
    let directory = tempfile::tempdir().unwrap();
    let command = "!cat <&4 >/dev/null; tr a-z A-Z; echo more >&5";
    log(
        directory.path(),
        &["s4096", command, "./d"],
        "line\n".repeat(500).as_bytes(),
    );
    let [processed] = &finished(directory.path())[..] else {
        panic!()
    };
    assert!(
        std::fs::read(processed)
            .unwrap()
            .starts_with(b"LINE\nLINE\n")
    );
    assert_eq!(
        std::fs::read(directory.path().join("d/state")).unwrap(),
        b"more\n"
    );
    assert!(!directory.path().join("d/previous").exists());
}

#[test]
fn stderr_and_status_files_show_the_line() {
    let directory = tempfile::tempdir().unwrap();
    let long = [b'x'; 300];
    let (_, stderr) = log(directory.path(), &["e", "=status"], &long);
    assert_eq!(stderr, format!("{}...\n", "x".repeat(200)));
    let status = std::fs::read(directory.path().join("status")).unwrap();
    assert_eq!(status.len(), 1001);
    assert!(status.starts_with(&long) && status.ends_with(b"\n\n"));
    log(directory.path(), &["=status"], b"short\n");
    let status = std::fs::read(directory.path().join("status")).unwrap();
    assert!(status.len() == 1001 && status.starts_with(b"short\n\n"));
}

#[test]
fn a_wrong_call_is_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(log(directory.path(), &["nmany", "./d"], b"").0, Some(100));
    assert_eq!(log(directory.path(), &["what"], b"").0, Some(100));
    assert_eq!(log(directory.path(), &["./missing/d"], b"").0, Some(111));
}
