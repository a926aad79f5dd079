//! Questions over FIFOs, as clients of other systems ask them.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use directory::limits::Limits;
use wire::fifo::{Entry, Kind, Question};

use super::*;
use crate::fifo::{self, Options};

struct Fifos {
    world: Arc<World>,
    root: tempfile::TempDir,
}

impl Fifos {
    fn of(house: House, count: &str) -> Self {
        let House { root, mut world } = house;
        world.owners.push(os::account::effective_uid());
        let world = Arc::new(world);
        let home = Home::at(root.path());
        std::fs::create_dir_all(home.socket("inlookup").parent().unwrap()).unwrap();
        let options = Options::parse(&["-f".into(), "infifo".into(), "-i".into(), count.into()]);
        let me = os::account::Identity::of_this_process();
        let fifos = fifo::prepare(&home, &options.unwrap(), me).unwrap();
        fifo::serve(fifos, &world).unwrap();
        Self { world, root }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("run/inlookup")
    }

    fn ask(&self, fifo: &str, kind: Kind, name: &str, ip: &str) -> Vec<u8> {
        let reply = self
            .directory()
            .join("replies")
            .join(format!("r{}", os::clock::random()));
        os::file::make_fifo(&reply, 0o600).unwrap();
        let question = Question {
            kind,
            name: name.as_bytes().to_vec(),
            reply: reply.to_str().unwrap().as_bytes().to_vec(),
            ip: ip.as_bytes().to_vec(),
        };
        let mut to = OpenOptions::new()
            .write(true)
            .open(self.directory().join(fifo))
            .unwrap();
        to.write_all(&question.bytes().unwrap()).unwrap();
        let mut answer = Vec::new();
        OpenOptions::new()
            .read(true)
            .open(&reply)
            .unwrap()
            .read_to_end(&mut answer)
            .unwrap();
        std::fs::remove_file(&reply).unwrap();
        answer
    }

    /// Asks until there is an answer: what comes at once after nonsense is
    /// dropped with it.
    fn ask_again(&self, fifo: &str, name: &str) -> i32 {
        let reply = self.directory().join("replies/again");
        os::file::make_fifo(&reply, 0o600).unwrap();
        let both = OpenOptions::new().read(true).write(true).open(&reply);
        let mut listening = both.unwrap();
        os::fd::set_nonblocking(&listening, true).unwrap();
        let question = Question {
            kind: Kind::User,
            name: name.as_bytes().to_vec(),
            reply: reply.to_str().unwrap().as_bytes().to_vec(),
            ip: Vec::new(),
        };
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let mut to = OpenOptions::new()
                .write(true)
                .open(self.directory().join(fifo))
                .unwrap();
            to.write_all(&question.bytes().unwrap()).unwrap();
            for _ in 0..50 {
                let mut answer = [0; 4];
                if listening.read_exact(&mut answer).is_ok() {
                    return i32::from_ne_bytes(answer);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("no answer");
    }

    fn number(&self, kind: Kind, name: &str) -> i32 {
        let answer = self.ask("infifo.1", kind, name, "192.0.2.1");
        i32::from_ne_bytes(answer.try_into().unwrap())
    }

    fn text(&self, kind: Kind, name: &str) -> String {
        let answer = self.ask("infifo.1", kind, name, "");
        let length = i32::from_ne_bytes(answer[..4].try_into().unwrap());
        assert_eq!(length as usize, answer.len() - 4);
        String::from_utf8(answer[4..].to_vec()).unwrap()
    }
}

fn furnished(house: House) -> House {
    let mut off = user("off");
    off.active = false;
    let mut full = user("full");
    full.gid_flags = flags::BOUNCE_MAIL;
    let house = house.with_user(user("joe")).with_user(off).with_user(full);
    for line in ["&joe@example.com", "&x@y.org"] {
        let alias = Alias {
            name: "list".to_owned(),
            domain: "example.com".to_owned(),
            line: line.to_owned(),
        };
        house.directory().add_alias(&alias).unwrap();
    }
    let limits = Limits {
        accounts: 7,
        permissions: [1, 0, 0, 0, 0o421, 0, 0],
        ..Limits::default()
    };
    house
        .directory()
        .set_limits("example.com", &limits)
        .unwrap();
    house
}

fn seven_kinds(house: House) {
    let fifos = Fifos::of(furnished(house), "2");
    for (name, code) in [
        ("joe@example.com", 0),
        ("nobody@example.com", 1),
        ("off@example.com", 2),
        ("full@example.com", 3),
        ("list@example.com", 4),
    ] {
        assert_eq!(fifos.number(Kind::User, name), code, "{name}");
    }
    assert_eq!(fifos.number(Kind::Relay, "joe@example.com"), -2);
    let text = fifos.text(Kind::Password, "Joe@example.com");
    let entry = Entry::parse(text.trim_end_matches('\0')).unwrap();
    assert_eq!(entry.address, "joe@example.com");
    assert!(entry.password.contains("$argon2id$") && !entry.is_inactive);
    assert_eq!(
        fifos.text(Kind::Password, "nobody@example.com"),
        "No such user nobody@example.com\0"
    );
    assert_eq!(
        fifos.text(Kind::Host, "joe@example.com"),
        "example.com:127.0.0.1:25\0"
    );
    assert_eq!(fifos.number(Kind::Host, "joe@nowhere.org"), 0);
    assert_eq!(
        fifos.text(Kind::Alias, "list@example.com"),
        "&joe@example.com\n&x@y.org\n\0"
    );
    assert_eq!(fifos.text(Kind::Alias, "joe@example.com"), "\0");
    let limit = fifos.ask("infifo.2", Kind::Limit, "example.com", "");
    assert_eq!(limit.len(), 4 + 128);
    assert_eq!(limit[4 + 16..4 + 24], 7i64.to_ne_bytes());
    let short =
        |number: usize| i16::from_ne_bytes(limit[4 + 88 + 2 * number..][..2].try_into().unwrap());
    assert_eq!(
        [short(7), short(11), short(12), short(13), short(16)],
        [1, 1, 2, 4, 1]
    );
    assert_eq!(fifos.number(Kind::Limit, "nowhere.org"), 0);
    assert_eq!(fifos.text(Kind::Domain, "EXAMPLE.com"), "example.com\0");
    assert_eq!(fifos.number(Kind::Domain, "nowhere.org"), 0);
}

#[test]
fn every_kind_of_question_is_answered() {
    seven_kinds(House::new());
}

#[test]
fn every_kind_of_question_is_answered_from_a_server() {
    seven_kinds(House::on(testkit::Mariadb::shared()));
}

#[test]
fn answers_fit_their_questions_however_many_ask() {
    let fifos = Fifos::of(furnished(House::new()), "2");
    std::thread::scope(|scope| {
        for number in 0..50 {
            let fifos = &fifos;
            scope.spawn(move || {
                let fifo = format!("infifo.{}", number % 2 + 1);
                for round in 0..5 {
                    let name = format!("n{number}.{round}@example.com");
                    let answer = fifos.ask(&fifo, Kind::Password, &name, "");
                    assert_eq!(answer[4..], *format!("No such user {name}\0").as_bytes());
                }
            });
        }
    });
}

#[test]
fn a_database_that_is_away_is_never_an_absent_user() {
    let fifos = Fifos::of(furnished(House::new()), "1");
    let database = fifos.root.path().join("db/indimail.db");
    std::fs::rename(&database, database.with_extension("away")).unwrap();
    fifos.world.reread();
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Domain && *kind != Kind::Relay && *kind != Kind::Host)
    {
        assert_eq!(fifos.number(kind, "nobody@example.com"), -1, "{kind:?}");
    }
}

#[test]
fn nonsense_and_answers_elsewhere_stop_nobody() {
    let fifos = Fifos::of(furnished(House::new()), "1");
    let elsewhere = fifos.root.path().join("db/reply");
    os::file::make_fifo(&elsewhere, 0o600).unwrap();
    let mut listening = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&elsewhere)
        .unwrap();
    os::fd::set_nonblocking(&listening, true).unwrap();
    let precious = fifos.directory().join("replies/precious");
    std::fs::write(&precious, "text").unwrap();
    let dots = fifos.directory().join("replies/../../../db/reply");
    for path in [&elsewhere, &precious, &dots] {
        let question = Question {
            kind: Kind::User,
            name: b"joe@example.com".to_vec(),
            reply: path.to_str().unwrap().as_bytes().to_vec(),
            ip: Vec::new(),
        };
        let mut to = OpenOptions::new()
            .write(true)
            .open(fifos.directory().join("infifo"))
            .unwrap();
        to.write_all(&question.bytes().unwrap()).unwrap();
    }
    for nonsense in [&[0xff; 4][..], &[0; 9], b"\x05\0\0\0\x09\0\0\0\0"] {
        let mut to = OpenOptions::new()
            .write(true)
            .open(fifos.directory().join("infifo"))
            .unwrap();
        to.write_all(nonsense).unwrap();
    }
    assert_eq!(fifos.ask_again("infifo", "joe@example.com"), 0);
    let mut told = [0; 4];
    assert!(listening.read(&mut told).is_err());
    assert_eq!(std::fs::read(precious).unwrap(), b"text");
}

#[test]
fn options_are_those_of_the_guide() {
    let parse = |words: &[&str]| {
        let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        Options::parse(&words)
    };
    assert_eq!(
        parse(&["-f", "infifo", "-i", "5"]),
        parse(&["-i5", "-finfifo", "-c", "30", "-v"])
    );
    assert!(parse(&[]).is_some());
    for wrong in [
        &["-f", "../x"][..],
        &["-i", "0"],
        &["-i", "65"],
        &["-x"],
        &["more"],
        &["-f"],
    ] {
        assert_eq!(parse(wrong), None, "{wrong:?}");
    }
}
