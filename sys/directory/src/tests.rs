//! The promises of [`Directory`].

use super::*;

fn directory() -> (tempfile::TempDir, Directory) {
    let home = tempfile::tempdir().unwrap();
    let directory = Directory::create(&home.path().join("indimail.db")).unwrap();
    (home, directory)
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        domain: "example.com".to_owned(),
        password_hash: "x".to_owned(),
        gid_flags: 0,
        gecos: name.to_owned(),
        dir: Default::default(),
        quota: "NOQUOTA".to_owned(),
        scram: None,
        active: true,
        uid_state: UID_IN_STEP,
    }
}

fn alias(name: &str, line: &str) -> Alias {
    Alias {
        name: name.to_owned(),
        domain: "example.com".to_owned(),
        line: line.to_owned(),
    }
}

fn at() -> Placement {
    Placement::At("/mail/x".into())
}

#[test]
fn a_user_is_found_again_however_it_is_written() {
    let (_home, directory) = directory();
    let added = directory.add_user(&user("joe"), &at()).unwrap();
    assert_eq!(
        directory.find_user("JOE ", "Example.COM").unwrap(),
        Some(added)
    );
    assert!(matches!(
        directory.add_user(&user("joe"), &at()),
        Err(Error::Exists(_))
    ));
    assert_eq!(directory.find_user("ann", "example.com").unwrap(), None);
    assert_eq!(
        directory
            .find_user(&"x".repeat(500), "example.com")
            .unwrap(),
        None
    );
}

#[test]
fn sql_in_a_name_is_only_a_name() {
    let (_home, directory) = directory();
    directory.add_user(&user("joe"), &at()).unwrap();
    for name in [
        "' OR '1'='1",
        "joe'--",
        "\"; DROP TABLE indimail",
        "%",
        "_oe",
        "joe\0",
        "joe\\",
    ] {
        assert_eq!(
            directory.find_user(name, "example.com").unwrap(),
            None,
            "{name}"
        );
        assert_eq!(directory.find_user("joe", name).unwrap(), None, "{name}");
        assert!(directory.aliases(name, "example.com").unwrap().is_empty());
        assert!(
            directory
                .delete_user(name, "example.com", None)
                .unwrap()
                .is_none()
        );
    }
    assert!(directory.find_user("joe", "example.com").unwrap().is_some());
}

#[test]
fn inactive_users_are_in_the_other_table_and_keep_everything() {
    let (_home, directory) = directory();
    let mut joe = directory.add_user(&user("joe"), &at()).unwrap();
    joe.active = false;
    joe.gecos = "Joe".to_owned();
    assert!(directory.update_user(&joe).unwrap());
    assert_eq!(
        directory.find_user("joe", "example.com").unwrap(),
        Some(joe.clone())
    );
    assert!(matches!(
        directory.add_user(&user("joe"), &at()),
        Err(Error::Exists(_))
    ));
    joe.active = true;
    assert!(directory.update_user(&joe).unwrap());
    assert_eq!(directory.users("example.com").unwrap(), [joe]);
    assert!(!directory.update_user(&user("ann")).unwrap());
}

#[test]
fn a_deleted_user_leaves_nothing_behind() {
    let (_home, directory) = directory();
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    directory.add_user(&user("ann"), &at()).unwrap();
    directory.add_alias(&alias("joe", "&x@y.org")).unwrap();
    directory
        .add_alias(&alias("sales", "&joe@example.com"))
        .unwrap();
    directory
        .add_alias(&alias("sales", "&ann@example.com"))
        .unwrap();
    directory.record_auth(&joe, "imap", "192.0.2.1", 5).unwrap();
    directory.mark_over_quota(&joe, 7).unwrap();
    assert_eq!(
        directory
            .delete_user("joe", "example.com", None)
            .unwrap()
            .unwrap()
            .name,
        "joe"
    );
    assert_eq!(directory.find_user("joe", "example.com").unwrap(), None);
    assert_eq!(
        directory.aliases("sales", "example.com").unwrap(),
        ["&ann@example.com"]
    );
    assert!(directory.aliases("joe", "example.com").unwrap().is_empty());
    assert!(directory.last_auth(&joe).unwrap().is_empty());
}

#[test]
fn a_deleted_domain_takes_only_its_own_rows() {
    let (_home, directory) = directory();
    directory.add_user(&user("joe"), &at()).unwrap();
    let other = User {
        domain: "not-example.com".to_owned(),
        ..user("joe")
    };
    directory.add_user(&other, &at()).unwrap();
    directory.delete_domain("example.com").unwrap();
    assert_eq!(directory.count_users("example.com").unwrap(), 0);
    assert_eq!(directory.count_users("not-example.com").unwrap(), 1);
}

#[test]
fn lines_of_an_alias_keep_their_order() {
    let (_home, directory) = directory();
    for line in [
        "&z@example.com",
        "&a@example.com",
        "| program",
        "&z@example.com",
    ] {
        directory.add_alias(&alias("list", line)).unwrap();
    }
    let lines = ["&z@example.com", "&a@example.com", "| program"];
    assert_eq!(directory.aliases("LIST", "example.com").unwrap(), lines);
    assert!(
        directory
            .replace_alias(&alias("list", "| program"), "&b@example.com")
            .unwrap()
    );
    assert!(
        directory
            .delete_alias(&alias("list", "&z@example.com"))
            .unwrap()
    );
    assert!(
        !directory
            .delete_alias(&alias("list", "&z@example.com"))
            .unwrap()
    );
    assert_eq!(
        directory.aliases_to("b@example.com").unwrap()[0].name,
        "list"
    );
    assert!(directory.add_alias(&alias("List", "&a@b")).is_err());
    assert!(directory.add_alias(&alias("list", "")).is_err());
    assert!(directory.add_alias(&alias("list", "&a@b\n| rm")).is_err());
}

#[test]
fn flags_change_one_by_one() {
    let (_home, directory) = directory();
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    directory
        .change_flags(&joe, flags::NO_POP | flags::NO_SMTP, 0)
        .unwrap();
    directory.mark_over_quota(&joe, 10).unwrap();
    directory.change_flags(&joe, 0, flags::NO_POP).unwrap();
    let now = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(now.gid_flags, flags::NO_SMTP | flags::BOUNCE_MAIL);
    directory.clear_over_quota(&joe).unwrap();
    let now = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(now.gid_flags, flags::NO_SMTP);
}

#[test]
fn the_last_event_of_each_service_is_kept() {
    let (_home, directory) = directory();
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    directory.record_auth(&joe, "imap", "192.0.2.1", 1).unwrap();
    directory
        .record_auth(&joe, "imap", "192.0.2.2", u64::MAX)
        .unwrap();
    directory.record_auth(&joe, "pop3", "::1", 3).unwrap();
    let events = directory.last_auth(&joe).unwrap();
    assert_eq!(events.len(), 2);
    let imap = events.iter().find(|event| event.service == "imap").unwrap();
    assert_eq!(
        (imap.remote_ip.as_str(), imap.usage),
        ("192.0.2.2", i64::from(i32::MAX))
    );
}

#[test]
fn a_password_changed_meanwhile_is_not_overwritten() {
    let (_home, directory) = directory();
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    assert!(
        directory
            .replace_hash(&joe, "new", Some("{CRAM}x"))
            .unwrap()
    );
    assert!(!directory.replace_hash(&joe, "late", None).unwrap());
    let now = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(now.password_hash, "new");
    assert!(directory.has_clear_text_secrets().unwrap());
}

#[test]
fn values_that_do_not_fit_are_refused_by_name() {
    let (_home, directory) = directory();
    for bad in [
        User {
            gecos: "x".repeat(49),
            ..user("joe")
        },
        User {
            gecos: "a:b".to_owned(),
            ..user("joe")
        },
        User {
            quota: "1\n2".to_owned(),
            ..user("joe")
        },
        User {
            password_hash: "x".repeat(129),
            ..user("joe")
        },
        User {
            scram: Some("x".repeat(256)),
            ..user("joe")
        },
    ] {
        assert!(matches!(
            directory.add_user(&bad, &at()),
            Err(Error::Value { .. })
        ));
    }
    let long = Placement::At(Path::new("/").join("d".repeat(156)));
    assert!(directory.add_user(&user("joe"), &long).is_err());
    assert_eq!(directory.count_users("example.com").unwrap(), 0);
}

#[test]
fn homes_fill_a_directory_and_freed_ones_are_used_again() {
    let (home, directory) = directory();
    let placement = Placement::below(home.path(), 100).unwrap();
    let base = home.path().join("A2E/example.com");
    for number in 1..=101 {
        let added = directory
            .add_user(&user(&format!("a{number}")), &placement)
            .unwrap();
        let expected = if number < 100 {
            base.clone()
        } else {
            base.join("0")
        };
        assert_eq!(added.dir, expected.join(format!("a{number}")));
    }
    directory
        .delete_user("a100", "example.com", Some(&placement))
        .unwrap();
    let added = directory.add_user(&user("b1"), &placement).unwrap();
    assert_eq!(added.dir, base.join("0/b1"));
    // Others have trees of their own.
    let added = directory.add_user(&user("zoe"), &placement).unwrap();
    assert_eq!(added.dir, home.path().join("T2Zsym/example.com/zoe"));
}

#[test]
fn parallel_writers_lose_nothing() {
    let (home, directory) = directory();
    drop(directory);
    let placement = Placement::below(home.path(), 2).unwrap();
    let path = home.path().join("indimail.db");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (placement, path) = (&placement, &path);
            scope.spawn(move || {
                let directory = Directory::open(path).unwrap();
                for number in 0..5 {
                    let name = format!("a{writer}x{number}");
                    directory.add_user(&user(&name), placement).unwrap();
                }
            });
        }
    });
    let directory = Directory::open_read_only(&path).unwrap();
    let users = directory.users("example.com").unwrap();
    assert_eq!(users.len(), 20);
    let mut in_each = std::collections::BTreeMap::new();
    for user in &users {
        *in_each
            .entry(user.dir.parent().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    assert!(in_each.values().all(|&count| count <= 2), "{in_each:?}");
    assert!(directory.add_user(&user("b"), &placement).is_err());
}

#[test]
fn debug_output_has_no_secrets() {
    let joe = User {
        password_hash: "$1$hash".to_owned(),
        scram: Some("{CRAM}clear".to_owned()),
        ..user("joe")
    };
    let text = format!("{joe:?}");
    assert!(!text.contains("hash\"") && !text.contains("clear") && !text.contains("$1$"));
}
