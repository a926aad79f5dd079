//! Whole runs of vdelivermail and vfilter, as qmail-local starts them.

mod filter;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use directory::{Directory, Placement, UID_IN_STEP, User, assign};

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for name in ["control", "users", "db", "mail", "domains/example.com"] {
            fs::create_dir_all(world.path(name)).unwrap();
        }
        let home = world.path("domains/example.com");
        let table = assign::domain_line("example.com", 1, 1, &home).unwrap() + "\n.\n";
        fs::write(
            world.path("users/cdb"),
            assign::compile(table.as_bytes()).unwrap(),
        )
        .unwrap();
        let directory = Directory::create(&world.path("db/indimail.db")).unwrap();
        let dir = world.path("mail/joe");
        let joe = User {
            name: "joe".to_owned(),
            domain: "example.com".to_owned(),
            password_hash: "x".to_owned(),
            gid_flags: 0,
            gecos: String::new(),
            dir: dir.clone(),
            quota: "2000".to_owned(),
            scram: None,
            active: true,
            uid_state: UID_IN_STEP,
        };
        directory.add_user(&joe, &Placement::At(dir)).unwrap();
        fs::write(
            world.path("message"),
            format!("A: b\n\n{}\n", "x".repeat(1400)),
        )
        .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, ext: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdelivermail"));
        self.surround(&mut command, ext)
            .args(["", "bounce-no-mailbox"]);
        command
    }

    /// The environment and the message.
    fn surround<'a>(&self, command: &'a mut Command, ext: &str) -> &'a mut Command {
        command
            .env_clear()
            .env("QMAILDIR", self.0.path())
            .env("EXT", ext)
            .env("HOST", "example.com")
            .env("SENDER", "ann@example.org")
            // Whoever sets this must not get around the database.
            .env("PWSTRUCT", "nobody@example.com:x:1:0::/tmp:NOQUOTA:0")
            .stdin(File::open(self.path("message")).unwrap())
    }

    fn run(&self, ext: &str) -> (i32, String) {
        let output = self.command(ext).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }
}

#[test]
fn a_user_is_delivered_to_within_the_quota() {
    let world = World::new();
    assert_eq!(world.run("Joe"), (0, String::new()));
    let inbox = world.path("mail/joe/Maildir");
    let names: Vec<_> = fs::read_dir(inbox.join("new")).unwrap().collect();
    assert_eq!(names.len(), 1);
    let (code, text) = world.run("joe");
    assert_eq!(code, 100);
    assert!(text.contains("has insufficient quota"), "{text}");
    // Twice over quota with a small message in between marks the account.
    fs::write(
        world.path("message"),
        format!("A: b\n\n{}\n", "x".repeat(500)),
    )
    .unwrap();
    assert_eq!(world.run("joe").0, 0);
    fs::write(
        world.path("message"),
        format!("A: b\n\n{}\n", "x".repeat(1400)),
    )
    .unwrap();
    assert_eq!(world.run("joe").0, 100);
    let (code, text) = world.run("joe");
    assert_eq!(code, 100);
    assert!(text.contains("locked/overquota"), "{text}");
}

#[test]
fn nobody_is_a_bounce_and_no_database_is_none() {
    let world = World::new();
    let (code, text) = world.run("nobody");
    assert_eq!(code, 100);
    assert_eq!(
        text,
        "no account nobody@example.com here by that name. indimail (#5.1.5)\n"
    );
    fs::remove_dir_all(world.path("db")).unwrap();
    assert_eq!(world.run("nobody").0, 111);
    assert_eq!(world.run("joe").0, 111);
}

#[test]
fn what_is_missing_has_its_code() {
    let world = World::new();
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(world.command("joe").env_remove("EXT")), Some(100));
    assert_eq!(code(world.command("joe").env_remove("SENDER")), Some(100));
    assert_eq!(code(world.command("joe").arg("third")), Some(111));
}

#[test]
fn a_message_from_a_pipe_is_delivered_too() {
    let world = World::new();
    let mut cat = Command::new("cat")
        .arg(world.path("message"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = cat.stdout.take().unwrap();
    let status = world.command("joe").stdin(pipe).status().unwrap();
    cat.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}
