//! An installation with a queue program that writes what it gets into files,
//! and a home.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::write_script;

/// A message every test delivers.
pub const MESSAGE: &str = "Subject: hello\n\nFrom me\nbody\n";

/// An installation with a queue program that writes what it gets into files,
/// and a home.
pub struct World {
    directory: tempfile::TempDir,
}

/// What a run printed and its exit code.
pub struct Ended {
    pub code: i32,
    pub output: String,
}

impl World {
    pub fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for name in ["root/control", "root/bin", "home", "queued"] {
            fs::create_dir_all(world.path(name)).unwrap();
        }
        world.mode("home", 0o700);
        let queue = format!(
            "#!/bin/sh\ncat > {0}/message && cat <&1 > {0}/envelope 2>&1\n",
            world.path("queued").display()
        );
        // `cat <&1 >` reads descriptor 1 before it is redirected.
        write_script(world.path("root/bin/qmail-queue"), &queue);
        world.write("message", MESSAGE, 0o600);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        match text.starts_with("#!") {
            true => testkit::write_script(self.path(name), text),
            false => fs::write(self.path(name), text).unwrap(),
        }
        self.mode(name, mode);
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub fn maildir(&self, name: &str) {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.path(name).join(part)).unwrap();
        }
    }

    pub fn messages(&self, maildir: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(maildir).join("new")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Delivers to `local@example.org` with dash and extension.
    pub fn run(
        &self,
        options: &[&str],
        dash: &str,
        ext: &str,
        sender: &str,
        default: &str,
    ) -> Ended {
        let local = format!("joe{dash}{ext}");
        let home = self.path("home");
        let mut command = self.command();
        command
            .args(options)
            .args(["--", "joe", home.to_str().unwrap(), &local, dash, ext])
            .args(["example.org", sender, default, "X-Extra: 1\n"]);
        ended(command.output().unwrap())
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-local"));
        command
            .stdin(File::open(self.path("message")).unwrap())
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.path("root"))
            .env("SECRET", "not for programs");
        command
    }

    /// Writes `.qmail` and delivers to the user's own address.
    pub fn deliver(&self, instructions: &str) -> Ended {
        self.write("home/.qmail", instructions, 0o600);
        self.run(&[], "", "", "ann@example.com", "./Default")
    }
}

pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        output: String::from_utf8(output.stdout).unwrap(),
    }
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
