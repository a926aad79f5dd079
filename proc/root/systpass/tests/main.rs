//! The whole program, with accounts of the test's own (nss_wrapper).

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use directory::password::{self, Method};

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let hash = |method| password::hash(b"right", method).unwrap();
        let yescrypt = hash(Method::Yescrypt);
        let at = |name: &str| world.0.path().join(name);
        fs::write(
            at("passwd"),
            "root:x:0:0::/root:/bin/sh\njoe:x:2001:2001::/home/joe:/bin/sh\n\
             old:x:2002:2001::/home/old:/bin/sh\nlocked:x:2003:2001::/home/locked:/bin/sh\n",
        )
        .unwrap();
        fs::write(at("group"), "users:x:2001:\n").unwrap();
        let line = |name: &str, mark: &str, expires: &str| {
            format!("{name}:{mark}{yescrypt}:19000:0:99999:7::{expires}:\n")
        };
        let shadow = [
            line("root", "", ""),
            line("joe", "", ""),
            line("old", "", "19001"),
            line("locked", "!", ""),
        ];
        fs::write(at("shadow"), shadow.concat()).unwrap();
        world
    }

    fn run(
        &self,
        login: &str,
        environment: &[(&str, &str)],
        next: &[&str],
    ) -> (Option<i32>, String) {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"])
            .arg(env!("CARGO_BIN_EXE_systpass"))
            .args(next)
            .env("LD_PRELOAD", "libnss_wrapper.so")
            .env("NSS_WRAPPER_PASSWD", self.0.path().join("passwd"))
            .env("NSS_WRAPPER_GROUP", self.0.path().join("group"))
            .env("NSS_WRAPPER_SHADOW", self.0.path().join("shadow"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = login.as_bytes();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    }
}

#[test]
fn a_system_user_is_who_knows_the_password() {
    let world = World::new();
    let code = |login: &str| world.run(login, &[], &["/bin/false"]).0;
    assert_eq!(code("joe\0right\0\0\u{1}\0"), Some(0));
    assert_eq!(code("joe\0right\0\0"), Some(0));
    assert_eq!(code("joe\0wrong\0\0\u{1}\0"), Some(1));
    assert_eq!(code("nobody-here\0right\0\0\u{1}\0"), Some(1));
    // Root, an account that has ended, one that is locked, and a challenge.
    for login in ["root", "old", "locked"] {
        assert_eq!(
            code(&format!("{login}\0right\0\0\u{1}\0")),
            Some(1),
            "{login}"
        );
    }
    assert_eq!(code("joe\0<1@x>\0abcd\0\u{3}\0"), Some(1));
    assert_eq!(code("joe"), Some(2));
}

#[test]
fn the_next_program_gets_what_cannot_be_decided() {
    let world = World::new();
    let next = ["/bin/sh", "-c", "cat <&3 | tr '\\0' '|'"];
    let (code, seen) = world.run("ann@example.org\0x\0\0\u{1}\0", &[], &next);
    assert_eq!((code, &*seen), (Some(0), "ann@example.org|x||\u{1}|"));
    let strip = [("STRIP_DOMAIN", "1")];
    assert_eq!(
        world
            .run("joe@example.org\0right\0\0\u{1}\0", &strip, &[])
            .0,
        Some(0)
    );
    assert_eq!(
        world.run("joe@example.org\0right\0\0\u{1}\0", &[], &[]).0,
        Some(1)
    );
}

#[test]
fn postauth_has_the_last_word() {
    let world = World::new();
    let post = [("POSTAUTH", "/bin/false")];
    assert_eq!(world.run("joe\0right\0\0\u{1}\0", &post, &[]).0, Some(1));
    let native = [("NATIVE_CHECKPASSWORD", "1")];
    let shown = world.run(
        "joe\0right\0\0",
        &native,
        &["/bin/sh", "-c", "echo $USER $HOME"],
    );
    assert_eq!(shown, (Some(0), "joe /home/joe\n".to_owned()));
}
