//! Whole questions and answers, in a private installation.

use directory::password::{self, Method};
use directory::{Alias, Directory, Location, Placement, User, flags, secret};
use run::Home;
use wire::lookup::{Login, Mailbox, Service};

use super::*;

mod arrivals;
mod fifos;

struct House {
    root: tempfile::TempDir,
    world: World,
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        domain: "example.com".to_owned(),
        password_hash: password::hash(b"Secret-1234", Method::Argon2id).unwrap(),
        gid_flags: 0,
        gecos: name.to_owned(),
        dir: Default::default(),
        quota: "1000S".to_owned(),
        scram: Some(
            secret::column(b"Secret-1234", None, 4096, secret::Keep::ClearText)
                .unwrap()
                .to_string(),
        ),
        active: true,
        uid_state: 1,
    }
}

impl House {
    fn new() -> Self {
        Self::with_users_at(None)
    }

    /// With the users on a server.
    fn on(server: &testkit::Mariadb) -> Self {
        let line = format!("localhost:root::{}", server.socket().display());
        Self::with_users_at(Some(&line))
    }

    fn with_users_at(server: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["control", "users", "db", "domains/example.com", "mail"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let domain = root.path().join("domains/example.com");
        let line = directory::assign::domain_line("example.com", 1, 1, &domain).unwrap();
        directory::assign::Assign::lock(&root.path().join("users"))
            .unwrap()
            .add(&line)
            .unwrap();
        std::fs::write(
            domain.join(".qmail-default"),
            "| /x/vdelivermail '' bounce-no-mailbox\n",
        )
        .unwrap();
        let home = Home::at(root.path());
        if let Some(line) = server {
            use std::os::unix::fs::PermissionsExt;
            let path = home.control().join("host.mysql");
            std::fs::write(&path, line).unwrap();
            let name = testkit::Mariadb::new_name();
            std::fs::write(home.control().join("mysql_database"), name).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        }
        let location = Location::of(&home, &run::Settings::of_files(&home)).unwrap();
        Directory::create_at(&location).unwrap();
        let world = World::new(home, Vec::new(), Vec::new()).unwrap();
        Self { root, world }
    }

    fn with_user(self, user: User) -> Self {
        let home = Placement::At(self.root.path().join("mail").join(&user.name));
        self.directory().add_user(&user, &home).unwrap();
        self
    }

    fn directory(&self) -> Arc<Directory> {
        self.world.directory().unwrap()
    }

    fn recipient(&self, address: &str) -> Mailbox {
        let address = address.as_bytes().to_vec();
        match answer(&self.world, Asker::Network, &Request::Recipient { address }).unwrap() {
            Reply::Recipient(mailbox) => mailbox,
            other => panic!("{other:?}"),
        }
    }

    fn login(&self, service: Service, user: &str, password: &str) -> Login {
        let request = Request::Password {
            service,
            user: user.as_bytes().to_vec(),
            password: password.as_bytes().to_vec(),
            remote_ip: "192.0.2.1".to_owned(),
        };
        match answer(&self.world, Asker::Network, &request).unwrap() {
            Reply::Login(login) => login,
            other => panic!("{other:?}"),
        }
    }

    fn set_flags(&self, set: u32) {
        let joe = self
            .directory()
            .find_user("joe", "example.com")
            .unwrap()
            .unwrap();
        self.directory()
            .change_flags(&joe, set, u32::MAX >> 1)
            .unwrap();
    }
}

/// The write happens after the answer.
fn eventually(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never happened");
}

#[test]
fn recipients_are_told_apart() {
    let house = House::new()
        .with_user(user("joe"))
        .with_user(User {
            active: false,
            ..user("old")
        })
        .with_user(User {
            gid_flags: flags::BOUNCE_MAIL,
            ..user("full")
        });
    let alias = Alias {
        name: "sales".to_owned(),
        domain: "example.com".to_owned(),
        line: "&joe@example.com".to_owned(),
    };
    house.directory().add_alias(&alias).unwrap();
    let domain = house.root.path().join("domains/example.com");
    std::fs::write(domain.join(".qmail-a:b"), "&x\n").unwrap();
    assert_eq!(house.recipient("Joe@Example.com"), Mailbox::Fine);
    assert_eq!(house.recipient("joe@example.com"), Mailbox::Fine);
    assert_eq!(house.recipient("old@example.com"), Mailbox::Inactive);
    assert_eq!(house.recipient("full@example.com"), Mailbox::OverQuota);
    assert_eq!(house.recipient("sales@example.com"), Mailbox::Alias);
    assert_eq!(house.recipient("a.b@example.com"), Mailbox::Alias);
    assert_eq!(house.recipient("nobody@example.com"), Mailbox::Absent);
    assert_eq!(house.recipient("../../x@example.com"), Mailbox::Absent);
    assert_eq!(house.recipient("joe@elsewhere.org"), Mailbox::NotVirtual);
    assert_eq!(house.recipient("joe"), Mailbox::NotVirtual);
    std::fs::write(domain.join(".qmail-default"), "&all@example.com\n").unwrap();
    assert_eq!(house.recipient("nobody@example.com"), Mailbox::Alias);
}

#[test]
fn trouble_is_never_absence() {
    let house = House::new();
    std::fs::write(house.root.path().join("db/indimail.db"), "garbage").unwrap();
    house.world.reread();
    let address = b"joe@example.com".to_vec();
    assert!(
        answer(
            &house.world,
            Asker::Network,
            &Request::Recipient { address }
        )
        .is_err()
    );
    std::fs::remove_file(house.root.path().join("db/indimail.db")).unwrap();
    let user = b"joe@example.com".to_vec();
    assert!(
        answer(
            &house.world,
            Asker::Network,
            &Request::ScramParameters { user }
        )
        .is_err()
    );
}

#[test]
fn a_user_logs_in_with_the_password_only() {
    let house = House::new().with_user(user("joe"));
    let Login::Granted(account) = house.login(Service::Imap, "JOE@example.com", "Secret-1234")
    else {
        panic!("refused");
    };
    assert_eq!(account.address, "joe@example.com");
    assert!(account.maildir.ends_with("mail/joe/Maildir"));
    assert!(account.may_relay);
    for (name, word) in [
        ("joe@example.com", "secret-1234"),
        ("joe@example.com", ""),
        ("joe@elsewhere.org", "Secret-1234"),
        ("ann@example.com", "Secret-1234"),
        ("joe", "Secret-1234"),
        ("", ""),
        ("joe@example.com\0", "Secret-1234"),
    ] {
        assert_eq!(
            house.login(Service::Imap, name, word),
            Login::Refused,
            "{name}"
        );
    }
    let joe = house
        .directory()
        .find_user("joe", "example.com")
        .unwrap()
        .unwrap();
    eventually(|| house.directory().last_auth(&joe).unwrap().len() == 1);
}

#[test]
fn a_changed_password_counts_at_once_though_the_old_one_was_just_right() {
    let house = House::new().with_user(user("joe"));
    let login = |password| house.login(Service::Imap, "joe@example.com", password);
    for _ in 0..3 {
        assert!(matches!(login("Secret-1234"), Login::Granted(_)));
        assert_eq!(login("Secret-1235"), Login::Refused);
    }
    let directory = house.directory();
    let joe = directory.find_user("joe", "example.com").unwrap().unwrap();
    let password_hash = password::hash(b"Changed-1234", Method::Sha512).unwrap();
    let changed = User {
        password_hash,
        ..joe
    };
    directory.update_user(&changed).unwrap();
    assert_eq!(login("Secret-1234"), Login::Refused);
    assert!(matches!(login("Changed-1234"), Login::Granted(_)));
}

#[test]
fn flags_forbid_after_the_password_was_right() {
    let house = House::new().with_user(user("joe"));
    for (flag, service, other) in [
        (flags::NO_SMTP, Service::Smtp, Service::Imap),
        (flags::NO_IMAP, Service::Imap, Service::Pop3),
        (flags::NO_POP, Service::Pop3, Service::Smtp),
    ] {
        house.set_flags(flag);
        let forbidden = house.login(service, "joe@example.com", "Secret-1234");
        assert!(matches!(forbidden, Login::Forbidden(_)));
        assert_eq!(
            house.login(service, "joe@example.com", "wrong"),
            Login::Refused
        );
        let granted = house.login(other, "joe@example.com", "Secret-1234");
        assert!(matches!(granted, Login::Granted(_)));
    }
    house.set_flags(flags::NO_RELAY);
    let Login::Granted(account) = house.login(Service::Smtp, "joe@example.com", "Secret-1234")
    else {
        panic!("refused");
    };
    assert!(!account.may_relay);
}

#[test]
fn inactive_users_read_mail_and_become_active() {
    let house = House::new().with_user(User {
        active: false,
        ..user("joe")
    });
    let smtp = house.login(Service::Smtp, "joe@example.com", "Secret-1234");
    assert!(matches!(smtp, Login::Forbidden(_)));
    let pop3 = house.login(Service::Pop3, "joe@example.com", "Secret-1234");
    assert!(matches!(pop3, Login::Granted(_)));
    assert_eq!(house.recipient("joe@example.com"), Mailbox::Fine);
}

#[test]
fn obsolete_hashes_are_made_anew_at_login() {
    let house = House::new().with_user(User {
        password_hash: "$1$saltsalt$y2UJgJjIHofTbhJ0hhfFW/".to_owned(),
        scram: None,
        ..user("joe")
    });
    let granted = house.login(Service::Imap, "joe@example.com", "password12");
    assert!(matches!(granted, Login::Granted(_)));
    let now = || {
        house
            .directory()
            .find_user("joe", "example.com")
            .unwrap()
            .unwrap()
    };
    eventually(|| now().password_hash.starts_with("$argon2id$"));
    assert!(now().scram.unwrap().starts_with("{SCRAM-SHA-256}"));
    let granted = house.login(Service::Imap, "joe@example.com", "password12");
    assert!(matches!(granted, Login::Granted(_)));
}

#[test]
fn cram_needs_the_setting() {
    let house = House::new().with_user(user("joe"));
    let request = Request::Mechanisms;
    let Ok(Reply::Mechanisms {
        cram_md5,
        scram_sha_256,
    }) = answer(&house.world, Asker::Network, &request)
    else {
        panic!("no answer");
    };
    assert!(!cram_md5 && scram_sha_256);
    // HMAC-MD5 of the challenge "<1@x>" with the password, by another program.
    let request = Request::CramMd5 {
        service: Service::Smtp,
        user: b"joe@example.com".to_vec(),
        challenge: b"<1@x>".to_vec(),
        digest: b"467d79b038c05c95455d63bc85074ed0".to_vec(),
        remote_ip: String::new(),
    };
    assert_eq!(
        answer(&house.world, Asker::Network, &request).unwrap(),
        Reply::Login(Login::Refused)
    );
    std::fs::write(house.root.path().join("control/cram_md5"), "1\n").unwrap();
    house.world.reread();
    assert!(matches!(
        answer(&house.world, Asker::Network, &request).unwrap(),
        Reply::Login(Login::Granted(_))
    ));
}

#[test]
fn scram_goes_all_the_way_and_false_users_look_real() {
    use hmac::{Hmac, Mac as _};
    use sha2::{Digest as _, Sha256};
    let house = House::new().with_user(user("joe"));
    let parameters = |name: &str| {
        let user = name.as_bytes().to_vec();
        match answer(
            &house.world,
            Asker::Network,
            &Request::ScramParameters { user },
        )
        .unwrap()
        {
            Reply::ScramParameters { salt, iterations } => (salt, iterations),
            other => panic!("{other:?}"),
        }
    };
    let (salt, iterations) = parameters("joe@example.com");
    let hmac = |key: &[u8], message: &[u8]| -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    };
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(b"Secret-1234", &salt, iterations, &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(&client_key), b"auth message");
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(k, s)| k ^ s)
        .collect();
    let prove = |proof: Vec<u8>| {
        let request = Request::ScramProof {
            service: Service::Imap,
            user: b"joe@example.com".to_vec(),
            auth_message: b"auth message".to_vec(),
            proof,
            remote_ip: "192.0.2.1".to_owned(),
        };
        answer(&house.world, Asker::Network, &request).unwrap()
    };
    let Reply::Login(Login::Granted(account)) = prove(proof) else {
        panic!("refused");
    };
    let expected = hmac(&hmac(&salted, b"Server Key"), b"auth message");
    assert_eq!(account.server_signature, expected);
    assert_eq!(prove(vec![0; 32]), Reply::Login(Login::Refused));
    let ghost = parameters("ghost@example.com");
    assert_eq!(ghost, parameters("GHOST@example.com"));
    assert_eq!((ghost.0.len(), ghost.1), (salt.len(), iterations));
}

#[test]
fn strangers_are_not_answered() {
    let house = House::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let world = Arc::new(house.world);
    let counts = Counts::default();
    let error = accept(ours, &world, &[u32::MAX - 1], &counts).unwrap_err();
    assert!(error.to_string().contains("may not ask"));
    let mut link = Link::accepted(theirs, Path::new("x"), VERSION);
    assert!(link.ask::<_, Reply>(&Request::Mechanisms).is_err());
}

#[test]
fn answers_match_their_questions_on_a_socket() {
    let house = House::new().with_user(user("joe"));
    let world = Arc::new(house.world);
    let counts = Counts::default();
    let me = os::account::Identity::of_this_process().uid;
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            accept(ours, &world, &[me], &counts).unwrap();
            scope.spawn(move || {
                let mut link = Link::accepted(theirs, Path::new("x"), VERSION);
                for number in 0..20 {
                    let (address, expected) = match number % 2 {
                        0 => (&b"joe@example.com"[..], Mailbox::Fine),
                        _ => (&b"ann@example.com"[..], Mailbox::Absent),
                    };
                    let request = Request::Recipient {
                        address: address.to_vec(),
                    };
                    let reply: Reply = link.ask(&request).unwrap();
                    assert_eq!(reply, Reply::Recipient(expected));
                }
            });
        }
    });
}

#[test]
fn a_password_of_one_program_opens_what_it_is_for_until_it_is_taken_back() {
    let house = House::new().with_user(user("joe"));
    let joe = house.directory().find_user("joe", "example.com");
    let joe = joe.unwrap().unwrap();
    let scope = "imap,smtp".parse().unwrap();
    let (phone, password) = directory::app_password::AppPassword::generate("phone", scope, 1);
    assert!(house.directory().add_app_password(&joe, &phone).unwrap());
    assert!(!house.directory().add_app_password(&joe, &phone).unwrap());
    let login = |service, password: &str| house.login(service, "joe@example.com", password);
    for service in [Service::Imap, Service::Smtp] {
        let granted = login(service, &password);
        assert!(matches!(granted, Login::Granted(_)), "{granted:?}");
    }
    assert_eq!(login(Service::Pop3, &password), Login::Refused);
    let own = login(Service::Pop3, "Secret-1234");
    assert!(matches!(own, Login::Granted(_)), "{own:?}");
    let wrong = house.login(Service::Imap, "ann@example.com", &password);
    assert_eq!(wrong, Login::Refused);
    eventually(|| {
        let all = house.directory().app_passwords(&joe).unwrap();
        all[0].last_used.is_some()
    });
    house.set_flags(flags::NO_IMAP);
    let forbidden = login(Service::Imap, &password);
    assert!(matches!(forbidden, Login::Forbidden(_)), "{forbidden:?}");
    assert!(
        house
            .directory()
            .delete_app_password(&joe, "phone")
            .unwrap()
    );
    assert_eq!(login(Service::Smtp, &password), Login::Refused);
}

#[test]
fn a_server_gives_the_same_answers() {
    let server = testkit::Mariadb::start(&[]);
    let house = House::on(&server)
        .with_user(User {
            scram: None,
            ..user("joe")
        })
        .with_user(User {
            active: false,
            ..user("old")
        });
    assert_eq!(house.recipient("joe@example.com"), Mailbox::Fine);
    assert_eq!(house.recipient("old@example.com"), Mailbox::Inactive);
    assert_eq!(house.recipient("ann@example.com"), Mailbox::Absent);
    assert_eq!(house.recipient("jo\u{e9}@example.com"), Mailbox::Absent);
    let right = house.login(Service::Imap, "joe@example.com", "Secret-1234");
    assert!(matches!(right, Login::Granted(_)), "{right:?}");
    let wrong = house.login(Service::Imap, "joe@example.com", "Secret-1235");
    assert_eq!(wrong, Login::Refused);
    let find = |name| {
        let found = house.directory().find_user(name, "example.com");
        found.unwrap().unwrap()
    };
    // What is written after a login arrives, too.
    eventually(|| find("joe").scram.is_some());
    eventually(|| {
        !house
            .directory()
            .last_auth(&find("joe"))
            .unwrap()
            .is_empty()
    });
    let activated = house.login(Service::Pop3, "old@example.com", "Secret-1234");
    assert!(matches!(activated, Login::Granted(_)), "{activated:?}");
    assert!(find("old").active);
}

#[test]
fn a_server_that_is_down_turns_nobody_away() {
    let mut server = testkit::Mariadb::start(&["innodb-flush-log-at-trx-commit=2"]);
    let house = House::on(&server).with_user(user("joe"));
    assert_eq!(house.recipient("joe@example.com"), Mailbox::Fine);
    server.kill();
    for name in ["ann", "other"] {
        let address = format!("{name}@example.com").into_bytes();
        let recipient = Request::Recipient { address };
        assert!(answer(&house.world, Asker::Network, &recipient).is_err());
    }
    let login = Request::Password {
        service: Service::Imap,
        user: b"joe@example.com".to_vec(),
        password: b"Secret-1234".to_vec(),
        remote_ip: String::new(),
    };
    assert!(answer(&house.world, Asker::Network, &login).is_err());
    server.begin();
    testkit::wait_for("an answer", Duration::from_secs(90), || {
        matches!(
            answer(&house.world, Asker::Network, &login),
            Ok(Reply::Login(Login::Granted(_)))
        )
    });
    assert_eq!(house.recipient("ann@example.com"), Mailbox::Absent);
}

#[test]
fn rows_are_for_deliveries_only() {
    let house = House::new().with_user(user("joe"));
    let names = || ("joe".to_owned(), "example.com".to_owned());
    let (local, domain) = names();
    let row = Request::User { local, domain };
    let (local, domain) = names();
    let mark = Request::OverQuota {
        local,
        domain,
        usage: Some(5),
    };
    for request in [&row, &mark] {
        let reply = answer(&house.world, Asker::Network, request).unwrap();
        assert!(matches!(reply, Reply::Temporary(_)), "{reply:?}");
    }
    assert_eq!(house.recipient("joe@example.com"), Mailbox::Fine);
    let reply = answer(&house.world, Asker::Owner, &row).unwrap();
    let Reply::User(Some(shown)) = &reply else {
        panic!("{reply:?}");
    };
    assert_eq!(
        (shown.name.as_str(), shown.quota.as_str()),
        ("joe", "1000S")
    );
    assert!(!format!("{reply:?}").contains("argon2"));
    assert_eq!(
        answer(&house.world, Asker::Owner, &mark).unwrap(),
        Reply::Done
    );
    assert_eq!(house.recipient("joe@example.com"), Mailbox::OverQuota);
}

#[test]
fn who_guesses_is_stopped_and_root_forgives() {
    let house = House::new().with_user(user("joe"));
    let control = house.root.path().join("control");
    std::fs::write(control.join("authfailures_address"), "3\n").unwrap();
    house.world.reread();
    for name in ["a", "b", "c"] {
        let name = format!("{name}@example.com");
        let wrong = house.login(Service::Smtp, &name, "guess");
        assert_eq!(wrong, Login::Refused);
    }
    let right = |house: &House| house.login(Service::Imap, "joe@example.com", "Secret-1234");
    assert_eq!(right(&house), Login::Refused);
    let forgive = Request::Forgive {
        name: "192.0.2.1".to_owned(),
    };
    for asker in [Asker::Network, Asker::Owner] {
        for request in [&forgive, &Request::Blocks] {
            let reply = answer(&house.world, asker, request).unwrap();
            assert!(matches!(reply, Reply::Temporary(_)), "{reply:?}");
        }
    }
    assert_eq!(right(&house), Login::Refused);
    let reply = answer(&house.world, Asker::Operator, &Request::Blocks).unwrap();
    let Reply::Blocks(blocks) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!((blocks.len(), blocks[0].name.as_str()), (1, "192.0.2.1"));
    let reply = answer(&house.world, Asker::Operator, &forgive).unwrap();
    assert_eq!(reply, Reply::Forgiven(1));
    assert!(matches!(right(&house), Login::Granted(_)));
}

#[test]
fn who_read_mail_from_there_may_relay_for_a_while() {
    let house = House::new().with_user(user("roam"));
    let ask = |sender: &str, ip: &str| {
        let request = Request::Relay {
            sender: sender.as_bytes().to_vec(),
            remote_ip: ip.to_owned(),
        };
        answer(&house.world, Asker::Network, &request).unwrap()
    };
    assert_eq!(ask("roam@example.com", "192.0.2.1"), Reply::Relay(false));
    let directory = house.world.directory().unwrap();
    let roam = directory.find_user("roam", "example.com").unwrap().unwrap();
    directory
        .record_auth(&roam, "smtp", "192.0.2.1", 0)
        .unwrap();
    assert_eq!(ask("roam@example.com", "192.0.2.1"), Reply::Relay(false));
    directory
        .record_auth(&roam, "imap", "192.0.2.1", 0)
        .unwrap();
    assert_eq!(
        ask("Roam@Example.com", "::ffff:192.0.2.1"),
        Reply::Relay(true)
    );
    for (sender, ip) in [
        ("roam@example.com", "192.0.2.2"),
        ("roam", "192.0.2.1"),
        ("", "192.0.2.1"),
        ("nobody@example.com", "192.0.2.1"),
        ("roam@example.com", "unknown"),
    ] {
        assert_eq!(ask(sender, ip), Reply::Relay(false), "{sender} {ip}");
    }
    let house = House::new().with_user(user("joe"));
    let directory = house.world.directory().unwrap();
    let joe = directory.find_user("joe", "example.com").unwrap().unwrap();
    directory.record_auth(&joe, "imap", "192.0.2.1", 0).unwrap();
    house.set_flags(flags::NO_RELAY);
    let request = Request::Relay {
        sender: b"joe@example.com".to_vec(),
        remote_ip: "192.0.2.1".to_owned(),
    };
    let reply = answer(&house.world, Asker::Network, &request).unwrap();
    assert_eq!(reply, Reply::Relay(false));
}
