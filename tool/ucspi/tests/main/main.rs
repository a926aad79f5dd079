//! The tools as a postmaster uses them.

mod greylisting;
mod lists;
mod servers;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ucspi-tools");

fn compile(directory: &Path, rules: &str) -> (Option<i32>, String) {
    let mut child = Command::new(PROGRAM)
        .args(["tcprules", "rules.cdb", "rules.tmp"])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(rules.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), log)
}

fn check(directory: &Path, variables: &[(&str, &str)]) -> String {
    // By link, as an installation has it.
    let link = directory.join("tcprulescheck");
    if !link.exists() {
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    }
    let output = Command::new(&link)
        .arg("rules.cdb")
        .current_dir(directory)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rules_are_compiled_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let rules = "1.2.3.4:allow,A=\"1\"\n1.2.3.:deny\n=.x.test:allow,B=\"2\",!C\n:allow\n";
    assert_eq!(compile(directory, rules), (Some(0), String::new()));
    assert_eq!(
        check(directory, &[("TCPREMOTEIP", "1.2.3.4")]),
        "rule 1.2.3.4:\nset environment variable A=1\nallow connection\n"
    );
    assert_eq!(
        check(directory, &[("TCPREMOTEIP", "1.2.3.9")]),
        "rule 1.2.3.:\ndeny connection\n"
    );
    let named = [("TCPREMOTEIP", "9.9.9.9"), ("TCPREMOTEHOST", "a.x.test")];
    assert_eq!(
        check(directory, &named),
        "rule =.x.test:\nset environment variable B=2\nunset environment variable C\n\
         allow connection\n"
    );
    assert_eq!(check(directory, &[]), "rule :\nallow connection\n");
    assert_eq!(compile(directory, "10.0.0.1-3:deny\n").0, Some(0));
    assert_eq!(
        check(directory, &[("TCPREMOTEIP", "10.0.0.4")]),
        "default:\nallow connection\n"
    );
}

#[test]
fn a_bad_line_leaves_the_old_rules() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    compile(directory, ":deny\n");
    let (code, log) = compile(directory, "# fine\n1.2.3.4:permit\n");
    assert_eq!(code, Some(100));
    assert!(
        log.contains("line 2: unable to parse this line: 1.2.3.4:permit"),
        "{log}"
    );
    assert_eq!(check(directory, &[]), "rule :\ndeny connection\n");
}

#[test]
fn wrong_usage_is_100_and_no_file_111() {
    let run = |words: &[&str]| Command::new(PROGRAM).args(words).output().unwrap();
    assert_eq!(run(&[]).status.code(), Some(100));
    assert_eq!(run(&["tcprulescheck"]).status.code(), Some(100));
    assert_eq!(run(&["tcprules", "x"]).status.code(), Some(100));
    assert_eq!(
        run(&["tcprulescheck", "/nonexistent"]).status.code(),
        Some(111)
    );
    assert_eq!(run(&["tcprules", "--help"]).status.code(), Some(0));
}
