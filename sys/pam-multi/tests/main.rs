//! The module in PAM, with a service of the test's own (pam_wrapper) and an
//! inlookup of the test's own.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use run::Link;
use wire::lookup::{Account, Login, Reply, Request, VERSION};

struct World(tempfile::TempDir);

impl World {
    /// Somebody who knows `joe@example.com` with the password `right`.
    fn new(arguments: &str) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let socket = run::Home::at(world.0.path()).socket("inlookup");
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
        let this = std::env::current_exe().unwrap();
        let module = this.parent().unwrap().join("libpam_multi.so");
        assert!(module.exists(), "{}", module.display());
        std::fs::create_dir(world.0.path().join("pam.d")).unwrap();
        let (module, root) = (module.display(), world.0.path().display());
        let service =
            format!("auth required {module} root={root} {arguments}\naccount required {module}\n");
        std::fs::write(world.0.path().join("pam.d/indimail"), service).unwrap();
        world
    }

    /// Whether a user with this password gets in.
    fn takes(&self, user: &str, password: &str) -> bool {
        let mut child = Command::new("pamtester")
            .args(["indimail", user, "authenticate"])
            .env("LD_PRELOAD", "libpam_wrapper.so")
            .env("PAM_WRAPPER", "1")
            .env("PAM_WRAPPER_SERVICE_DIR", self.0.path().join("pam.d"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let line = format!("{password}\n");
        // Who is refused by name is not asked for a password.
        let _ = child.stdin.take().unwrap().write_all(line.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        output.status.success() && said.contains("successfully authenticated")
    }
}

fn answer(request: &Request) -> Reply {
    let Request::Password { user, password, .. } = request else {
        return Reply::Temporary("what?".to_owned());
    };
    Reply::Login(match (user.as_slice(), password.as_slice()) {
        (b"joe@example.com", b"right") => Login::Granted(Account {
            address: "joe@example.com".to_owned(),
            maildir: String::new(),
            quota: String::new(),
            may_relay: true,
            server_signature: Vec::new(),
        }),
        (b"closed@example.com", b"right") => Login::Forbidden("no".to_owned()),
        (b"down@example.com", _) => return Reply::Temporary("no database".to_owned()),
        _ => Login::Refused,
    })
}

#[test]
fn pam_lets_in_who_inlookup_knows() {
    let world = World::new("service=imap");
    assert!(world.takes("joe@example.com", "right"));
    for (user, password) in [
        ("joe@example.com", "wrong"),
        ("joe@example.com", ""),
        ("ann@example.com", "right"),
        ("closed@example.com", "right"),
        ("down@example.com", "right"),
        ("joe", "right"),
    ] {
        assert!(!world.takes(user, password), "{user}");
    }
}

#[test]
fn a_mistake_in_the_file_lets_nobody_in() {
    assert!(!World::new("service=all").takes("joe@example.com", "right"));
    assert!(!World::new("nullok").takes("joe@example.com", "right"));
}
