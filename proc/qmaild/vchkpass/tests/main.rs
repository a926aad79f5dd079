//! The whole program, with an inlookup of the test's own.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use run::Link;
use wire::lookup::{Account, Login, Reply, Request, VERSION};

/// What a program ended with, and what it printed.
type Ran = (Option<i32>, String);

struct World(tempfile::TempDir);

impl World {
    /// Somebody who knows `joe@example.com` with the password `right`.
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let socket = world.socket();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut link = Link::accepted(stream.unwrap(), "test".as_ref(), VERSION);
                while let Ok(Some(request)) = link.receive::<Request>() {
                    link.send(&answer(&request)).unwrap();
                }
            }
        });
        world
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("run/inlookup/socket")
    }

    fn run(&self, input: &[u8], environment: &[(&str, &str)], next: &[&str]) -> Ran {
        // A shell puts what it reads on descriptor 3.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"])
            .arg(env!("CARGO_BIN_EXE_vchkpass"))
            .args(next)
            .env("QMAILDIR", self.0.path())
            .env("TCPREMOTEIP", "192.0.2.1")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

fn answer(request: &Request) -> Reply {
    let (user, right) = match request {
        Request::Password { user, password, .. } => (user, password == b"right"),
        Request::CramMd5 { user, digest, .. } => (user, digest == b"abcd"),
        _ => return Reply::Temporary("what?".to_owned()),
    };
    Reply::Login(match user.as_slice() {
        b"down@example.com" => return Reply::Temporary("no database".to_owned()),
        b"closed@example.com" => Login::Forbidden("this account cannot use SMTP".to_owned()),
        b"joe@example.com" | b"local@example.com" if right => Login::Granted(Account {
            address: String::from_utf8_lossy(user).into_owned(),
            maildir: "/mail/joe/Maildir".to_owned(),
            quota: String::new(),
            may_relay: user != b"local@example.com",
            server_signature: Vec::new(),
        }),
        _ => Login::Refused,
    })
}

#[test]
fn each_verdict_has_its_exit_code() {
    let world = World::new();
    let code = |input: &[u8]| world.run(input, &[], &["/bin/false"]).0;
    assert_eq!(code(b"joe@example.com\0right\0\0\x01"), Some(0));
    assert_eq!(code(b"joe@example.com\0<1@x>\0abcd\0\x03\0"), Some(0));
    assert_eq!(code(b"joe@example.com\0wrong\0\0"), Some(1));
    assert_eq!(code(b"local@example.com\0right\0\0"), Some(3));
    assert_eq!(code(b"down@example.com\0right\0\0"), Some(111));
    assert_eq!(code(b"joe@example.com"), Some(2));
    assert_eq!(code(&[b'x'; 600]), Some(2));
    let (code, said) = world.run(b"closed@example.com\0right\0\0", &[], &["/bin/true"]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "553-Sorry, this account cannot use SMTP (#5.7.1)\n");
    std::fs::remove_file(world.socket()).unwrap();
    let (code, said) = world.run(b"joe@example.com\0right\0\0", &[], &[]);
    assert!(code == Some(111) && said.starts_with("454-"), "{said}");
}

#[test]
fn the_next_program_reads_the_same_bytes() {
    let world = World::new();
    let read = ["/bin/sh", "-c", "tr '\\0' '|' <&3"];
    let (code, said) = world.run(b"ann@example.com\0wrong\0\0\x02\0", &[], &read);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "ann@example.com|wrong||\x02|")
    );
    // A method it does not know is not its to refuse.
    let (_, said) = world.run(b"joe@example.com\0a\0b\0\x0c\0", &[], &read);
    assert_eq!(said, "joe@example.com|a|b|\x0c|");
    assert_eq!(
        world.run(b"ann@example.com\0wrong\0\0", &[], &[]).0,
        Some(1)
    );
}

#[test]
fn as_checkpassword_it_becomes_the_program_when_the_password_is_right() {
    let world = World::new();
    let native = [("NATIVE_CHECKPASSWORD", "1")];
    let show = ["/bin/sh", "-c", "echo $USER $HOME"];
    let (code, said) = world.run(b"joe@example.com\0right\0\0", &native, &show);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "joe@example.com /mail/joe\n")
    );
    let (code, said) = world.run(b"joe@example.com\0wrong\0\0", &native, &show);
    assert_eq!((code, said.as_str()), (Some(1), ""));
}

#[test]
fn postauth_has_the_last_word() {
    let world = World::new();
    for (program, expected) in [("/bin/true", 0), ("/bin/false", 1)] {
        let postauth = [("POSTAUTH", program)];
        let (code, _) = world.run(b"joe@example.com\0right\0\0", &postauth, &[]);
        assert_eq!(code, Some(expected));
    }
}
