//! Domains come and go, wholly or not at all.

use std::os::unix::fs::PermissionsExt;

use crate::house::House;

#[test]
fn a_new_domain_is_complete() {
    let house = House::new();
    house.write("control/locals", "localhost\nexample.com\n");
    let ran = house
        .run(&["vaddomain", "example.com", "Secret-1234"])
        .good();
    assert!(
        ran.out
            .contains("Adding alias abuse@example.com --> postmaster@example.com")
    );
    let domains = house.path("domains");
    assert_eq!(
        house.text("domains/example.com/.qmail-default"),
        format!(
            "| {}/sbin/vdelivermail '' bounce-no-mailbox\n",
            house.path("").to_str().unwrap().trim_end_matches('/')
        )
    );
    let mode = |name: &str| house.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("domains/example.com"), 0o750);
    assert_eq!(mode("domains/example.com/.qmail-default"), 0o600);
    assert_eq!(mode("db"), 0o700);
    assert_eq!(mode("db/indimail.db"), 0o600);
    assert_eq!(mode("users/cdb"), 0o644);
    assert!(house.path("domains/example.com/bulk_mail").is_dir());
    for tree in ["A2E", "F2K", "L2P", "Q2S", "T2Zsym"] {
        assert_eq!(mode(&format!("mail/{tree}/example.com")), 0o750);
    }
    for part in ["cur", "new", "tmp"] {
        assert!(
            house
                .path(&format!("mail/L2P/example.com/postmaster/Maildir/{part}"))
                .is_dir()
        );
    }
    let assign = house.text("users/assign");
    assert!(assign.starts_with("+example.com-:example.com:"), "{assign}");
    assert!(assign.ends_with(&format!("{}/example.com:-::\n.\n", domains.display())));
    assert_eq!(house.text("control/rcpthosts"), "example.com\n");
    assert_eq!(
        house.text("control/virtualdomains"),
        "example.com:example.com\n"
    );
    assert_eq!(house.text("control/locals"), "localhost\n");
    let aliases = house.run(&["valias", "-s", "@example.com"]).good().out;
    assert_eq!(
        aliases,
        "abuse@example.com -> &postmaster@example.com\n\
         mailer-daemon@example.com -> &postmaster@example.com\n"
    );
    let shown = house.run(&["vdominfo", "example.com"]).good().out;
    assert!(shown.contains("     Users: 1\n"), "{shown}");
    assert!(
        house
            .run(&["vdominfo", "--json"])
            .good()
            .out
            .contains("\"users\": 1")
    );
}

#[test]
fn names_that_are_no_domains_change_nothing() {
    let house = House::with_domain();
    let before = house.tree();
    house
        .run(&["vadddomain", "example.com", "x"])
        .refused(100, "domain example.com exists");
    for name in [
        "Example.com",
        "-bad.com",
        "../etc",
        "a/b",
        "a b",
        "a:b",
        "",
        "a..b",
        "x\n.y",
    ] {
        let ran = house.run(&["vadddomain", "--", name, "x"]);
        assert_eq!(ran.code, 100, "{name:?} {ran:?}");
        house
            .run(&["vdeldomain", "--", name])
            .refused(100, "domain");
    }
    assert_eq!(house.tree(), before);
}

#[test]
fn a_domain_that_cannot_be_added_leaves_no_trace() {
    for broken in ["control", "db", "mail", "domains"] {
        let house = House::with_domain();
        // A full home tree, a full disk: here a directory that takes nothing.
        let path = house.path(broken);
        let files = [
            "users/assign",
            "control/rcpthosts",
            "control/virtualdomains",
        ];
        let before: Vec<String> = files.map(|name| house.text(name)).to_vec();
        let tree = house.tree();
        let lines = house.run(&["valias", "-s", "@example.com"]).out;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o500)).unwrap();
        if broken == "mail" {
            for tree in ["A2E", "F2K", "L2P", "Q2S", "T2Zsym"] {
                let path = path.join(tree);
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o500)).unwrap();
            }
        }
        let ran = house.run(&["vadddomain", "second.org", "Secret-1234"]);
        if broken != "db" {
            assert_ne!(ran.code, 0, "{broken} {ran:?}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        if ran.code != 0 {
            let after: Vec<String> = files.map(|name| house.text(name)).to_vec();
            assert_eq!(after, before, "{broken}");
            assert_eq!(house.tree(), tree, "{broken}");
            assert_eq!(house.run(&["valias", "-s", "@example.com"]).out, lines);
        }
    }
}

#[test]
fn a_run_that_was_killed_can_be_repeated() {
    let house = House::with_domain();
    std::fs::create_dir_all(house.path("domains/second.org/bulk_mail")).unwrap();
    house
        .run(&["vadddomain", "second.org", "Secret-1234"])
        .refused(100, "move it out of the way");
    std::fs::remove_dir_all(house.path("domains/second.org")).unwrap();
    house
        .run(&["vadddomain", "second.org", "Secret-1234"])
        .good();
    // As if it had been killed before the tables were written.
    house.write("domains/second.org/.adding", "");
    let assign = house.text("users/assign");
    let kept: Vec<&str> = assign.lines().filter(|l| !l.contains("second")).collect();
    house.write("users/assign", &(kept.join("\n") + "\n"));
    std::fs::remove_file(house.path("users/cdb")).unwrap();
    house
        .run(&["vadddomain", "second.org", "Secret-1234"])
        .good();
    assert!(house.run(&["vuserinfo", "postmaster@second.org"]).code == 0);
    assert!(house.run(&["vuserinfo", "postmaster@example.com"]).code == 0);
}

#[test]
fn the_fifty_first_domain_goes_to_the_other_list() {
    let house = House::new();
    let hosts: String = (0..50).map(|n| format!("host{n}.example\n")).collect();
    house.write("control/rcpthosts", &hosts);
    house
        .run(&["vadddomain", "example.com", "Secret-1234"])
        .good();
    assert_eq!(house.text("control/rcpthosts"), hosts);
    assert_eq!(house.text("control/morercpthosts"), "example.com\n");
    let file = std::fs::read(house.path("control/morercpthosts.cdb")).unwrap();
    let found = cdb::Reader::new(&file)
        .unwrap()
        .find(b"example.com")
        .unwrap();
    assert_eq!(found, Some(&b""[..]));
    house.run(&["vdeldomain", "example.com"]).good();
    assert_eq!(house.text("control/morercpthosts"), "");
}

#[test]
fn a_deleted_domain_leaves_no_trace_and_others_alone() {
    let house = House::with_domain();
    let before = house.tree();
    let rcpthosts = house.text("control/rcpthosts");
    house
        .run(&["vadddomain", "not-example.com", "Secret-1234"])
        .good();
    house
        .run(&["vadduser", "joe@not-example.com", "Secret-1234"])
        .good();
    house
        .run(&["vaddaliasdomain", "alias.org", "not-example.com"])
        .good();
    house
        .run(&["vadddomain", "third.org", "Secret-1234"])
        .good();
    house.run(&["vdeldomain", "third.org"]).good();
    assert!(
        house
            .run(&["vdominfo", "alias.org"])
            .good()
            .out
            .contains("aliased to not-example.com")
    );
    house.run(&["vdeldomain", "not-example.com"]).good();
    assert_eq!(house.tree(), before);
    assert_eq!(house.text("control/rcpthosts"), rcpthosts);
    assert!(!house.text("users/assign").contains("not-example"));
    assert!(!house.text("users/assign").contains("alias.org"));
    house.run(&["vuserinfo", "postmaster@example.com"]).good();
    house
        .run(&["vdeldomain", "not-example.com"])
        .refused(1, "does not exist");
}

#[test]
fn a_damaged_database_is_named_and_nothing_is_lost() {
    let house = House::with_domain();
    let good = std::fs::read(house.path("db/indimail.db")).unwrap();
    for content in [&b""[..], b"not a database", &good[..good.len() / 2]] {
        for name in ["db/indimail.db-wal", "db/indimail.db-shm"] {
            let _ = std::fs::remove_file(house.path(name));
        }
        std::fs::write(house.path("db/indimail.db"), content).unwrap();
        for command in [
            &["vadduser", "joe@example.com", "Secret-1234"][..],
            &["vadddomain", "second.org", "Secret-1234"],
            &["vdeluser", "joe@example.com"],
            &["vuserinfo", "postmaster@example.com"],
        ] {
            let ran = house.run(command);
            assert_eq!(ran.code, 111, "{command:?} {ran:?}");
            assert!(ran.err.contains("indimail.db"), "{ran:?}");
        }
        assert_eq!(
            std::fs::read(house.path("db/indimail.db")).unwrap(),
            content
        );
        assert!(
            house
                .path("mail/L2P/example.com/postmaster/Maildir")
                .exists()
        );
        assert!(!house.path("domains/second.org").exists());
    }
}

#[test]
fn services_are_told_to_read_again() {
    use std::io::Read as _;
    let house = House::new();
    let mut fifos = Vec::new();
    for name in ["qmail-send.25", "inlookup", "qmail-smtpd.25"] {
        let supervise = house.path("service").join(name).join("supervise");
        std::fs::create_dir_all(&supervise).unwrap();
        os::file::make_fifo(&supervise.join("control"), 0o666).unwrap();
        fifos.push(os::file::open_fifo_read(&supervise.join("control")).unwrap());
    }
    house
        .run(&["vadddomain", "example.com", "Secret-1234"])
        .good();
    let told: Vec<String> = fifos
        .iter_mut()
        .map(|fifo| {
            let mut text = [0; 10];
            let read = fifo.read(&mut text).unwrap_or(0);
            String::from_utf8_lossy(&text[..read]).into_owned()
        })
        .collect();
    assert_eq!(told, ["h", "h", ""]);
}

#[test]
fn an_alias_domain_is_another_name_and_nothing_more() {
    let house = House::with_domain();
    let before = house.tree();
    let files = [
        "users/assign",
        "control/rcpthosts",
        "control/virtualdomains",
    ];
    let content: Vec<String> = files.map(|name| house.text(name)).to_vec();
    house
        .run(&["vaddaliasdomain", "alias.org", "example.com"])
        .good();
    assert_eq!(
        house.text("domains/example.com/.aliasdomains"),
        "alias.org\n"
    );
    assert!(
        house
            .text("control/virtualdomains")
            .contains("alias.org:alias.org\n")
    );
    house
        .run(&["vadduser", "joe@alias.org", "Secret-1234"])
        .good();
    house.run(&["vuserinfo", "joe@example.com"]).good();
    for (new, old, code) in [
        ("alias.org", "example.com", 100),
        ("example.com", "alias.org", 100),
        ("x.org", "alias.org", 100),
        ("x.org", "nowhere.org", 1),
        ("../x", "example.com", 100),
    ] {
        assert_eq!(
            house.run(&["vaddaliasdomain", new, old]).code,
            code,
            "{new}"
        );
    }
    house.run(&["vdeldomain", "alias.org"]).good();
    house.run(&["vdeluser", "joe@example.com"]).good();
    let after: Vec<String> = files.map(|name| house.text(name)).to_vec();
    assert_eq!(after, content);
    let _ = std::fs::remove_file(house.path("domains/example.com/.aliasdomains"));
    assert_eq!(house.tree(), before);
}
