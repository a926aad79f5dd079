//! An installation of its own for each test.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub struct Installation(tempfile::TempDir);

impl Installation {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bin", "control", "run", "log/trace"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("control/me"), "me.example\n").unwrap();
        Self(directory)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Makes a program below `bin`.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.root().join("bin").join(name);
        testkit::write_script(&path, &format!("#!/bin/sh\n{script}\n"));
    }

    /// A queue program that keeps what it gets in `message` and `envelope`.
    pub fn queue_program(&self, then: &str) {
        self.program(
            "qmail-queue",
            &format!("cat > message; cat <&1 > envelope; {then}"),
        );
    }

    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.root().join(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap().replace('\0', "|")
    }

    /// Runs a tool with a message.
    pub fn run(&self, line: &[&str], message: &str) -> Output {
        self.run_with(line, message, &[])
    }

    /// As [`Self::run`] with more variables.
    pub fn run_with(&self, line: &[&str], message: &str, variables: &[(&str, &str)]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mess822-tools"))
            .arg0_of(line[0])
            .args(&line[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.root())
            .env("USER", "joe")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program may end without reading.
        let _ = child.stdin.take().unwrap().write_all(message.as_bytes());
        child.wait_with_output().unwrap()
    }
}

trait Named {
    fn arg0_of(&mut self, name: &str) -> &mut Self;
}

impl Named for Command {
    fn arg0_of(&mut self, name: &str) -> &mut Self {
        std::os::unix::process::CommandExt::arg0(self, name)
    }
}
