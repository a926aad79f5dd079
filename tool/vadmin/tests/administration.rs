//! Limits, aliases, answers, bulletins, stale users: on both databases.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crate::house::House;

/// Every promise is kept by both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::House::with_domain()); })*
        }
        mod mariadb {
            $(#[test] fn $name() { super::$name(&super::House::on_mariadb()); })*
        }
    };
}

on_both! {
    limits_stop_the_user_who_is_one_too_many,
    limits_are_shown_and_deleted,
    aliases_and_forwards_have_limits_of_their_own,
    addresses_of_this_host_have_domains,
    users_fetch_what_they_may,
    operators_have_rights_and_passwords,
    file_systems_have_room,
    counters_are_shown,
    aliases_move_between_files_and_the_table,
    an_answer_comes_and_goes,
    bulletins_are_copied_linked_and_kept,
    stale_users_are_reported_then_inactivated_then_deleted,
    homes_are_spread_again,
    names_that_mean_harm_are_refused_everywhere,
}

fn limits_stop_the_user_who_is_one_too_many(house: &House) {
    house
        .run(&["vlimit", "-P", "2", "-q", "1000", "-m", "5", "example.com"])
        .good();
    for name in ["one", "two"] {
        house
            .run(&["vadduser", &format!("{name}@example.com"), "Secret-1234"])
            .good();
    }
    house.run(&["vdeluser", "two@example.com"]).good();
    house.run(&["vmoddomain", "-l", "1", "example.com"]).good();
    house
        .run(&["vadduser", "three@example.com", "Secret-1234"])
        .refused(
            100,
            "domain example.com has as many users as its limits allow: 2",
        );
    house.run(&["vlimit", "-P", "3", "example.com"]).good();
    house
        .run(&["vadduser", "three@example.com", "Secret-1234"])
        .good();
    let shown = house
        .run(&["vuserinfo", "-q", "three@example.com"])
        .good()
        .out;
    assert!(shown.contains("quota         : 1000S,5C"), "{shown}");
    let shown = house.run(&["vdominfo", "-l", "example.com"]).good().out;
    assert_eq!(shown, "enabled\n");
}

fn limits_are_shown_and_deleted(house: &House) {
    house
        .run(&["vlimit", "-s", "example.com"])
        .refused(1, "No records found for example.com");
    house
        .run(&[
            "vlimit",
            "-e",
            "-1",
            "-t",
            "15062030120000",
            "-Q",
            "10G",
            "-A",
            "7",
            "-g",
            "pr",
            "-p",
            "cd",
            "-o",
            "a",
            "example.com",
        ])
        .good();
    let shown = house.run(&["vlimit", "-s", "example.com"]).good().out;
    for line in [
        "Domain Expiry   Date : Never Expires\n",
        "Password Expiry Date : ",
        " 2030\n",
        "Max Domain Quota     : 10737418240\n",
        "Max Aliases          : 7\n",
        "Max Pop Accounts     :    unlimited\n",
        "GID Flags:\n  NO_POP\n  IMAP\n  DIALUP\n",
        "  NO_RELAY\n  SMTP\n",
        ": DENY_CREATE   ALLOW_MODIFY  DENY_DELETE\n",
        "  mailing list moderators : DENY_CREATE   DENY_MODIFY   DENY_DELETE\n",
    ] {
        assert!(shown.contains(line), "{line} {shown}");
    }
    house
        .run(&["vlimit", "-g", "r", "-T", "example.com"])
        .good();
    let json = house
        .run(&["vlimit", "-s", "--json", "example.com"])
        .good()
        .out;
    assert!(
        json.contains("\"NO_POP\"") && !json.contains("NO_RELAY"),
        "{json}"
    );
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    house.run(&["vlimit", "-g", "x", "joe@example.com"]).good();
    let shown = house.run(&["vlimit", "-s", "joe@example.com"]).good().out;
    assert!(shown.contains("GID Flags:\n  POP3\n"), "{shown}");
    assert_eq!(
        house.run(&["vlimit", "-D", "joe@example.com"]).good().out,
        "Limits deleted\n"
    );
    // Without a row of its own that of the domain holds.
    let shown = house.run(&["vlimit", "-s", "joe@example.com"]).good().out;
    assert!(shown.contains("GID Flags:\n  NO_POP\n"), "{shown}");
    house.run(&["vlimit", "-D", "example.com"]).good();
    house
        .run(&["vlimit", "-D", "example.com"])
        .refused(1, "No records found");
    for wrong in [
        &["-P", "-2"][..],
        &["-P", "x"],
        &["-e", "tomorrow"],
        &["-g", "q"],
        &["-p", "z"],
        &["-Q", "1,2"],
        &["-n", "99999999"],
    ] {
        let arguments: Vec<&str> = ["vlimit"]
            .iter()
            .chain(wrong)
            .chain(&["example.com"])
            .copied()
            .collect();
        assert_eq!(house.run(&arguments).code, 100, "{wrong:?}");
    }
}

fn aliases_and_forwards_have_limits_of_their_own(house: &House) {
    house
        .run(&["vlimit", "-A", "1", "-F", "1", "-R", "0", "example.com"])
        .good();
    house.run(&["vmoddomain", "-l", "1", "example.com"]).good();
    let insert =
        |line: &str, name: &str| house.run(&["valias", "-i", line, &format!("{name}@example.com")]);
    insert("&postmaster@example.com", "a").good();
    insert("&abuse@example.com", "a").good();
    insert("&postmaster@example.com", "b").refused(100, "as many aliases as its limits allow: 1");
    insert("&x@elsewhere.org", "c").good();
    insert("x@elsewhere.org", "d").refused(100, "as many forwards as its limits allow: 1");
    house.write("text", "Subject: away\n\naway\n");
    let text = house.path("text");
    house
        .run(&["vacation", "postmaster@example.com", text.to_str().unwrap()])
        .refused(100, "as many autoresponders as its limits allow: 0");
}

fn addresses_of_this_host_have_domains(house: &House) {
    house
        .run(&["vipmap", "-s", "-v", "example.com"])
        .refused(1, "No IP Maps present");
    house
        .run(&["vipmap", "-i", "192.0.2.1", "example.com"])
        .good();
    house
        .run(&["vipmap", "-i", "192.0.2.1", "example.com"])
        .refused(100, "has a domain already");
    house
        .run(&["vipmap", "-i", "2001:db8::1", "example.com"])
        .good();
    assert_eq!(
        house.run(&["vipmap", "-s", "example.com"]).good().out,
        "192.0.2.1 example.com\n2001:db8::1 example.com\n"
    );
    assert!(
        house
            .run(&["vipmap", "-s", "--json"])
            .good()
            .out
            .contains("\"ip\": \"192.0.2.1\"")
    );
    house
        .run(&["vipmap", "-d", "192.0.2.1", "example.com"])
        .good();
    house
        .run(&["vipmap", "-d", "192.0.2.1", "example.com"])
        .refused(1, "has no domain");
    house
        .run(&["vipmap", "-u", "192.0.2.1", "example.com"])
        .refused(1, "has no domain");
    assert_eq!(
        house.run(&["vipmap", "-i", "1.2.3", "example.com"]).code,
        100
    );
    house
        .run(&["vipmap", "-i", "192.0.2.1", "nowhere.org"])
        .refused(1, "does not exist");
}

fn users_fetch_what_they_may(house: &House) {
    let address = "postmaster@example.com";
    assert_eq!(house.run(&["vatrn", "-s", address]).code, 1);
    house.run(&["vatrn", "-i", "a.org", address]).good();
    house
        .run(&["vatrn", "-i", "a.org", address])
        .refused(100, "has a.org already");
    house
        .run(&["vatrn", "-u", "a.org", "-i", "b.org", address])
        .good();
    assert_eq!(
        house.run(&["vatrn", "-s", address]).good().out,
        format!("{:<20} {:<20} b.org\n", "postmaster", "example.com")
    );
    house
        .run(&["vatrn", "-d", "a.org", address])
        .refused(1, "has no domain a.org");
    house
        .run(&["vatrn", "-i", "c.org", "nobody@example.com"])
        .refused(1, "No such user");
    house
        .run(&["vdeluser", address])
        .refused(100, "not removed");
    house.run(&["vatrn", "-d", "b.org", address]).good();
}

fn operators_have_rights_and_passwords(house: &House) {
    assert_eq!(house.run(&["vpriv", "-s"]).code, 1);
    house.run(&["vpriv", "-i", "vadduser", "ann", "*"]).good();
    house
        .run(&["vpriv", "-i", "rm", "ann", "*"])
        .refused(100, "no program");
    house
        .run(&["vpriv", "-m", "vadduser", "ann", "-q 10M *"])
        .good();
    assert_eq!(
        house.run(&["vpriv", "-s", "ann"]).good().out,
        format!("{:<20} --> {:<20} -q 10M *\n", "ann", "vadduser")
    );
    house.run(&["vpriv", "-a", "bob"]).good();
    assert_eq!(
        house
            .run(&["vpriv", "-s", "bob"])
            .good()
            .out
            .lines()
            .count(),
        44
    );
    house.run(&["vpriv", "-D", "bob"]).good();
    house
        .run(&["vpriv", "-d", "vadduser", "bob"])
        .refused(1, "may not run");
    house
        .run(&["mgmtpass", "-u", "ann", "-p", "Other-5678"])
        .refused(1, "No such operator");
    house
        .run_with(&["mgmtpass", "-u", "ann", "-a", "-"], "Secret-1234\n")
        .good();
    house
        .run(&["mgmtpass", "-u", "ann", "-a", "Secret-1234"])
        .refused(100, "exists");
    house.run(&["mgmtpass", "-u", "ann", "-i"]).good();
    let shown = house.run(&["mgmtpass", "-l", "ann"]).good().out;
    assert!(shown.contains("Status          Inactive"), "{shown}");
    let json = house.run(&["mgmtuser", "-l", "--json"]).good().out;
    assert!(
        json.contains("\"active\": false") && !json.contains('$'),
        "{json}"
    );
}

fn file_systems_have_room(house: &House) {
    assert_eq!(house.run(&["vfstab", "-b"]).code, 1);
    house
        .run(&[
            "vfstab", "-i", "-n", "10", "-q", "1048576", "-m", "h", "/home",
        ])
        .good();
    house
        .run(&["vfstab", "-i", "-n", "10", "-q", "1", "-m", "h", "/home"])
        .refused(100, "exists");
    house.run(&["vfstab", "-l", "/"]).good();
    let shown = house.run(&["vfstab", "-s", "-m", "h"]).good().out;
    let mut lines = shown.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        header.join(" "),
        "File System Host Status Max Users Cur Users Max Size Cur Size Load"
    );
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        row,
        [
            "/home", "h", "ONLINE", "10", "0", "1024", "Kb", "0", "Kb", "0.1000"
        ]
    );
    assert_eq!(
        house.run(&["vfstab", "-b"]).good().out,
        "Filesystem Selected /\n"
    );
    house.run(&["vfstab", "-o", "0", "/"]).good();
    assert_eq!(house.run(&["vfstab", "-b"]).code, 1);
    house.run(&["vfstab", "-d", "-m", "h", "/home"]).good();
    house
        .run(&["vfstab", "-d", "-m", "h", "/home"])
        .refused(1, "No such file system");
    assert_eq!(house.run(&["vfstab", "-i", "relative"]).code, 100);
}

fn counters_are_shown(house: &House) {
    let shown = house.run(&["printdir", "example.com"]).good().out;
    for line in [
        "Dir Control     = /",
        "cur users       = 1\n",
        "Users per level = 100\n",
        "level_end2      = 61\n",
    ] {
        assert!(shown.contains(line), "{line} {shown}");
    }
    assert!(
        house
            .run(&["printdir", "--json", "example.com"])
            .good()
            .out
            .contains("\"cur_users\": 1")
    );
    house
        .run(&["printdir", "nowhere.org"])
        .refused(1, "does not exist");
}

fn aliases_move_between_files_and_the_table(house: &House) {
    house.write(
        "domains/example.com/.qmail-a:b",
        "# mine\n&x@y.org\n\n| program 'x'\n",
    );
    house.write("domains/example.com/.qmail-lists-default", "&z@y.org\n");
    for _ in 0..2 {
        house.run(&["vcalias", "example.com"]).good();
    }
    assert_eq!(
        house.run(&["valias", "-s", "a.b@example.com"]).good().out,
        "a.b@example.com -> &x@y.org\na.b@example.com -> | program 'x'\n"
    );
    assert!(house.path("domains/example.com/.qmail-a:b").exists());
    house.run(&["vcalias", "--remove", "example.com"]).good();
    assert!(!house.path("domains/example.com/.qmail-a:b").exists());
    assert!(
        house
            .path("domains/example.com/.qmail-lists-default")
            .exists()
    );
    house.run(&["vcaliasrev", "example.com"]).good();
    assert_eq!(
        house.text("domains/example.com/.qmail-a:b"),
        "&x@y.org\n| program 'x'\n"
    );
    let mode = house
        .path("domains/example.com/.qmail-abuse")
        .metadata()
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn an_answer_comes_and_goes(house: &House) {
    let home = house.path("mail/L2P/example.com/postmaster");
    let shown = home.display().to_string();
    let text = "Subject: away\n\nBack soon.\n";
    house
        .run_with(&["vmoduser", "-l", "+", "postmaster@example.com"], text)
        .good();
    assert_eq!(
        std::fs::read_to_string(home.join(".qmail")).unwrap(),
        format!(
            "| {}/bin/autoresponder -q {shown}/.vacation.msg {shown}/.vacation.dir\n{shown}/Maildir/\n",
            house.path("").to_str().unwrap().trim_end_matches('/')
        )
    );
    assert_eq!(
        std::fs::read_to_string(home.join(".vacation.msg")).unwrap(),
        text
    );
    assert!(home.join(".vacation.dir").is_dir());
    house.write("text", text);
    let file = house.path("text");
    house
        .run(&["vacation", "postmaster@example.com", file.to_str().unwrap()])
        .good();
    for _ in 0..2 {
        house
            .run(&["vacation", "postmaster@example.com", "-"])
            .good();
        for name in [".qmail", ".vacation.msg", ".vacation.dir"] {
            assert!(!home.join(name).exists());
        }
    }
    // Lines of the user's own are nobody's to overwrite.
    let own = home.strip_prefix(house.path("")).unwrap().join(".qmail");
    house.write(own.to_str().unwrap(), "&x@y.org\n");
    for text in ["-", file.to_str().unwrap()] {
        house
            .run(&["vacation", "postmaster@example.com", text])
            .refused(100, "lines of its own");
    }
    house
        .run(&["vacation", "nobody@example.com", "-"])
        .refused(1, "No such user");
    house
        .run(&["vacation", "postmaster@example.com", "/nowhere"])
        .refused(111, "/nowhere");
}

fn new_mail(house: &House, home: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(house.path(home).join("Maildir/new")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn bulletins_are_copied_linked_and_kept(house: &House) {
    for name in ["ann", "joe", "off"] {
        house
            .run(&["vadduser", &format!("{name}@example.com"), "Secret-1234"])
            .good();
    }
    house.run(&["vmoduser", "-n", "off@example.com"]).good();
    house.write("note", "From: boss@example.com\nSubject: news\n\ntext\n");
    house.write("not", "joe@example.com\n");
    let (note, not) = (house.path("note"), house.path("not"));
    let (note, not) = (note.to_str().unwrap(), not.to_str().unwrap());
    let ann = "mail/A2E/example.com/ann";
    let (joe, off) = ("mail/F2K/example.com/joe", "mail/L2P/example.com/off");
    house
        .run(&["vbulletin", "-n", "-f", note, "example.com"])
        .good();
    assert!(new_mail(house, ann).is_empty());
    house
        .run(&["vbulletin", "-f", note, "-e", not, "example.com"])
        .good();
    let mail = new_mail(house, ann);
    assert_eq!(mail.len(), 1);
    let text = std::fs::read_to_string(&mail[0]).unwrap();
    assert_eq!(
        text,
        "Delivered-To: ann@example.com\nTo: ann@example.com\nFrom: boss@example.com\nSubject: news\n\ntext\n"
    );
    assert!(
        mail[0]
            .to_str()
            .unwrap()
            .ends_with(&format!(",S={}", text.len()))
    );
    assert!(new_mail(house, joe).is_empty() && new_mail(house, off).is_empty());
    std::fs::remove_file(&mail[0]).unwrap();
    house
        .run(&["vbulletin", "-h", "-f", note, "example.com"])
        .good();
    let (one, other) = (new_mail(house, ann), new_mail(house, joe));
    assert_eq!(
        one[0].metadata().unwrap().ino(),
        other[0].metadata().unwrap().ino()
    );
    house
        .run(&["vbulletin", "-a", "-f", note, "example.com"])
        .good();
    assert!(
        house
            .path("domains/example.com/bulk_mail/note,all")
            .is_file()
    );
    house
        .run(&["vbulletin", "-S", not, "-f", note, "example.com"])
        .good();
    house
        .run(&["vbulletin", "-f", "relative", "example.com"])
        .refused(100, "absolute");
    house
        .run(&["vbulletin", "-f", note, "nobody@example.com"])
        .refused(1, "No such user");
}

fn stale_users_are_reported_then_inactivated_then_deleted(house: &House) {
    for name in ["ann", "joe"] {
        house
            .run(&["vadduser", &format!("{name}@example.com"), "Secret-1234"])
            .good();
    }
    let cur = house.path("mail/F2K/example.com/joe/Maildir/cur");
    let old = SystemTime::now() - Duration::from_secs(100 * 86_400);
    let unread = "mail/A2E/example.com/ann/Maildir/new";
    house.write(&format!("{unread}/old"), "x");
    house.write(&format!("{unread}/young"), "x");
    let aged = std::fs::File::options()
        .write(true)
        .open(house.path(unread).join("old"))
        .unwrap();
    aged.set_modified(old).unwrap();
    std::fs::File::open(&cur)
        .unwrap()
        .set_modified(old)
        .unwrap();
    // Everybody was added today: nobody is stale by days, all by none.
    assert_eq!(
        house
            .run(&["vdeloldusers", "-d", "example.com", "-u", "-1", "-r"])
            .good()
            .out,
        ""
    );
    let report = house
        .run(&[
            "vdeloldusers",
            "-d",
            "example.com",
            "-a",
            "0",
            "-u",
            "-1",
            "-r",
        ])
        .good()
        .out;
    assert_eq!(
        report,
        "ann@example.com 0 days inactivated\njoe@example.com 0 days inactivated\n"
    );
    assert!(
        house
            .run(&["vuserinfo", "joe@example.com"])
            .good()
            .out
            .contains("Not yet Inactivated")
    );
    house
        .run(&["vdeloldusers", "-d", "example.com", "-c"])
        .good();
    assert!(!house.path(unread).join("old").exists());
    assert!(house.path(unread).join("young").exists());
    house
        .run(&["vdeloldusers", "-d", "example.com", "-a", "0", "-u", "-1"])
        .good();
    assert!(
        !house
            .run(&["vuserinfo", "joe@example.com"])
            .good()
            .out
            .contains("Not yet Inactivated")
    );
    house.run(&["vuserinfo", "postmaster@example.com"]).good();
    house
        .run(&["vdeloldusers", "-d", "example.com", "-a", "0", "-p", "-f"])
        .good();
    house
        .run(&["vuserinfo", "joe@example.com"])
        .refused(1, "No such user");
    assert!(!cur.exists());
    house.run(&["vuserinfo", "postmaster@example.com"]).good();
    assert_eq!(
        house
            .run(&["vdeloldusers", "-d", "example.com", "-m", "../x"])
            .code,
        100
    );
}

fn homes_are_spread_again(house: &House) {
    for name in ["a1", "a2", "a3"] {
        house
            .run(&["vadduser", &format!("{name}@example.com"), "Secret-1234"])
            .good();
    }
    house.write("mail/A2E/example.com/a2/Maildir/new/mail", "x");
    let said = house
        .run(&["vreorg", "-d", "example.com", "-r", "-l", "2"])
        .good()
        .out;
    assert_eq!(said, "done 4 users\n");
    for (name, home) in [("a1", "a1"), ("a2", "0/a2"), ("a3", "0/a3")] {
        let home = house.path("mail/A2E/example.com").join(home);
        assert!(home.join("Maildir/cur").is_dir(), "{home:?}");
        let shown = house
            .run(&["vuserinfo", "-d", &format!("{name}@example.com")])
            .good()
            .out;
        assert_eq!(shown, format!("dir           : {}\n", home.display()));
    }
    assert!(
        house
            .path("mail/A2E/example.com/0/a2/Maildir/new/mail")
            .is_file()
    );
    assert!(std::fs::symlink_metadata(house.path("mail/A2E/example.com/a2")).is_err());
    let shown = house.run(&["printdir", "example.com"]).good().out;
    assert!(
        shown.contains("cur users       = 3\ndir prefix      = 0\n"),
        "{shown}"
    );
}

fn names_that_mean_harm_are_refused_everywhere(house: &House) {
    let before = house.tree();
    let long = "x".repeat(5000);
    for name in [
        "../x",
        "a'; DROP TABLE indimail; --",
        "a\nb",
        "a b",
        "\u{fc}\u{1f600}",
        "",
        ".",
        "A",
        "-x",
        &long,
    ] {
        for command in [
            &["vlimit", "-P", "1"][..],
            &["vcalias"],
            &["vcaliasrev"],
            &["printdir"],
            &["vreorg", "-d"],
            &["vdeloldusers", "-u", "-1", "-d"],
            &["vipmap", "-i", "192.0.2.1"],
            &["vrenamedomain", "example.com"],
            &["vserverinfo", "-D"],
        ] {
            let mut arguments = command.to_vec();
            if !command.last().is_some_and(|last| last.starts_with('-')) {
                arguments.push("--");
            }
            arguments.push(name);
            let ran = house.run(&arguments);
            assert!(matches!(ran.code, 1 | 100), "{arguments:?} {ran:?}");
            assert!(!ran.err.contains("panicked"), "{ran:?}");
        }
    }
    assert_eq!(house.tree(), before);
    house.run(&["vuserinfo", "postmaster@example.com"]).good();
}

#[test]
fn a_fifo_nobody_serves_is_no_answer() {
    let house = House::with_domain();
    house
        .run(&["inquerytest", "-q", "3", "postmaster@example.com"])
        .refused(111, "does inlookup -f run?");
    assert_eq!(
        house.run(&["inquerytest", "-q", "8", "x@example.com"]).code,
        100
    );
}
