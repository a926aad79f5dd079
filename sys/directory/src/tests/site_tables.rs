//! What administrators edit: limits, lists, trees, whole domains.

use std::path::Path;

use super::*;
use crate::list::{self, IP_MAP, PORTS, RELAY};

on_both! {
    a_refused_user_is_not_counted,
    limits_of_a_user_go_before_those_of_its_domain,
    users_are_added_up_to_the_limit_and_no_further,
    a_row_has_its_key_once,
    values_of_rows_stay_values,
    relaying_ends_with_its_time,
    a_renamed_domain_takes_everything_along,
    trees_are_shown_and_begin_again,
}

fn counted(site: &Site) -> i64 {
    let trees = site.directory.trees("example.com").unwrap();
    trees.iter().map(|tree| tree.cur_users).sum()
}

fn a_refused_user_is_not_counted(site: &Site) {
    let base = Path::new("/").join("b".repeat(120));
    let placement = Placement::Tree {
        base,
        mount: MountTag::of(site.home.path()).unwrap(),
        users_per_level: 2,
    };
    let long = user(&"a".repeat(40));
    let (first, last) = (user("ann"), user("abe"));
    let added = site
        .directory
        .add_users(&[first.clone(), long, first, last], &placement, "192.0.2.1")
        .unwrap();
    let is_added: Vec<bool> = added.iter().map(Result::is_ok).collect();
    assert_eq!(is_added, [true, false, false, true]);
    assert_eq!(counted(site), 2);
    let home = &added[3].as_ref().unwrap().dir;
    assert!(home.ends_with("A2E/example.com/0/abe"), "{home:?}");
}

fn limits_of_a_user_go_before_those_of_its_domain(site: &Site) {
    let directory = &site.directory;
    assert_eq!(directory.limits_of("joe", "example.com").unwrap(), None);
    let limits = Limits {
        accounts: 7,
        disk_quota: 5_000_000_000,
        disabled: [true, false, true, false, false, false, true],
        permissions: [1, 2, 3, 4, 0o777, 6, 7],
        ..Limits::default()
    };
    directory.set_limits("example.com", &limits).unwrap();
    let own = Limits {
        password_expiry: 1,
        ..Limits::default()
    };
    directory.set_limits("joe@example.com", &own).unwrap();
    let of = |name| directory.limits_of(name, "example.com").unwrap().unwrap();
    assert_eq!(of("joe"), own);
    assert_eq!(of("ann"), limits);
    assert_eq!(
        limits.flags(),
        flags::NO_POP | flags::NO_DIALUP | flags::NO_SMTP
    );
    assert_eq!(own.expired(1), Some("the password has expired"));
    assert_eq!(own.expired(0), None);
    assert!(directory.delete_limits("joe@example.com").unwrap());
    assert!(!directory.delete_limits("joe@example.com").unwrap());
    assert_eq!(of("joe"), limits);
}

fn users_are_added_up_to_the_limit_and_no_further(site: &Site) {
    let limits = Limits {
        accounts: 3,
        ..Limits::default()
    };
    site.directory.set_limits("example.com", &limits).unwrap();
    let added: usize = std::thread::scope(|scope| {
        let add = |name: String| {
            let placement = at();
            scope.spawn(move || {
                let added = site
                    .directory
                    .add_user_within_limits(&user(&name), &placement);
                match added {
                    Ok(_) => 1,
                    Err(Error::Limit { allowed: 3, .. }) => 0,
                    Err(error) => panic!("{error}"),
                }
            })
        };
        let threads: Vec<_> = (0..6).map(|n| add(format!("u{n}"))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(added, 3);
    assert_eq!(site.directory.count_users("example.com").unwrap(), 3);
}

fn a_row_has_its_key_once(site: &Site) {
    let directory = &site.directory;
    let row = |ip: &str, domain: &str| [Cell::from(ip), Cell::from(domain)];
    assert!(
        directory
            .add_row(&IP_MAP, &row("192.0.2.1", "a.org"))
            .unwrap()
    );
    assert!(
        !directory
            .add_row(&IP_MAP, &row("192.0.2.1", "b.org"))
            .unwrap()
    );
    assert!(
        directory
            .add_row(&IP_MAP, &row("2001:db8::1", "a.org"))
            .unwrap()
    );
    let of_a = [("domain", Cell::from("a.org"))];
    assert_eq!(directory.rows(&IP_MAP, &of_a).unwrap().len(), 2);
    let first = [("ipaddr", Cell::from("192.0.2.1"))];
    let change = [("domain", Cell::from("b.org"))];
    assert_eq!(directory.change_rows(&IP_MAP, &change, &first).unwrap(), 1);
    // The same again is found, too.
    assert_eq!(directory.change_rows(&IP_MAP, &change, &first).unwrap(), 1);
    assert_eq!(
        directory.rows(&IP_MAP, &first).unwrap(),
        [row("192.0.2.1", "b.org")]
    );
    let times = directory.times(&IP_MAP, &first).unwrap();
    assert!((os::clock::unix_seconds() - times[0]).abs() < 600);
    assert_eq!(directory.delete_rows(&IP_MAP, &of_a).unwrap(), 1);
    assert_eq!(directory.delete_rows(&IP_MAP, &of_a).unwrap(), 0);
    let port: Vec<Cell> = vec!["a.org".into(), "h".into(), "*".into(), 25.into()];
    directory.put_row(&PORTS, &port).unwrap();
    assert_eq!(
        directory
            .add_to(&PORTS, "port", 2, &[("host", "h".into())])
            .unwrap(),
        1
    );
    assert_eq!(
        directory.rows(&PORTS, &[]).unwrap()[0][3],
        Cell::Integer(27)
    );
}

fn values_of_rows_stay_values(site: &Site) {
    let directory = &site.directory;
    for name in ["'; DROP TABLE vpriv; --", "\\", "%", "\u{fc}\u{1f600}"] {
        let row: Vec<Cell> = vec![name.into(), "prog".into(), "*".into()];
        assert!(directory.add_row(&list::PRIVILEGES, &row).unwrap());
        let of = [("user", Cell::from(name))];
        assert_eq!(directory.rows(&list::PRIVILEGES, &of).unwrap(), [row]);
    }
    for name in ["a\nb", &"x".repeat(33)] {
        let row: Vec<Cell> = vec![name.into(), "prog".into(), "*".into()];
        assert!(directory.add_row(&list::PRIVILEGES, &row).is_err());
    }
    assert!(
        directory
            .rows(&list::PRIVILEGES, &[("1=1; --", 1.into())])
            .is_err()
    );
    assert!(
        directory
            .replace_address("relay", "ipaddr` = 1 --", "a", "b")
            .is_err()
    );
}

fn relaying_ends_with_its_time(site: &Site) {
    let directory = &site.directory;
    for (email, ip, time) in [
        ("a@x", "192.0.2.1", 100),
        ("b@x", "192.0.2.1", 200),
        ("c@x", "192.0.2.3", 300),
    ] {
        directory
            .put_row(&RELAY, &[email.into(), ip.into(), time.into()])
            .unwrap();
    }
    assert_eq!(
        directory.relay_addresses(150).unwrap(),
        ["192.0.2.1", "192.0.2.3"]
    );
    assert_eq!(directory.clear_relay(200).unwrap(), 2);
    assert_eq!(directory.relay_addresses(0).unwrap(), ["192.0.2.3"]);
    assert_eq!(
        directory
            .replace_address("relay", "ipaddr", "192.0.2.3", "192.0.2.4")
            .unwrap(),
        1
    );
    assert_eq!(directory.relay_addresses(0).unwrap(), ["192.0.2.4"]);
}

fn a_renamed_domain_takes_everything_along(site: &Site) {
    let directory = &site.directory;
    let placement = Placement::below(site.home.path(), 100).unwrap();
    let joe = directory.add_user(&user("joe"), &placement).unwrap();
    let mut ann = user("ann");
    ann.active = false;
    directory.add_user(&ann, &placement).unwrap();
    let other = User {
        domain: "not-example.com".to_owned(),
        ..user("joe")
    };
    directory.add_user(&other, &placement).unwrap();
    let own = format!("{}/Maildir/", joe.dir.display());
    let lines = [
        own.as_str(),
        "&ann@example.com",
        "&x@not-example.com",
        "| prog a@example.com",
    ];
    for line in lines {
        directory.add_alias(&alias("list", line)).unwrap();
    }
    directory.record_auth(&joe, "imap", "192.0.2.1", 0).unwrap();
    directory.mark_over_quota(&joe, 5).unwrap();
    directory
        .set_limits("joe@example.com", &Limits::default())
        .unwrap();
    let root = site.home.path().to_owned();
    let moved = |path: &Path| {
        let rest = path.strip_prefix(root.join("F2K/example.com")).ok()?;
        Some(root.join("F2K/new.org").join(rest))
    };
    directory
        .rename_domain("example.com", "new.org", moved)
        .unwrap();
    assert_eq!(directory.count_users("example.com").unwrap(), 0);
    let found = directory.find_user("joe", "new.org").unwrap().unwrap();
    assert_eq!(found.dir, root.join("F2K/new.org/joe"));
    assert_eq!(directory.last_auth(&found).unwrap().len(), 1);
    assert!(
        !directory
            .find_user("ann", "new.org")
            .unwrap()
            .unwrap()
            .active
    );
    assert_eq!(
        directory.aliases("list", "new.org").unwrap(),
        [
            &format!("{}/Maildir/", root.join("F2K/new.org/joe").display()),
            "&ann@new.org",
            "&x@not-example.com",
            "| prog a@example.com",
        ]
    );
    assert!(directory.limits("joe@new.org").unwrap().is_some());
    assert_eq!(directory.count_users("not-example.com").unwrap(), 1);
    assert_eq!(directory.trees("new.org").unwrap().len(), 2);
    assert!(directory.trees("example.com").unwrap().is_empty());
}

fn trees_are_shown_and_begin_again(site: &Site) {
    let placement = Placement::below(site.home.path(), 2).unwrap();
    for name in ["a1", "a2", "a3", "a4", "a5"] {
        site.directory.add_user(&user(name), &placement).unwrap();
    }
    let trees = site.directory.trees("example.com").unwrap();
    assert_eq!(trees.len(), 1);
    assert_eq!((trees[0].cur_users, trees[0].the_dir.as_str()), (5, "1"));
    assert_eq!(trees[0].ends, [61, 61, 61]);
    assert!(trees[0].suffix.ends_with("_A2E"));
    site.directory.reset_trees("example.com").unwrap();
    let first = site
        .directory
        .find_user("a1", "example.com")
        .unwrap()
        .unwrap();
    let home = site.directory.next_home(&first, &placement, false).unwrap();
    assert!(home.ends_with("A2E/example.com/a1"), "{home:?}");
    assert_eq!(counted(site), 1);
}
