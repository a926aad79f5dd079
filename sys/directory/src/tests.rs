//! The promises of [`Directory`].

mod copying;

use super::*;

/// An empty directory of users, and a place for homes.
struct Site {
    home: tempfile::TempDir,
    location: Location,
    directory: Directory,
}

impl Site {
    fn on_sqlite() -> Self {
        let home = tempfile::tempdir().unwrap();
        let location = Location::File(home.path().join("indimail.db"));
        Self::at(home, location)
    }

    fn on_mariadb() -> Self {
        let mut server = Server::from_url("mysql://root@localhost/").unwrap();
        server.socket = Some(testkit::Mariadb::shared().socket());
        server.database = testkit::Mariadb::new_name();
        Self::at(tempfile::tempdir().unwrap(), Location::Server(server))
    }

    fn at(home: tempfile::TempDir, location: Location) -> Self {
        let directory = Directory::create_at(&location).unwrap();
        Self {
            home,
            location,
            directory,
        }
    }
}

/// Every promise is kept by both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::Site::on_sqlite()); })*
        }
        mod mariadb {
            $(#[test] fn $name() { super::$name(&super::Site::on_mariadb()); })*
        }
    };
}

mod site_tables;

on_both! {
    a_user_is_found_again_however_it_is_written,
    sql_in_a_name_is_only_a_name,
    inactive_users_are_in_the_other_table_and_keep_everything,
    a_deleted_user_leaves_nothing_behind,
    a_deleted_domain_takes_only_its_own_rows,
    lines_of_an_alias_keep_their_order,
    flags_change_one_by_one,
    the_last_event_of_each_service_is_kept,
    a_password_changed_meanwhile_is_not_overwritten,
    values_that_do_not_fit_are_refused_by_name,
    homes_fill_a_directory_and_freed_ones_are_used_again,
    parallel_writers_lose_nothing,
    one_name_is_given_to_one_of_many,
    a_name_is_exactly_itself,
    a_moved_home_takes_its_aliases_along,
    a_renamed_user_keeps_everything_and_the_old_name_is_free,
    users_added_together_are_refused_one_by_one,
    passwords_of_programs_come_and_go_with_their_user,
    the_schema_goes_down_and_up_again,
    many_users_are_read_some_at_a_time,
    filter_rules_have_the_lowest_free_number,
    an_administrator_has_seven_tries_a_day_and_tokens,
}

pub(crate) fn user(name: &str) -> User {
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

fn a_user_is_found_again_however_it_is_written(site: &Site) {
    let directory = &site.directory;
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

fn sql_in_a_name_is_only_a_name(site: &Site) {
    let directory = &site.directory;
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

fn inactive_users_are_in_the_other_table_and_keep_everything(site: &Site) {
    let directory = &site.directory;
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

fn a_deleted_user_leaves_nothing_behind(site: &Site) {
    let directory = &site.directory;
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

fn a_deleted_domain_takes_only_its_own_rows(site: &Site) {
    let directory = &site.directory;
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

fn lines_of_an_alias_keep_their_order(site: &Site) {
    let directory = &site.directory;
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

fn flags_change_one_by_one(site: &Site) {
    let directory = &site.directory;
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

fn the_last_event_of_each_service_is_kept(site: &Site) {
    let directory = &site.directory;
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

fn a_password_changed_meanwhile_is_not_overwritten(site: &Site) {
    let directory = &site.directory;
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    assert!(
        directory
            .replace_hash(&joe, "new", Some("{CRAM}x"))
            .unwrap()
    );
    assert!(!directory.replace_hash(&joe, "late", None).unwrap());
    let now = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(now.password_hash, "new");
    assert!(directory.mechanisms().unwrap().cram);
    assert!(!directory.mechanisms().unwrap().scram_sha_256);
}

fn values_that_do_not_fit_are_refused_by_name(site: &Site) {
    let directory = &site.directory;
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

fn homes_fill_a_directory_and_freed_ones_are_used_again(site: &Site) {
    let (home, directory) = (&site.home, &site.directory);
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

fn parallel_writers_lose_nothing(site: &Site) {
    let placement = Placement::below(site.home.path(), 2).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let placement = &placement;
            scope.spawn(move || {
                let directory = Directory::open_at(&site.location).unwrap();
                for number in 0..5 {
                    let name = format!("a{writer}x{number}");
                    directory.add_user(&user(&name), placement).unwrap();
                }
            });
        }
    });
    let users = site.directory.users("example.com").unwrap();
    assert_eq!(users.len(), 20);
    let mut in_each = std::collections::BTreeMap::new();
    for user in &users {
        *in_each
            .entry(user.dir.parent().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    assert!(in_each.values().all(|&count| count <= 2), "{in_each:?}");
}

fn one_name_is_given_to_one_of_many(site: &Site) {
    let added: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    let new = User {
                        active: number % 2 == 0,
                        ..user("joe")
                    };
                    match site.directory.add_user(&new, &at()) {
                        Ok(_) => 1,
                        Err(Error::Exists(_)) => 0,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(added, 1);
    assert_eq!(site.directory.count_users("example.com").unwrap(), 1);
}

fn a_name_is_exactly_itself(site: &Site) {
    let directory = &site.directory;
    directory.add_user(&user("jose"), &at()).unwrap();
    directory.add_alias(&alias("sales", "&x@y.org")).unwrap();
    for name in ["jos\u{e9}", "j%", "jos_", "jose\u{301}"] {
        assert_eq!(directory.find_user(name, "example.com").unwrap(), None);
        assert!(!directory.update_user(&user(name)).unwrap());
        let deleted = directory.delete_user(name, "example.com", None);
        assert_eq!(deleted.unwrap(), None);
    }
    assert!(
        directory
            .aliases("s\u{e1}les", "example.com")
            .unwrap()
            .is_empty()
    );
}

fn a_moved_home_takes_its_aliases_along(site: &Site) {
    let directory = &site.directory;
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    let line = |text: &str| alias("sales", text);
    directory.add_alias(&line("/mail/x/Maildir/")).unwrap();
    directory.add_alias(&line("/mail/xy/Maildir/")).unwrap();
    assert!(directory.move_home(&joe, Path::new("/new/joe")).unwrap());
    let now = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(now.dir, Path::new("/new/joe"));
    let lines = directory.aliases("sales", "example.com").unwrap();
    assert_eq!(lines, ["/new/joe/Maildir/", "/mail/xy/Maildir/"]);
    assert!(directory.move_home(&joe, Path::new("relative")).is_err());
    assert!(!directory.move_home(&user("ann"), Path::new("/x")).unwrap());
}

fn a_renamed_user_keeps_everything_and_the_old_name_is_free(site: &Site) {
    let directory = &site.directory;
    let placement = Placement::below(site.home.path(), 100).unwrap();
    let joe = directory.add_user(&user("joe"), &placement).unwrap();
    directory.add_user(&user("ann"), &placement).unwrap();
    directory
        .add_alias(&alias("sales", "&joe@example.com"))
        .unwrap();
    directory.add_alias(&alias("joe", "&x@y.org")).unwrap();
    directory.record_auth(&joe, "imap", "192.0.2.1", 5).unwrap();
    let both = (&placement, &placement);
    let taken = directory.rename_user(&joe, ("ann", "example.com"), both);
    assert!(matches!(taken, Err(Error::Exists(_))), "{taken:?}");
    let (zoe, place) = directory
        .rename_user(&joe, ("zoe", "example.com"), both)
        .unwrap()
        .unwrap();
    assert_eq!(zoe.dir, joe.dir);
    assert_eq!(place, site.home.path().join("T2Zsym/example.com/zoe"));
    assert_eq!(directory.find_user("joe", "example.com").unwrap(), None);
    assert_eq!(
        directory.find_user("zoe", "example.com").unwrap(),
        Some(zoe.clone())
    );
    assert_eq!(directory.last_auth(&zoe).unwrap().len(), 1);
    let lines = |name| directory.aliases(name, "example.com").unwrap();
    assert_eq!(lines("sales"), ["&zoe@example.com"]);
    assert_eq!(lines("zoe"), ["&x@y.org"]);
    assert!(lines("joe").is_empty());
    directory.add_user(&user("joe"), &placement).unwrap();
    let gone = directory.rename_user(&user("bob"), ("bab", "example.com"), both);
    assert_eq!(gone.unwrap(), None);
}

fn passwords_of_programs_come_and_go_with_their_user(site: &Site) {
    use app_password::{AppPassword, Scope};
    let directory = &site.directory;
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    for name in ["phone", "scanner"] {
        let (new, _) = AppPassword::generate(name, Scope::ALL, 7);
        assert!(directory.add_app_password(&joe, &new).unwrap());
        assert!(!directory.add_app_password(&joe, &new).unwrap());
    }
    directory.record_app_password(&joe, "phone").unwrap();
    let all = directory.app_passwords(&joe).unwrap();
    assert_eq!((all[0].name.as_str(), all[0].created), ("phone", 7));
    assert!(all[0].last_used.is_some() && all[1].last_used.is_none());
    assert!(directory.delete_app_password(&joe, "phone").unwrap());
    assert!(!directory.delete_app_password(&joe, "phone").unwrap());
    for name in ["", " x", "a\nb", &"x".repeat(41)] {
        let (new, _) = AppPassword::generate(name, Scope::ALL, 7);
        assert!(directory.add_app_password(&joe, &new).is_err());
    }
    directory.delete_user("joe", "example.com", None).unwrap();
    assert!(directory.app_passwords(&joe).unwrap().is_empty());
}

fn users_added_together_are_refused_one_by_one(site: &Site) {
    let placement = Placement::below(site.home.path(), 2).unwrap();
    site.directory.add_user(&user("joe"), &at()).unwrap();
    let bad = User {
        gecos: "a:b".to_owned(),
        ..user("bad")
    };
    let users = [user("ann"), user("joe"), bad, user("ann"), user("abe")];
    let results = site
        .directory
        .add_users(&users, &placement, "192.0.2.9")
        .unwrap();
    let added: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(added, [true, false, false, false, true]);
    assert_eq!(site.directory.count_users("example.com").unwrap(), 3);
    let events = site.directory.last_auth(&user("abe")).unwrap();
    assert_eq!(events[0].service, "add");
}

fn the_schema_goes_down_and_up_again(site: &Site) {
    let directory = &site.directory;
    let (now, known) = directory.schema().unwrap();
    assert_eq!(now, known);
    directory.add_user(&user("joe"), &at()).unwrap();
    assert_eq!(directory.migrate_schema(1).unwrap(), known);
    assert_eq!(directory.schema().unwrap(), (1, known));
    assert!(directory.migrate_schema(0).is_err());
    assert!(directory.migrate_schema(known + 1).is_err());
    assert_eq!(directory.migrate_schema(known).unwrap(), 1);
    assert!(directory.find_user("joe", "example.com").unwrap().is_some());
    directory.delete_user("joe", "example.com", None).unwrap();
}

fn many_users_are_read_some_at_a_time(site: &Site) {
    let directory = &site.directory;
    let count = PAGE_USERS as usize + 5;
    directory
        .write(|session| {
            for number in 0..count {
                let new = User {
                    active: number % 3 != 0,
                    ..user(&format!("u{number:05}"))
                };
                user_rows::insert(session, &new, 1)?;
            }
            Ok(())
        })
        .unwrap();
    let users = directory.users("example.com").unwrap();
    assert_eq!(users.len(), count);
    assert!(users.is_sorted_by(|a, b| a.name < b.name));
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

fn filter_rules_have_the_lowest_free_number(site: &Site) {
    let directory = &site.directory;
    let joe = "joe@example.com";
    let rule = |keyword: &str| vfilter::Row {
        name: "n".to_owned(),
        header: 2,
        comparison: 1,
        keyword: keyword.to_owned(),
        destination: "Junk".to_owned(),
        action: "0".to_owned(),
        number: 0,
    };
    let add = |keyword: &str| directory.add_filter(joe, &rule(keyword)).unwrap();
    assert_eq!((add("a"), add("b"), add("c")), (Some(0), Some(1), Some(2)));
    assert_eq!(add("b"), None, "it is there already");
    assert!(directory.delete_filter(joe, 1).unwrap());
    assert!(!directory.delete_filter(joe, 1).unwrap());
    assert_eq!(add("d"), Some(1));
    let changed = vfilter::Row {
        number: 2,
        ..rule("it's; DROP TABLE vfilter")
    };
    assert!(directory.replace_filter(joe, &changed).unwrap());
    let rules = directory.filters("JOE", "Example.com").unwrap();
    let told: Vec<_> = rules
        .iter()
        .map(|rule| (rule.number, rule.keyword.as_str()))
        .collect();
    assert_eq!(told, [(0, "a"), (1, "d"), (2, "it's; DROP TABLE vfilter")]);
    assert!(directory.filters("jo", "example.com").unwrap().is_empty());
    let long = rule(&"x".repeat(65));
    assert!(directory.add_filter(joe, &long).is_err());
    for n in 3..255 {
        assert_eq!(add(&n.to_string()), Some(n));
    }
    assert!(directory.add_filter(joe, &rule("one too many")).is_err());
}

fn an_administrator_has_seven_tries_a_day_and_tokens(site: &Site) {
    let directory = &site.directory;
    let row = [
        Cell::from("joe"),
        "x".into(),
        0.into(),
        0.into(),
        0.into(),
        0.into(),
        "".into(),
        0.into(),
        "0".into(),
    ];
    assert!(directory.add_row(&list::OPERATORS, &row).unwrap());
    assert_eq!(directory.administrator("joe").unwrap().unwrap().name, "joe");
    assert!(directory.administrator("joe\n").unwrap().is_none());
    let may_try = |day| directory.count_attempt("joe", day).unwrap();
    assert!((0..7).all(|_| may_try("23")));
    assert!(!may_try("23"));
    assert!(may_try("24"), "the next day counts anew");
    directory.record_access("joe").unwrap();
    assert!((0..7).all(|_| may_try("24")));
    assert!(!directory.count_attempt("nobody", "24").unwrap());

    let right = [Cell::from("joe"), "vadduser".into(), "*@a.example".into()];
    assert!(directory.add_row(&list::PRIVILEGES, &right).unwrap());
    let may = Privilege {
        program: "vadduser".to_owned(),
        switches: "*@a.example".to_owned(),
    };
    assert_eq!(directory.privileges("joe").unwrap(), [may]);
    let (token, text) = Token::generate("backup", 1);
    assert!(directory.add_token("joe", &token).unwrap());
    assert!(!directory.add_token("joe", &token).unwrap());
    let owner = |text: &[u8]| directory.owner_of_token(text).unwrap();
    assert_eq!(owner(text.as_bytes()).unwrap().name, "joe");
    let (_, other) = Token::generate("backup", 1);
    assert!(owner(other.as_bytes()).is_none());

    let whose = [("user", Cell::from("joe"))];
    assert_eq!(directory.delete_rows(&list::OPERATORS, &whose).unwrap(), 1);
    assert!(
        owner(text.as_bytes()).is_none(),
        "it opens nothing any more"
    );
}
