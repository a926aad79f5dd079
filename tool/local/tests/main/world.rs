//! An installation with a queue program that writes what it gets into files.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

pub struct World(tempfile::TempDir);

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for name in ["control", "bin", "queued"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        let queue = format!(
            "#!/bin/sh\ncat > {0}/m && cat <&1 > {0}/e 2>&1\n",
            world.path("queued").display()
        );
        world.script("bin/qmail-queue", &queue);
        world.write("control/me", "here.example.org\n");
        world.write(
            "message",
            "Subject: x\nNotice-Requested-Upon-Delivery-To: joe@h\nMessage-ID: <1@z>\n\nhi\n",
        );
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub fn script(&self, name: &str, text: &str) {
        testkit::write_script(self.path(name), text);
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// A program as qmail-local starts it, with the message on descriptor 0.
    pub fn command(&self, name: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-tools"));
        command
            .arg0(format!("/x/{name}"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.0.path())
            .env("SENDER", "ann@x")
            .env("NEWSENDER", "joe-owner@h")
            .env("DTLINE", "Delivered-To: joe@h\n")
            .env("RPLINE", "Return-Path: <ann@x>\n")
            .env("UFLINE", "From ann@x DATE\n")
            .env("QQEH", "X-Q: 1\n")
            .env("USER", "joe")
            .env("HOST", "h")
            .env("LOCAL", "joe")
            .env("RECIPIENT", "joe@h")
            .stdin(File::open(self.path("message")).unwrap());
        command
    }

    pub fn run(&self, name: &str, arguments: &[&str]) -> (i32, String) {
        let ended = ended(&mut self.command(name, arguments));
        (ended.code, ended.out)
    }

    /// Runs a program with this on its descriptor 0.
    pub fn feed(&self, name: &str, arguments: &[&str], input: &[u8]) -> Ended {
        self.write("input", input);
        let input = File::open(self.path("input")).unwrap();
        ended(self.command(name, arguments).stdin(input))
    }

    /// The envelope that was queued; empty when there is none.
    pub fn envelope(&self) -> String {
        fs::read_to_string(self.path("queued/e")).unwrap_or_default()
    }

    /// The message that was queued.
    pub fn message(&self) -> String {
        self.read("queued/m")
    }

    pub fn forget(&self) {
        for name in ["queued/m", "queued/e"] {
            let _ = fs::remove_file(self.path(name));
        }
    }
}

pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
