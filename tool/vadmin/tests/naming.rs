//! A domain gets another name.

use crate::house::House;

fn furnish(house: &House) {
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    house
        .run(&["vadduser", "ann@example.com", "Secret-1234"])
        .good();
    house.run(&["vmoduser", "-n", "ann@example.com"]).good();
    house
        .run(&["valias", "-i", "&joe@example.com", "sales@example.com"])
        .good();
    house
        .run(&["vaddaliasdomain", "alias.org", "example.com"])
        .good();
    house
        .run(&["vadddomain", "not-example.com", "Secret-1234"])
        .good();
    house.write("mail/F2K/example.com/joe/Maildir/new/mail", "x");
    house.write("control/chkrcptdomains", "example.com\n");
}

fn is_renamed(house: &House) {
    let no_trace = |text: &str| {
        for line in text.lines() {
            let bare = line.replace("not-example.com", "");
            assert!(!bare.contains("example.com"), "{line}");
        }
    };
    for name in [
        "users/assign",
        "control/rcpthosts",
        "control/virtualdomains",
        "control/chkrcptdomains",
    ] {
        no_trace(&house.text(name));
    }
    for path in house.tree() {
        no_trace(&path);
    }
    assert_eq!(house.text("control/chkrcptdomains"), "new.org\n");
    assert!(
        house
            .text("control/virtualdomains")
            .contains("new.org:new.org\n")
    );
    assert_eq!(
        house.text("mail/F2K/new.org/joe/Maildir/domain"),
        "new.org\n"
    );
    assert_eq!(house.text("mail/F2K/new.org/joe/Maildir/new/mail"), "x");
    let shown = house.run(&["vuserinfo", "joe@new.org"]).good().out;
    no_trace(&shown.replace("mail/F2K", ""));
    let shown = house.run(&["vuserinfo", "ann@new.org"]).good().out;
    assert!(shown.contains("indibak"), "{shown}");
    let aliases = house.run(&["valias", "-s", "@new.org"]).good().out;
    assert!(
        aliases.contains("sales@new.org -> &joe@new.org\n"),
        "{aliases}"
    );
    assert!(
        aliases.contains("abuse@new.org -> &postmaster@new.org\n"),
        "{aliases}"
    );
    let shown = house.run(&["vdominfo", "alias.org"]).good().out;
    assert!(shown.contains("aliased to new.org"), "{shown}");
    house
        .run(&["vuserinfo", "postmaster@not-example.com"])
        .good();
    house
        .run(&["vuserinfo", "joe@example.com"])
        .refused(1, "does not exist");
    assert!(!house.path("domains/new.org/.domain_rename").exists());
}

fn renames(house: &House) {
    furnish(house);
    house
        .run(&["vrenamedomain", "example.com", "new.org"])
        .good();
    is_renamed(house);
    house.run(&["vdeldomain", "new.org"]).good();
    assert!(!house.text("users/assign").contains("new.org"));
    assert!(!house.text("users/assign").contains("alias.org"));
    house
        .run(&["vuserinfo", "postmaster@not-example.com"])
        .good();
}

#[test]
fn everything_is_under_the_new_name() {
    renames(&House::with_domain());
}

#[test]
fn everything_is_under_the_new_name_on_a_server() {
    renames(&House::on_mariadb());
}

#[test]
fn cut_off_anywhere_it_can_be_repeated() {
    // As the first part leaves it, in the middle and at its end.
    for part in ["mark", "move"] {
        let house = House::with_domain();
        furnish(&house);
        if part == "mark" {
            house.write(
                "domains/example.com/.domain_rename",
                "example.com new.org\n",
            );
        } else {
            house
                .run(&["vrenamedomain-move-as-owner", "example.com", "new.org"])
                .good();
        }
        // Nobody is called absent meanwhile.
        let ran = house.run(&["vuserinfo", "joe@example.com"]);
        assert_eq!(ran.code, 111, "{part} {ran:?}");
        house
            .run(&["vadduser", "eve@example.com", "Secret-1234"])
            .refused(111, "renamed");
        house
            .run(&["vrenamedomain", "example.com", "other.org"])
            .refused(111, "renamed");
        house
            .run(&["vrenamedomain", "example.com", "new.org"])
            .good();
        is_renamed(&house);
    }
}

#[test]
fn what_cannot_be_renamed_stays_as_it_is() {
    let house = House::with_domain();
    furnish(&house);
    let before = house.tree();
    for (old, new, code, text) in [
        ("example.com", "not-example.com", 100, "exists"),
        ("example.com", "alias.org", 100, "exists"),
        ("alias.org", "x.org", 100, "alias of example.com"),
        ("nowhere.org", "x.org", 1, "does not exist"),
        ("example.com", "example.com", 100, "its name"),
        ("example.com", "../x", 100, "domain"),
        ("example.com", "X.org", 100, "uppercase"),
    ] {
        house.run(&["vrenamedomain", old, new]).refused(code, text);
    }
    assert_eq!(house.tree(), before);
    house.run(&["vuserinfo", "joe@example.com"]).good();
}
