//! Users come, change and go.

use directory::Directory;
use directory::password::{self, Verdict};

use crate::house::House;

fn find(house: &House, name: &str) -> directory::User {
    Directory::open(&house.path("db/indimail.db"))
        .unwrap()
        .find_user(name, "example.com")
        .unwrap()
        .unwrap()
}

#[test]
fn a_new_user_is_shown_in_full() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    let shown = house.run(&["vuserinfo", "joe@example.com"]).good().out;
    let home = house.path("mail/F2K/example.com/joe");
    for line in [
        "name          : joe@example.com\n",
        "passwd        : $argon2id$",
        "uid           : 1\n",
        "gid           : 0\n                -all services available\n",
        "gecos         : joe\n",
        &format!("dir           : {}\n", home.display()),
        "quota         : unlimited\n",
        "Added On      : (127.0.0.1) ",
        "last  auth    : Not yet logged in\n",
        "PassChange    : Not yet Changed\n",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(home.join("Maildir/new").is_dir());
    let one = house
        .run(&["vuserinfo", "-d", "joe@example.com"])
        .good()
        .out;
    assert_eq!(one, format!("dir           : {}\n", home.display()));
    let json = house
        .run(&["vuserinfo", "--json", "joe@example.com"])
        .good()
        .out;
    assert!(json.contains("\"hash\": \"argon2\"") && !json.contains("$argon2id"));
    house
        .run(&["vuserinfo", "ann@example.com"])
        .refused(1, "ann@example.com: No such user");
}

#[test]
fn names_that_would_do_harm_are_refused() {
    let house = House::with_domain();
    let before = house.tree();
    house
        .run(&["vadduser", "postmaster@example.com", "x"])
        .refused(100, "exists");
    house
        .run(&["vadduser", "Joe@example.com", "x"])
        .refused(100, "email [Joe@example.com] has an uppercase character");
    for name in [
        ".joe", "a..b", "a:b", "../x", "a/b", "a b", "a'b", "a;b", "$(id)", "a\nb", "",
    ] {
        let ran = house.run(&["vadduser", "--", &format!("{name}@example.com"), "x"]);
        assert!(ran.code == 100 || ran.code == 1, "{name:?} {ran:?}");
        let ran = house.run(&["vdeluser", "--", &format!("{name}@example.com")]);
        assert!(ran.code == 100 || ran.code == 1, "{name:?} {ran:?}");
    }
    house
        .run(&["vadduser", "joe@elsewhere.org", "x"])
        .refused(1, "domain elsewhere.org does not exist");
    assert_eq!(house.tree(), before);
}

#[test]
fn passwords_come_from_many_places_and_are_never_stored_in_the_clear() {
    let house = House::with_domain();
    house
        .run_with(&["vadduser", "a@example.com"], "from stdin\n")
        .good();
    house.write("word", "from file\nsecond line\n");
    let file = house.path("word");
    let file = file.to_str().unwrap();
    house
        .run(&["vadduser", "--password-file", file, "b@example.com"])
        .good();
    let ran = house.run(&["vadduser", "-r", "16", "c@example.com"]).good();
    let generated = ran
        .out
        .lines()
        .find_map(|l| l.strip_prefix("Password is "))
        .unwrap();
    assert_eq!(generated.len(), 16);
    house
        .run(&[
            "vadduser",
            "-e",
            "e@example.com",
            "$1$saltsalt$y2UJgJjIHofTbhJ0hhfFW/",
        ])
        .good();
    for (name, word) in [
        ("a", "from stdin"),
        ("b", "from file"),
        ("c", generated),
        ("e", "password12"),
    ] {
        let user = find(&house, name);
        let verdict = password::check(word.as_bytes(), &user.password_hash);
        assert_ne!(verdict, Verdict::Mismatch, "{name}");
    }
    assert!(
        find(&house, "a")
            .scram
            .unwrap()
            .starts_with("{SCRAM-SHA-256}4096,")
    );
    let bytes: Vec<u8> = ["", "-wal"]
        .iter()
        .flat_map(|end| {
            std::fs::read(house.path(&format!("db/indimail.db{end}"))).unwrap_or_default()
        })
        .collect();
    assert!(!bytes.windows(10).any(|window| window == b"from stdin"));
    house
        .run_with(&["vadduser", "d@example.com"], "")
        .refused(100, "password is empty");
    house
        .run(&["vadduser", "-e", "d@example.com", "clear"])
        .refused(100, "no hash");
    house
        .run(&["vadduser", "-C", "d@example.com", "x"])
        .refused(100, "cram_md5");
    house.write("control/cram_md5", "1\n");
    house.run(&["vadduser", "d@example.com", "for cram"]).good();
    assert!(find(&house, "d").scram.unwrap().ends_with(":for cram"));
}

#[test]
fn a_new_password_replaces_the_old_one() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    let before = find(&house, "joe");
    house
        .run(&["vpasswd", "joe@example.com", "Other-5678"])
        .good();
    let after = find(&house, "joe");
    assert_ne!(before.scram, after.scram);
    assert_eq!(
        password::check(b"Other-5678", &after.password_hash),
        Verdict::Match
    );
    assert_eq!(
        password::check(b"Secret-1234", &after.password_hash),
        Verdict::Mismatch
    );
    house
        .run(&["vpasswd", "ann@example.com", "x"])
        .refused(1, "No such user");
    house.run(&["vmoduser", "-d", "joe@example.com"]).good();
    house
        .run(&["vpasswd", "joe@example.com", "x"])
        .refused(100, "can not be changed");
}

#[test]
fn users_are_changed_in_every_way() {
    let house = House::with_domain();
    let joe = "joe@example.com";
    house
        .run(&["vadduser", "-q", "5000", "-c", "Joe", joe, "Secret-1234"])
        .good();
    house
        .run(&["vmoduser", "-q", "10000000S,1000C", joe])
        .good();
    let shown = house.run(&["vuserinfo", "-q", joe]).good().out;
    assert!(
        shown.starts_with("quota         : 10000000S,1000C [9.00] MiB\n"),
        "{shown}"
    );
    house.run(&["vmoduser", "-q", "+1000", joe]).good();
    assert_eq!(find(&house, "joe").quota, "10001000S,1000C");
    house.run(&["vmoduser", "-q", "-1000", joe]).good();
    house.run(&["vmoduser", "-q", "NOQUOTA", joe]).good();
    assert_eq!(find(&house, "joe").quota, "NOQUOTA");
    house.run(&["vmoduser", "-p", "-i", joe]).good();
    let shown = house.run(&["vuserinfo", "-g", joe]).good().out;
    assert_eq!(
        shown,
        "gid           : 10\n                -pop access closed\n                -imap access closed\n"
    );
    house.run(&["vmoduser", "-t", "-p", "-s", joe]).good();
    assert_eq!(find(&house, "joe").gid_flags, 0x108);
    house.run(&["vmoduser", "-x", joe]).good();
    assert_eq!(find(&house, "joe").gid_flags, 0);
    house.run(&["vmoduser", "-n", "-c", "Joseph", joe]).good();
    assert!(!find(&house, "joe").active);
    assert_eq!(find(&house, "joe").gecos, "Joseph");
    house.run(&["vmoduser", "-n", joe]).good();
    assert!(find(&house, "joe").active);
    house
        .run(&["vmoduser", "-n", "postmaster@example.com"])
        .good();
    assert!(find(&house, "postmaster").active);
    house
        .run(&["vmoduser", "-c", "a:b", joe])
        .refused(100, "colon");
    house
        .run(&["vmoduser", "-D", "../x", joe])
        .refused(100, "folder");
}

#[test]
fn a_deleted_user_takes_its_mail_and_aliases_along() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    house
        .run(&["valias", "-i", "&joe@example.com", "sales@example.com"])
        .good();
    house.write("domains/example.com/.qmail-joe", "&x@y.org\n");
    let tracked = house.run(&["valias", "-S", "joe@example.com"]).good().out;
    assert_eq!(tracked, "sales@example.com -> &joe@example.com\n");
    house.run(&["vdeluser", "joe@example.com"]).good();
    assert!(!house.path("mail/F2K/example.com/joe").exists());
    assert!(!house.path("domains/example.com/.qmail-joe").exists());
    assert_eq!(house.run(&["valias", "-s", "sales@example.com"]).code, 1);
    house
        .run(&["vdeluser", "joe@example.com"])
        .refused(1, "No such user");
    house
        .run_with(&["vdeluser", "postmaster@example.com"], "n\n")
        .refused(100, "not removed");
    house.run(&["vuserinfo", "postmaster@example.com"]).good();
    house
        .run_with(&["vdeluser", "postmaster@example.com"], "y\n")
        .good();
}

#[test]
fn aliases_are_changed_line_by_line() {
    let house = House::with_domain();
    let alias = "s@example.com";
    house.run(&["valias", "-i", " &x@y.org", alias]).good();
    house.run(&["valias", "-i", "| /bin/true", alias]).good();
    house
        .run(&["valias", "-i", "&x@y.org", alias])
        .refused(100, "already");
    house
        .run(&["valias", "-u", "| /bin/true", "-i", "/x/Maildir/", alias])
        .good();
    assert_eq!(
        house.run(&["valias", "-s", alias]).good().out,
        "s@example.com -> &x@y.org\ns@example.com -> /x/Maildir/\n"
    );
    house.run(&["valias", "-d", "&x@y.org", alias]).good();
    house
        .run(&["valias", "-d", "&x@y.org", alias])
        .refused(1, "no line");
    house
        .run(&["valias", "-i", "  ", alias])
        .refused(100, "empty");
    house
        .run(&["valias", "-i", "&a@b\n| rm", alias])
        .refused(100, "control");
    house
        .run(&["valias", "-i", "&a@b", "../x@example.com"])
        .refused(100, "user name");
}

#[test]
fn many_at_once_lose_nothing() {
    let house = House::with_domain();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let house = &house;
            scope.spawn(move || {
                for number in 0..3 {
                    let address = format!("u{writer}x{number}@example.com");
                    house
                        .run(&["vadduser", "-h", "sha-512", &address, "Secret-1234"])
                        .good();
                }
            });
        }
    });
    let shown = house.run(&["vdominfo", "-t", "example.com"]).good().out;
    assert_eq!(shown, "13\n");
}

#[test]
fn usage_errors_end_with_100_and_help_with_0() {
    let house = House::new();
    house.run(&["vadduser"]).refused(100, "Usage");
    house
        .run(&["vadduser", "--nonsense", "a@b"])
        .refused(100, "nonsense");
    house.run(&["nonsense"]).refused(100, "usage");
    for command in [
        "vadddomain",
        "vdeldomain",
        "vadduser",
        "vdeluser",
        "vmoduser",
        "vpasswd",
        "valias",
        "vuserinfo",
        "vdominfo",
    ] {
        let help = house.run(&[command, "--help"]).good();
        assert!(help.out.contains("Exit codes"), "{help:?}");
        assert!(help.err.is_empty());
    }
}

#[test]
fn a_quota_is_set_and_written_where_others_look() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    let sizes = "mail/F2K/example.com/joe/Maildir/maildirsize";
    house.write(sizes, "0S\n         300            2\n");
    let out = house
        .run(&["vsetuserquota", "joe@example.com", "10000000S,1000C"])
        .good()
        .out;
    assert_eq!(out, "usage 300 bytes\n");
    assert_eq!(
        house.text(sizes),
        "10000000S,1000C\n         300            2\n"
    );
    let shown = house
        .run(&["vuserinfo", "-q", "joe@example.com"])
        .good()
        .out;
    assert!(
        shown.starts_with("quota         : 10000000S,1000C [9.00] MiB\n"),
        "{shown}"
    );
    house
        .run(&["vsetuserquota", "joe@example.com", "much"])
        .refused(100, "quota is");
    house
        .run(&["vsetuserquota", "ann@example.com", "10M"])
        .refused(1, "No such user");
}

#[test]
fn a_renamed_user_has_its_mail_and_its_aliases() {
    let house = House::with_domain();
    for user in ["joe", "ann"] {
        let address = format!("{user}@example.com");
        house.run(&["vadduser", &address, "Secret-1234"]).good();
    }
    house
        .run(&["valias", "-i", "&joe@example.com", "sales@example.com"])
        .good();
    house.write("mail/F2K/example.com/joe/Maildir/new/1", "mail");
    house
        .run(&["vrenameuser", "joe@example.com", "ann@example.com"])
        .refused(100, "username ann@example.com exists");
    house
        .run(&["vrenameuser", "bob@example.com", "bab@example.com"])
        .refused(1, "No such user");
    house
        .run(&["vrenameuser", "postmaster@example.com", "boss@example.com"])
        .refused(100, "every domain needs postmaster");
    house
        .run(&["vrenameuser", "joe@example.com", "../x@example.com"])
        .refused(100, "user name");
    house
        .run(&["vrenameuser", "joe@example.com", "zoe@example.com"])
        .good();
    assert_eq!(
        house.text("mail/T2Zsym/example.com/zoe/Maildir/new/1"),
        "mail"
    );
    assert!(!house.path("mail/F2K/example.com/joe").exists());
    assert_eq!(
        find(&house, "zoe").dir,
        house.path("mail/T2Zsym/example.com/zoe")
    );
    let aliases = house.run(&["valias", "sales@example.com"]).good().out;
    assert_eq!(aliases, "sales@example.com -> &zoe@example.com\n");
    let json = house.run(&["valias", "--json", "@example.com"]).good().out;
    assert!(json.contains("\"line\": \"&zoe@example.com\""), "{json}");
}

#[test]
fn a_moved_home_takes_the_mail_along_and_can_be_moved_again() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    house.write("mail/F2K/example.com/joe/Maildir/new/1", "mail");
    let new = house.path("mail/other/example.com/joe");
    let command = ["vmoveuserdir", "joe@example.com", new.to_str().unwrap()];
    let out = house.run(&command).good().out;
    assert!(out.ends_with("done\n"), "{out}");
    assert_eq!(
        house.text("mail/other/example.com/joe/Maildir/new/1"),
        "mail"
    );
    assert_eq!(find(&house, "joe").dir, new);
    assert!(std::fs::symlink_metadata(house.path("mail/F2K/example.com/joe")).is_err());
    // What is there already is nobody's to replace.
    let taken = house.path("mail/L2P/example.com/joe");
    std::fs::create_dir(&taken).unwrap();
    house
        .run(&["vmoveuserdir", "joe@example.com", taken.to_str().unwrap()])
        .refused(100, "exists");
    for bad in ["relative/example.com/joe", "/etc", "/tmp/joe"] {
        house
            .run(&["vmoveuserdir", "joe@example.com", bad])
            .refused(100, "a home is");
    }
    assert_eq!(find(&house, "joe").dir, new);
    house.run(&["vdeluser", "joe@example.com"]).good();
    assert!(!new.exists());
}

#[test]
fn a_group_is_its_members() {
    let house = House::with_domain();
    house
        .run(&["vadduser", "joe@example.com", "Secret-1234"])
        .good();
    house
        .run(&[
            "vgroup",
            "-a",
            "-c",
            "Sales",
            "-r",
            "16",
            "team@example.com",
        ])
        .good();
    assert_eq!(find(&house, "team").gecos, "MailGroup Sales");
    for member in ["joe@example.com", "Bob@Elsewhere.org"] {
        house
            .run(&["vgroup", "-i", member, "team@example.com"])
            .good();
    }
    house
        .run(&["vgroup", "-i", "joe@example.com", "team@example.com"])
        .refused(100, "already");
    house
        .run(&[
            "vgroup",
            "-u",
            "ann@x.org",
            "-o",
            "bob@elsewhere.org",
            "team@example.com",
        ])
        .good();
    let shown = house.run(&["vgroup", "team@example.com"]).good().out;
    assert_eq!(
        shown,
        "team@example.com -> joe@example.com\nteam@example.com -> ann@x.org\n"
    );
    house
        .run(&["vgroup", "-d", "bob@elsewhere.org", "team@example.com"])
        .refused(1, "no member");
    house
        .run(&["vgroup", "-d", "ann@x.org", "team@example.com"])
        .good();
    let json = house
        .run(&["vgroup", "--json", "team@example.com"])
        .good()
        .out;
    assert!(
        json.contains("\"members\": [\n    \"joe@example.com\"\n  ]"),
        "{json}"
    );
    house
        .run(&["vgroup", "joe@example.com"])
        .refused(100, "is not a group");
}

#[test]
fn a_password_for_a_program_is_shown_once() {
    let house = House::with_domain();
    let address = "postmaster@example.com";
    let made = house.run(&["vapppasswd", "-a", "phone", "-s", "imap", address]);
    let out = made.good().out;
    let password = out.trim_end().strip_prefix("Password is ").unwrap();
    let listed = house.run(&["vapppasswd", address]).good().out;
    assert!(listed.starts_with("phone                imap            last used never"));
    let json = house.run(&["vapppasswd", "--json", address]).good().out;
    assert!(json.contains("\"services\": \"imap\""), "{json}");
    assert!(!json.contains(password) && !json.contains("SHA256"));
    house
        .run(&["vapppasswd", "-a", "phone", address])
        .refused(100, "has phone already");
    house
        .run(&["vapppasswd", "-a", "x", "-s", "ftp", address])
        .refused(100, "services are");
    house.run(&["vapppasswd", "-d", "phone", address]).good();
    house
        .run(&["vapppasswd", "-d", "phone", address])
        .refused(1, "has no phone");
}
