//! An empty installation of one ordinary user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use std::io::Write;

/// Who commands run as when the tests run as root.
const NOBODY: u32 = 65_534;

pub struct House {
    root: tempfile::TempDir,
    program: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl House {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // The program may be where an ordinary user cannot go.
        let program = root.path().join("vadmin-tools");
        testkit::copy_program(env!("CARGO_BIN_EXE_vadmin-tools"), &program);
        std::fs::create_dir(root.path().join("control")).unwrap();
        for path in [root.path().to_owned(), root.path().join("control")] {
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { root, program }
    }

    /// An installation with one domain.
    pub fn with_domain() -> Self {
        let house = Self::new();
        house
            .run(&["vadddomain", "example.com", "Secret-1234"])
            .good();
        house
    }

    /// The same with its users on a server.
    pub fn on_mariadb() -> Self {
        let house = Self::new();
        house.name_server("host.mysql");
        house
            .run(&["vadddomain", "example.com", "Secret-1234"])
            .good();
        house
    }

    /// Lets a control file name a database of its own.
    pub fn name_server(&self, file: &str) {
        let socket = testkit::Mariadb::shared().socket();
        self.write(
            &format!("control/{file}"),
            &format!("localhost:root::{}\n", socket.display()),
        );
        let mode = PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(self.path(&format!("control/{file}")), mode).unwrap();
        if file == "host.mysql" {
            let name = format!("{}\n", testkit::Mariadb::new_name());
            self.write("control/mysql_database", &name);
        }
    }

    /// Tells the database server something.
    pub fn administer(&self, statement: &str) {
        use mysql::prelude::Queryable as _;
        let socket = testkit::Mariadb::shared().socket();
        let options = mysql::OptsBuilder::new()
            .user(Some("root"))
            .socket(socket.to_str())
            .prefer_socket(true);
        let mut connection = mysql::Conn::new(options).unwrap();
        connection.query_drop(statement).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("QMAILDIR", self.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Every file and directory below the root except the program.
    pub fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.root.path().to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(&directory).unwrap().flatten() {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(path.clone());
                }
                if path != self.program {
                    let name = path.strip_prefix(self.root.path()).unwrap();
                    found.push(name.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

impl Ran {
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Ended with this code, and said this.
    #[track_caller]
    pub fn refused(self, code: i32, text: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(text), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

fn is_root() -> bool {
    os::account::is_root()
}
