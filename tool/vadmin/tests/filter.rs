//! vcfilter.

use crate::house::House;

const JOE: &str = "joe@example.com";

fn house() -> House {
    let house = House::with_domain();
    house.run(&["vadduser", JOE, "Secret-1234"]).good();
    house
}

/// A rule about the subject that files in Junk.
fn add(house: &House, name: &str, keyword: &str, address: &str) {
    house
        .run(&[
            "vcfilter", "-i", "-t", name, "-h", "Subject", "-c", "Contains", "-k", keyword, "-f",
            "Junk", "-b", "0", address,
        ])
        .good();
}

#[test]
fn rules_are_added_shown_changed_and_deleted() {
    let house = house();
    let mark = house.path("mail/F2K/example.com/joe/Maildir/vfilter");
    assert_eq!(house.run(&["vcfilter", "-s", JOE]).code, 1);
    add(&house, "my rule", "spam offer", JOE);
    assert!(mark.exists());
    let shown = house.run(&["vcfilter", "-s", JOE]).good().out;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("No  EmailId "), "{shown}");
    assert_eq!(lines[1], "-".repeat(144));
    assert_eq!(
        lines[2],
        format!(
            "  0 {JOE:<29} {:<20} {:<15} {:<26} {:<15} {:<15} No     N/A",
            "my rule", "Subject", "Contains", "spam offer", "Junk"
        )
    );
    assert_eq!(
        house.run(&["vcfilter", "-s", "-r", JOE]).good().out,
        "0 joe@example.com my~rule 2 1 spam~offer Junk Deliver\n"
    );
    house
        .run(&[
            "vcfilter",
            "-u",
            "0",
            "-f",
            "/NoDeliver",
            "-b",
            "3&a@b.org",
            JOE,
        ])
        .good();
    let json = house.run(&["vcfilter", "--json", JOE]).good().out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[0]["folder"], &json[0]["bounce"], &json[0]["forward"]),
        (&"/NoDeliver".into(), &true.into(), &"&a@b.org".into())
    );
    assert_eq!(json[0]["keyword"], "spam offer", "what is not given stays");
    house.run(&["vcfilter", "-d", "0", JOE]).good();
    assert!(!mark.exists());
    house
        .run(&["vcfilter", "-d", "0", JOE])
        .refused(1, "no rule 0");
}

#[test]
fn a_domain_has_rules_without_users_for_them() {
    let house = house();
    add(&house, "n", "x", "prefilt@example.com");
    let raw = house
        .run(&["vcfilter", "-sr", "prefilt@example.com"])
        .good();
    assert!(raw.out.starts_with("0 prefilt@example.com n 2 1 x "));
    house
        .run(&["vcfilter", "-s", "nobody@example.com"])
        .refused(1, "No such user");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let house = house();
    let mut rule = vec![
        "vcfilter", "-i", "-t", "n", "-h", "Subject", "-c", "RegExp", "-k", "(", "-f", "Junk", JOE,
    ];
    house.run(&rule).refused(100, "regular expression");
    rule[7] = "Sounds like";
    house.run(&rule).refused(100, "no comparison");
    (rule[7], rule[5]) = ("0", "X-Nobody");
    house.run(&rule).refused(100, "no header field");
    (rule[5], rule[11]) = ("Subject", "../out");
    house.run(&rule).refused(100, "begins with no dot");
    rule[11] = "a/b";
    house.run(&rule).refused(100, "no slash");
    rule[11] = "Junk";
    house.run(&rule).good();
    house.run(&rule).refused(100, "does the same");
}

#[test]
fn a_domain_is_delivered_with_rules_or_without() {
    let house = house();
    let line = || house.text("domains/example.com/.qmail-default");
    let with = |words: &[&str]| {
        let all = [&["vmoddomain"], words, &["example.com"]].concat();
        house.run(&all)
    };
    let root = house.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    with(&["-f", "1"]).good();
    assert_eq!(
        line(),
        format!("| {root}/sbin/vfilter '' bounce-no-mailbox\n")
    );
    with(&["-h", "all@example.com"]).good();
    assert_eq!(
        line(),
        format!("| {root}/sbin/vfilter '' all@example.com\n")
    );
    with(&["-f", "0", "-h", "d.org:10.1.2.3:25"]).good();
    assert_eq!(
        line(),
        format!("| {root}/sbin/vdelivermail '' d.org:10.1.2.3:25\n")
    );
    with(&["-h", "x; rm -rf"]).refused(100, "no address, path or route");
    with(&["-l", "1"]).good();
    assert!(house.path("domains/example.com/.domain_limits").exists());
    with(&["-l", "0"]).good();
    assert!(!house.path("domains/example.com/.domain_limits").exists());
    house.write("domains/example.com/.qmail-default", "&a@b\n&c@d\n");
    with(&["-f", "1"]).refused(100, "edit it");
    house
        .run(&["vadddomain", "-f", "filtered.org", "Secret-1234"])
        .good();
    let text = house.text("domains/filtered.org/.qmail-default");
    assert!(text.contains("/sbin/vfilter ''"), "{text}");
}
