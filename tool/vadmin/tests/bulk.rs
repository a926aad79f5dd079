//! Many users at once.

use directory::Directory;
use directory::password::{self, Verdict};

use crate::house::House;

fn count(house: &House) -> u64 {
    let directory = Directory::open(&house.path("db/indimail.db")).unwrap();
    directory.count_users("example.com").unwrap()
}

#[test]
fn users_of_a_file_are_added_and_bad_lines_are_told_one_by_one() {
    let house = House::with_domain();
    let hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
    let file = format!(
        "address,password,hash,gecos,quota,flags,active\n\
         joe@example.com,Secret-1234,,\"Joe, Jr\",10M,2,\n\
         ann@example.com,,{hash},,,,false\n\
         nopass@example.com,,,,,,\n\
         postmaster@example.com,Secret-1234,,,,,\n\
         ../x@example.com,Secret-1234,,,,,\n\
         Big@example.com,Secret-1234,,,,,\n\
         far@elsewhere.org,Secret-1234,,,,,\n\
         odd@example.com,Secret-1234,,,much,,\n\
         both@example.com,Secret-1234,{hash},,,,\n"
    );
    house.write("users.csv", &file);
    let path = house.path("users.csv");
    let path = path.to_str().unwrap();
    let before = house.tree();
    let dry = house.run(&["vimport", "-n", path]);
    assert_eq!(
        (dry.code, dry.out.as_str()),
        (1, "3 users would be added, 0 there already, 6 refused\n")
    );
    assert_eq!((count(&house), house.tree()), (1, before));
    let ran = house.run(&["vimport", path]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, "3 users added, 0 there already, 6 refused\n")
    );
    for text in [
        "record 4: username postmaster@example.com exists",
        "record 5: user name must begin",
        "record 6: email [Big@example.com] has an uppercase character",
        "record 7: domain elsewhere.org does not exist",
        "record 8: quota is",
        "record 9: both",
    ] {
        assert!(ran.err.contains(text), "{text}\n{}", ran.err);
    }
    let directory = Directory::open(&house.path("db/indimail.db")).unwrap();
    let joe = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!((joe.gecos.as_str(), joe.gid_flags), ("Joe, Jr", 2));
    assert_eq!(joe.quota, "10485760");
    let verdict = password::check(b"Secret-1234", &joe.password_hash);
    assert_ne!(verdict, Verdict::Mismatch);
    let ann = directory.find_user("ann", "example.com").unwrap().unwrap();
    assert!(!ann.active && ann.password_hash == hash);
    // A second time everybody is there.
    let again = house.run(&["vimport", "--skip-existing", path]);
    assert_eq!(again.out, "0 users added, 4 there already, 5 refused\n");
}

#[test]
fn what_is_exported_is_imported_again() {
    let house = House::with_domain();
    for user in ["joe", "ann"] {
        let address = format!("{user}@example.com");
        house
            .run(&[
                "vadduser",
                "-c",
                "A \"name\", or two",
                &address,
                "Secret-1234",
            ])
            .good();
    }
    let public = house.run(&["vexport", "example.com"]).good().out;
    assert!(public.starts_with("address,hash,scram,gecos,quota,flags,active\nann@example.com,,,"));
    assert!(!public.contains("argon2"));
    for (format, name) in [("csv", "u.csv"), ("json", "u.json")] {
        let written = house
            .run(&["vexport", "--secrets", "--format", format, "example.com"])
            .good()
            .out;
        assert_eq!(written.matches("$argon2").count(), 3, "{written}");
        let other = House::with_domain();
        other.write(name, &written);
        let path = other.path(name);
        let ran = other.run(&["vimport", "--skip-existing", path.to_str().unwrap()]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "2 users added, 1 there already, 0 refused\n"),
            "{}",
            ran.err
        );
        let copied = other
            .run(&["vexport", "--secrets", "--format", format, "example.com"])
            .good()
            .out;
        let line_of = |text: &str| {
            let mut lines = text.lines().filter(|line| line.contains("joe@"));
            lines.next().unwrap().to_owned()
        };
        assert_eq!(line_of(&copied), line_of(&written));
    }
}

#[test]
fn many_users_go_through_many_transactions() {
    let house = House::with_domain();
    let mut file = String::from("address\n");
    for number in 0..2500 {
        file += &format!("u{number}@example.com\n");
    }
    let ran = house.run_with(&["vimport", "-"], &file).good();
    assert_eq!(ran.out, "2500 users added, 0 there already, 0 refused\n");
    assert_eq!(count(&house), 2501);
}
