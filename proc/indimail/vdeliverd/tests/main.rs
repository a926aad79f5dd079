//! The service as qmail-lspawn sees it, with a real database of users.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use delivery::channel::{self, Receiver};
use directory::{Alias, Directory, Placement, UID_IN_STEP, User, assign};
use run::Home;
use wire::deliver::{Report, Request, VERSION};

const DOMAIN: &str = "example.com";

struct World {
    root: tempfile::TempDir,
    service: Option<Child>,
}

impl World {
    fn new(users: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["control", "bin", "mail", "users", "db", "queued", "tmp"] {
            fs::create_dir(path(name)).unwrap();
        }
        let socket = Home::at(root.path()).socket("deliver");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let home = path("domains").join(DOMAIN);
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o750)).unwrap();
        let line = "| /any/sbin/vdelivermail '' bounce-no-mailbox\n";
        fs::write(home.join(".qmail-default"), line).unwrap();
        let table = assign::domain_line(DOMAIN, 1, 1, &home).unwrap() + "\n.\n";
        fs::write(
            path("users/cdb"),
            assign::compile(table.as_bytes()).unwrap(),
        )
        .unwrap();
        let directory = Directory::create(&path("db/indimail.db")).unwrap();
        for n in 0..users {
            let name = format!("u{n}");
            let dir = path("mail").join(&name);
            let user = User {
                name,
                domain: DOMAIN.to_owned(),
                password_hash: "x".to_owned(),
                gid_flags: 0,
                gecos: String::new(),
                dir: dir.clone(),
                quota: "NOQUOTA".to_owned(),
                scram: None,
                active: true,
                uid_state: UID_IN_STEP,
            };
            directory.add_user(&user, &Placement::At(dir)).unwrap();
        }
        let queue = format!(
            "#!/bin/sh\ncat > {0}/m && cat <&1 > {0}/e 2>&1\n",
            path("queued").display()
        );
        testkit::write_script(path("bin/qmail-queue"), &queue);
        let mut world = Self {
            root,
            service: None,
        };
        world.start();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        Home::at(self.root.path()).socket("deliver")
    }

    fn start(&mut self) {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let service = Command::new(env!("CARGO_BIN_EXE_vdeliverd"))
            .args(["--user", &user])
            .env("QMAILDIR", self.root.path())
            .env("TMPDIR", self.path("tmp"))
            .stderr(Stdio::null())
            .spawn();
        self.service = Some(service.unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "the service does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    fn request(&self, delivery: u64, user: &str) -> Request {
        let home = self.path("domains").join(DOMAIN);
        Request {
            delivery,
            user: DOMAIN.into(),
            home: home.to_str().unwrap().into(),
            local: format!("{DOMAIN}-{user}").into(),
            dash: b"-".to_vec(),
            ext: user.into(),
            domain: DOMAIN.into(),
            sender: b"ann@example.org".to_vec(),
            default_delivery: b"./Maildir/".to_vec(),
            extra_headers: Vec::new(),
            env_headers: Vec::new(),
        }
    }

    fn message(&self) -> File {
        let path = self.path("message");
        fs::write(&path, "Subject: x\n\nhello\n").unwrap();
        File::open(path).unwrap()
    }

    /// One delivery, from request to report.
    fn deliver(&self, user: &str) -> (u8, String) {
        let stream = self.connect();
        let message = self.message();
        channel::send(&stream, VERSION, &self.request(1, user), &[message.as_fd()]).unwrap();
        let report: Report = Receiver::new(stream, VERSION).receive().unwrap().unwrap();
        (report.code, String::from_utf8(report.output).unwrap())
    }

    fn messages(&self, user: &str) -> usize {
        let new = self.path("mail").join(user).join("Maildir/new");
        fs::read_dir(new).map_or(0, Iterator::count)
    }

    fn add_alias(&self, name: &str, line: &str) {
        let alias = Alias {
            name: name.to_owned(),
            domain: DOMAIN.to_owned(),
            line: line.to_owned(),
        };
        let directory = Directory::open(&self.path("db/indimail.db")).unwrap();
        assert!(directory.add_alias(&alias).unwrap());
    }

    fn stop(&mut self) -> i32 {
        let mut service = self.service.take().unwrap();
        os::signal::send(service.id(), os::signal::Signal::SIGTERM).unwrap();
        service.wait().unwrap().code().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

#[test]
fn users_that_moved_are_not_looked_for_where_they_were() {
    let world = World::new(2);
    assert_eq!(world.deliver("u0").0, 0);
    let server = world.path("control/host.mysql");
    fs::write(&server, "db.invalid:joe:secret:3306:nossl\n").unwrap();
    fs::set_permissions(&server, Permissions::from_mode(0o640)).unwrap();
    // Control files are read again after a second; nobody can be asked then.
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.deliver("u1").0 == 0 {
        assert!(Instant::now() < deadline, "the old file still counts");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(world.deliver("u1").0, 111);
    assert_eq!(world.deliver("nobody").0, 111, "nobody knows who there is");
    fs::remove_file(&server).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.deliver("u1").0 != 0 {
        assert!(Instant::now() < deadline, "the file does not count again");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn rules_are_followed_without_a_program() {
    let world = World::new(1);
    let line = "| /any/sbin/vfilter '' bounce-no-mailbox\n";
    let home = world.path("domains").join(DOMAIN);
    fs::write(home.join(".qmail-default"), line).unwrap();
    let directory = Directory::open(&world.path("db/indimail.db")).unwrap();
    let subject = vfilter::HeaderList::default().number("Subject").unwrap();
    let rule = vfilter::Row {
        name: "t".to_owned(),
        header: i64::try_from(subject).unwrap(),
        keyword: "x".to_owned(),
        destination: "Seen.Before".to_owned(),
        action: "0".to_owned(),
        ..vfilter::Row::default()
    };
    let address = format!("postfilt@{DOMAIN}");
    directory.add_filter(&address, &rule).unwrap().unwrap();
    let (code, output) = world.deliver("u0");
    assert_eq!(code, 0, "{output}");
    assert_eq!(world.messages("u0"), 0);
    let folder = world.path("mail/u0/Maildir/.Seen.Before/new");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    directory.delete_filter(&address, 0).unwrap();
    assert_eq!(world.deliver("u0").0, 0);
    assert_eq!(world.messages("u0"), 1);
}

#[test]
fn a_virtual_user_gets_mail_without_a_program() {
    let world = World::new(1);
    // The path in `.qmail-default` does not even exist.
    assert_eq!(world.deliver("u0"), (0, "did 0+0+1\n".to_owned()));
    assert_eq!(world.messages("u0"), 1);
    let (code, output) = world.deliver("nobody");
    assert_eq!(code, 100);
    assert!(output.contains("(#5.1.5)"));
}

#[test]
fn many_at_once_are_each_reported_once() {
    const MESSAGES: u64 = 600;
    const USERS: u64 = 20;
    let mut world = World::new(USERS as usize);
    let stream = world.connect();
    let reader = stream.try_clone().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let message = world.message();
            for n in 0..MESSAGES {
                let request = world.request(n, &format!("u{}", n % USERS));
                channel::send(&stream, VERSION, &request, &[message.as_fd()]).unwrap();
            }
        });
        let mut receiver = Receiver::new(reader, VERSION);
        let mut seen = BTreeMap::new();
        for _ in 0..MESSAGES {
            let report: Report = receiver.receive().unwrap().unwrap();
            assert_eq!(
                report.code,
                0,
                "{}",
                String::from_utf8_lossy(&report.output)
            );
            *seen.entry(report.delivery).or_insert(0) += 1;
        }
        assert!(seen.len() as u64 == MESSAGES && seen.values().all(|&n| n == 1));
    });
    println!("{MESSAGES} deliveries in {:?}", start.elapsed());
    for n in 0..USERS {
        assert_eq!(world.messages(&format!("u{n}")) as u64, MESSAGES / USERS);
    }
    assert_eq!(world.stop(), 0);
}

#[test]
fn programs_and_queue_run_outside_the_sandbox() {
    let world = World::new(1);
    world.add_alias("u0", "|cat > ../../queued/program");
    world.add_alias("sales", "&bob@example.net");
    assert_eq!(world.deliver("u0"), (0, "did 0+0+1\n".to_owned()));
    let piped = fs::read_to_string(world.path("queued/program")).unwrap();
    assert!(piped.ends_with("Subject: x\n\nhello\n"));
    let (code, output) = world.deliver("sales");
    assert_eq!(code, 0, "{output}");
    let envelope = fs::read_to_string(world.path("queued/e")).unwrap();
    assert_eq!(envelope, "Fann@example.org\0Tbob@example.net\0\0");
}

#[test]
fn the_sandbox_holds() {
    let world = World::new(1);
    // Below none of the directories that mail is in.
    let outside = world.path("elsewhere");
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(outside.join(part)).unwrap();
    }
    let in_domain = world.path("domains").join(DOMAIN);
    fs::write(
        in_domain.join(".qmail-out"),
        format!("{}/\n", outside.display()),
    )
    .unwrap();
    let (code, _) = world.deliver("out");
    let names = fs::read_dir(outside.join("new")).unwrap().count();
    // A kernel without Landlock cannot keep us in; the service says so. What
    // must never be is a refusal that delivered, or the reverse.
    assert!(matches!((code, names), (111, 0) | (0, 1)), "{code} {names}");
    // A request without a message is answered, not believed.
    let stream = world.connect();
    channel::send(&stream, VERSION, &world.request(7, "u0"), &[]).unwrap();
    let report: Report = Receiver::new(stream, VERSION).receive().unwrap().unwrap();
    assert_eq!((report.delivery, report.code), (7, 111));
}

#[test]
fn foreign_bytes_end_the_connection_and_nothing_else() {
    let world = World::new(1);
    let mut stream = world.connect();
    stream.write_all(&[0xff; 100]).unwrap();
    assert!(matches!(
        Receiver::new(stream, VERSION).receive::<Report>(),
        Ok(None) | Err(_)
    ));
    assert_eq!(world.deliver("u0").0, 0);
}

#[test]
fn a_broken_database_defers() {
    let world = World::new(1);
    fs::write(world.path("db/indimail.db"), "this is no database").unwrap();
    for name in ["db/indimail.db-wal", "db/indimail.db-shm"] {
        let _ = fs::remove_file(world.path(name));
    }
    assert_eq!(world.deliver("u0").0, 111);
}

#[test]
fn without_its_companion_the_service_starts_anew() {
    let mut world = World::new(1);
    let service = world.service.as_mut().unwrap();
    let id = service.id();
    let children = || fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    // It listens before its companion runs.
    while children().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let companion = children().trim().parse().unwrap();
    os::signal::send(companion, os::signal::Signal::SIGKILL).unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(111));
}

#[test]
fn every_instruction_ends_as_it_does_in_qmail_local() {
    let world = World::new(1);
    let home = world.path("domains").join(DOMAIN);
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(home.join("Maildir").join(part)).unwrap();
    }
    let site = delivery::Site::open("test", Home::at(world.root.path())).unwrap();
    let mode = delivery::local::Mode::Deliver;
    for (text, permissions) in [
        ("./Maildir/\n", 0o600),
        ("./Mailbox\n", 0o600),
        ("./none/\n", 0o600),
        ("./Maildir/new\n", 0o600),
        (
            "|echo $SENDER $RECIPIENT $LOCAL $EXT $DEFAULT $HOST2 $HOME; exit 7\n",
            0o600,
        ),
        ("|echo a; exit 99\n./none/\n", 0o600),
        ("|exit 100\n", 0o600),
        ("|kill -9 $$\n", 0o600),
        ("&bob@example.net\n", 0o600),
        ("\n", 0o600),
        ("", 0o600),
        ("# nothing\n", 0o600),
        ("./Maildir/\n", 0o620),
        ("./Maildir/\n", 0o700),
        ("+list\n|true\n", 0o600),
        ("./a\0b\n", 0o600),
    ] {
        let file = home.join(".qmail-any-default");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(permissions)).unwrap();
        let message = world.message();
        let request = world.request(1, "any-Thing");
        let users = delivery::NoUsers;
        let own = delivery::local::deliver(&site, &users, &request, &message, mode);
        // The number of the queued message is another one each time.
        let without_qp = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with("qp "));
            lines.map(str::to_owned).collect()
        };
        let (code, output) = world.deliver("any-Thing");
        let own_output = String::from_utf8(own.output).unwrap();
        assert_eq!(
            (code, without_qp(&output)),
            (own.code, without_qp(&own_output)),
            "{text:?}"
        );
    }
}
