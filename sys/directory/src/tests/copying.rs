//! A site that moves from one database to another.

use super::*;

/// Everything a site can have, some of it awkward.
fn furnish(site: &Site) {
    let directory = &site.directory;
    let placement = Placement::below(site.home.path(), 2).unwrap();
    for name in ["joe", "ann", "bob", "cid"] {
        directory.add_user(&user(name), &placement).unwrap();
    }
    let odd = User {
        gecos: "J\u{fc}rgen 'the' \\ \"quote\"".to_owned(),
        active: false,
        scram: Some("{CRAM}x".to_owned()),
        gid_flags: flags::NO_POP,
        quota: "10M".to_owned(),
        ..user("odd")
    };
    directory.add_user(&odd, &at()).unwrap();
    for line in [
        "&z@example.com",
        "&a@example.com",
        "| program",
        "&m@example.com",
    ] {
        directory.add_alias(&alias("list", line)).unwrap();
    }
    directory.record_auth(&odd, "imap", "192.0.2.1", 7).unwrap();
    directory.mark_over_quota(&user("joe"), u64::MAX).unwrap();
    directory
        .delete_user("bob", "example.com", Some(&placement))
        .unwrap();
}

fn all_of(directory: &Directory) -> (Vec<User>, Vec<String>, Vec<LastAuth>) {
    (
        directory.users("example.com").unwrap(),
        directory.aliases("list", "example.com").unwrap(),
        directory.last_auth(&user("odd")).unwrap(),
    )
}

#[test]
fn a_site_moves_to_a_server_and_back_with_everything() {
    let (here, there) = (Site::on_sqlite(), Site::on_mariadb());
    furnish(&here);
    let mut told = Vec::new();
    let counts = copy::copy(&here.directory, &there.directory, |table, done, total| {
        assert!(done <= total);
        told.push(table.to_owned());
    })
    .unwrap();
    assert!(counts.iter().all(|count| count.source == count.target));
    assert!(
        counts
            .iter()
            .any(|count| count.table == "indibak" && count.target == 1)
    );
    assert!(told.contains(&"valias".to_owned()));
    assert_eq!(all_of(&here.directory), all_of(&there.directory));
    // The trees go on where they were.
    let placement = Placement::below(here.home.path(), 2).unwrap();
    let next = |site: &Site| {
        site.directory
            .add_user(&user("dan"), &placement)
            .unwrap()
            .dir
    };
    assert_eq!(next(&here), next(&there));
    let back = Site::on_sqlite();
    copy::copy(&there.directory, &back.directory, |_, _, _| ()).unwrap();
    assert_eq!(all_of(&there.directory), all_of(&back.directory));
}

#[test]
fn rows_that_are_there_are_never_mixed_with_others() {
    let (here, there) = (Site::on_sqlite(), Site::on_mariadb());
    furnish(&here);
    there.directory.add_user(&user("zoe"), &at()).unwrap();
    let refused = copy::copy(&here.directory, &there.directory, |_, _, _| ());
    assert!(
        matches!(refused, Err(copy::CopyError::NotEmpty { rows: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(there.directory.count_users("example.com").unwrap(), 1);
}

#[test]
fn a_copy_that_fails_leaves_nothing_behind() {
    let (here, there) = (Site::on_sqlite(), Site::on_mariadb());
    furnish(&here);
    // For the server this is the same name as one that is there.
    here.directory
        .write(|session| user_rows::insert(session, &user("j\u{f3}e"), 1))
        .unwrap();
    let refused = copy::copy(&here.directory, &there.directory, |_, _, _| ());
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("indimail"), "{error}");
    let counts = copy::counts(&there.directory).unwrap();
    assert!(counts.iter().all(|(_, rows)| *rows == 0), "{counts:?}");
}
