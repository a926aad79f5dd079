//! What every installed program says of itself, and what it does not accept.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use testkit::{Installation, Ran, run};

/// Programs whose first argument may be anything: a local part, a delivery
/// instruction, a subject, a pattern, a host or nothing that counts.
const TAKE_ANYTHING: &[&str] = &[
    "mailsubj",
    "multilog",
    "qmail-daemon",
    "qmail-dk",
    "qmail-dkim",
    "qmail-getpw",
    "qmail-lspawn",
    "qmail-multi",
    "qmail-nullqueue",
    "qmail-qfilter",
    "qmail-queue",
    "qmail-remote",
    "qmail-spamfilter",
    "qmail-start",
    "qscanq",
    "qscanq-stdin",
    "vdelivermail",
    "vfilter",
];

fn programs(server: &Installation) -> Vec<PathBuf> {
    let bin = fs::read_dir(server.root().join("bin")).unwrap();
    let mut programs: Vec<PathBuf> = bin.map(|entry| entry.unwrap().path()).collect();
    programs.sort();
    assert!(60 < programs.len());
    programs
}

fn call(program: &PathBuf, argument: &str) -> Ran {
    run(Command::new(program).arg(argument), b"")
}

#[test]
fn every_program_explains_itself_and_refuses_what_it_does_not_know() {
    let server = Installation::start("example.org");
    for program in programs(&server) {
        let name = program.file_name().unwrap().to_str().unwrap();
        let help = call(&program, "--help");
        assert_eq!(help.code, 0, "{name} --help: {}{}", help.out, help.err);
        let said = format!("{}{}", help.out, help.err);
        let usage = said
            .lines()
            .find(|line| line.to_lowercase().starts_with("usage: "));
        let usage = usage.unwrap_or_else(|| panic!("{name} --help has no usage line: {said}"));
        assert_eq!(usage.split(' ').nth(1), Some(name), "{usage}");
        let lower = said.to_lowercase().replace('\n', " ");
        assert!(lower.contains("exit code"), "{name} says nothing of them");

        if TAKE_ANYTHING.contains(&name) {
            continue;
        }
        let wrong = call(&program, "--nonsense");
        assert!(matches!(wrong.code, 2 | 64 | 100), "{name}: {}", wrong.code);
        assert!(!wrong.err.trim().is_empty(), "{name} says nothing");
        assert!(
            !wrong.err.contains('?'),
            "{name} prints a text as one line: {}",
            wrong.err
        );
    }
}

#[test]
fn every_program_has_a_page() {
    let server = Installation::start("example.org");
    let man = server.root().join("man");
    for program in programs(&server) {
        let name = program.file_name().unwrap().to_str().unwrap();
        let has = |section: &str| man.join(format!("man{section}/{name}.{section}")).is_file();
        assert!(has("1") || has("8") || name.ends_with("-tools"), "{name}");
    }
    assert!(man.join("man5/qmail-control.5").is_file());
}

#[test]
fn explain_says_what_holds_and_finds_what_was_meant() {
    let server = Installation::start("example.org");
    let control = server.root().join("control");
    fs::write(control.join("databytes"), "12345\n").unwrap();
    let said = server.indimail(&["explain", "DATABYTES"]).good().out;
    for text in ["12345", "control/databytes", "qmail-smtpd"] {
        assert!(said.contains(text), "{said}");
    }
    let wrong = server.indimail(&["explain", "databites"]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("did you mean databytes"),
        "{}",
        wrong.err
    );
}

#[test]
fn mail_to_a_local_part_that_looks_like_an_option_finds_its_user() {
    let server = Installation::start("example.org");
    let ran = run(
        Command::new(server.root().join("bin/qmail-getpw")).args(["--", "--help"]),
        b"",
    );
    assert!(!ran.out.contains("usage"), "{}", ran.out);
    assert!(ran.good().out.starts_with("alias\0"));
}
