//! What happens at a login beside the password.

use std::fs::File;
use std::time::SystemTime;

use directory::limits::Limits;
use directory::list::{BULLETINS, RELAY};

use super::*;

fn log_in(house: &House, service: Service, name: &str) -> Login {
    let request = Request::Password {
        service,
        user: name.as_bytes().to_vec(),
        password: b"Secret-1234".to_vec(),
        remote_ip: "192.0.2.9".to_owned(),
    };
    match answer(&house.world, Asker::Network, &request).unwrap() {
        Reply::Login(login) => login,
        other => panic!("{other:?}"),
    }
}

fn imap(house: &House) -> Login {
    log_in(house, Service::Imap, "joe@example.com")
}

fn write_bulletin(house: &House, name: &str, text: &str) {
    let directory = house.root.path().join("domains/example.com/bulk_mail");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), text).unwrap();
}

fn new_mail(house: &House, name: &str) -> Vec<String> {
    let directory = house
        .root
        .path()
        .join("mail")
        .join(name)
        .join("Maildir/new");
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut texts: Vec<String> = entries
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.sort();
    texts
}

fn everywhere(test: fn(House)) {
    test(House::new());
    test(House::on(testkit::Mariadb::shared()));
}

#[test]
fn a_first_login_finds_a_home_and_a_welcome() {
    everywhere(|house| {
        let house = house.with_user(user("joe"));
        write_bulletin(&house, "1welcome.txt,all", "welcome\n");
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert_eq!(new_mail(&house, "joe"), ["welcome\n"]);
    });
}

#[test]
fn bulletins_are_there_when_the_mailbox_is_opened() {
    everywhere(|house| {
        let house = house.with_user(user("joe")).with_user(user("ann"));
        assert!(matches!(imap(&house), Login::Granted(_)));
        let mark = house.root.path().join("mail/joe/Maildir/BulkMail");
        let mark = File::options().write(true).open(mark).unwrap();
        mark.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        write_bulletin(&house, "note,all", "for all\n");
        write_bulletin(&house, "note", "for joe\n");
        let row = ["joe@example.com".into(), "note".into()];
        house.directory().put_row(&BULLETINS, &row).unwrap();
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert_eq!(new_mail(&house, "joe"), ["for all\n", "for joe\n"]);
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert_eq!(new_mail(&house, "joe").len(), 2);
        assert_eq!(house.directory().rows(&BULLETINS, &[]).unwrap().len(), 0);
        // Sending mail reads none.
        assert!(matches!(
            log_in(&house, Service::Smtp, "ann@example.com"),
            Login::Granted(_)
        ));
        assert!(new_mail(&house, "ann").is_empty());
    });
}

#[test]
fn who_comes_back_is_told() {
    everywhere(|house| {
        let mut joe = user("joe");
        joe.active = false;
        let house = house.with_user(joe.clone());
        write_bulletin(&house, "activate.txt", "welcome back\n");
        house
            .directory()
            .record_auth(&joe, "INAC", "192.0.2.1", 0)
            .unwrap();
        assert!(matches!(imap(&house), Login::Granted(_)));
        let mail = new_mail(&house, "joe");
        assert_eq!(mail.len(), 1);
        assert!(mail[0].contains("\nSubject: Your IndiMail Account was de-activated on "));
        assert!(mail[0].ends_with("\n\nwelcome back\n"));
        assert!(
            house
                .directory()
                .find_user("joe", "example.com")
                .unwrap()
                .unwrap()
                .active
        );
    });
}

#[test]
fn limits_hold_where_the_domain_says_so() {
    everywhere(|house| {
        let mut free = user("ann");
        free.gid_flags = flags::V_OVERRIDE;
        let house = house.with_user(user("joe")).with_user(free);
        let limits = Limits {
            disabled: [false, true, false, false, false, true, false],
            ..Limits::default()
        };
        house
            .directory()
            .set_limits("example.com", &limits)
            .unwrap();
        assert!(matches!(imap(&house), Login::Granted(_)));
        let mark = house.root.path().join("domains/example.com/.domain_limits");
        std::fs::write(mark, "").unwrap();
        assert!(matches!(imap(&house), Login::Forbidden(_)));
        assert!(matches!(
            log_in(&house, Service::Imap, "ann@example.com"),
            Login::Granted(_)
        ));
        match log_in(&house, Service::Smtp, "joe@example.com") {
            Login::Granted(account) => assert!(!account.may_relay),
            other => panic!("{other:?}"),
        }
        let expired = Limits {
            password_expiry: 1,
            ..Limits::default()
        };
        house
            .directory()
            .set_limits("example.com", &expired)
            .unwrap();
        assert!(matches!(
            log_in(&house, Service::Smtp, "joe@example.com"),
            Login::Forbidden(_)
        ));
        // The row itself is as it was.
        assert_eq!(
            house
                .directory()
                .find_user("joe", "example.com")
                .unwrap()
                .unwrap()
                .gid_flags,
            0
        );
    });
}

#[test]
fn reading_mail_lets_relay_where_that_is_on() {
    everywhere(|house| {
        let mut still = user("ann");
        still.gid_flags = flags::NO_RELAY;
        let house = house.with_user(user("joe")).with_user(still);
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert!(house.directory().rows(&RELAY, &[]).unwrap().is_empty());
        std::fs::write(house.root.path().join("control/open_smtp"), "1\n").unwrap();
        house.world.reread();
        assert!(matches!(imap(&house), Login::Granted(_)));
        assert!(matches!(
            log_in(&house, Service::Imap, "ann@example.com"),
            Login::Granted(_)
        ));
        let rows = house.directory().rows(&RELAY, &[]).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][..2], ["joe@example.com".into(), "192.0.2.9".into()]);
    });
}

#[test]
fn a_remembered_password_ends_with_the_row_it_was_right_for() {
    everywhere(|house| {
        let house = house.with_user(user("joe"));
        for _ in 0..20 {
            assert!(matches!(imap(&house), Login::Granted(_)));
        }
        let mut joe = house
            .directory()
            .find_user("joe", "example.com")
            .unwrap()
            .unwrap();
        joe.password_hash = password::hash(b"Other-5678", Method::Argon2id)
            .unwrap()
            .to_string();
        house.directory().update_user(&joe).unwrap();
        assert!(matches!(imap(&house), Login::Refused));
    });
}
