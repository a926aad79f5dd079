//! Commands of clusters: refused where there is none, done where there is.

use crate::house::House;

#[test]
fn where_there_is_no_cluster_they_say_so() {
    let house = House::with_domain();
    for command in [
        &["vhostid", "-s"][..],
        &["vhostid", "-i", "192.0.2.1", "h"],
        &["vsmtp", "-s", "example.com"],
        &["vsmtp", "-i", "25", "h@example.com"],
        &["hostcntrl", "-l"],
        &["hostcntrl", "-i", "h", "joe@example.com"],
        &["hostsync", "-d", "example.com"],
    ] {
        house
            .run(command)
            .refused(100, "not configured for cluster");
    }
    let id = house.run(&["vhostid"]).good().out;
    assert!(
        id.trim().len() == 8 && id.trim().bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(
        house.run(&["vhostid", "-S", "mx1"]).good().out,
        "updated local hostid to mx1\n"
    );
    assert_eq!(house.run(&["vhostid", "-S"]).good().out, "mx1\n");
    house
        .run(&["vhostid", "-S", "../x"])
        .refused(100, "not the name of a host");
    let shown = house.run(&["vserverinfo", "-D", "example.com"]).good().out;
    assert!(
        shown.starts_with("server  : localhost\nmdahost : localhost\n"),
        "{shown}"
    );
    assert_eq!(house.run(&["dbinfo", "-s"]).code, 1);
}

fn clustered() -> House {
    let house = House::on_mariadb();
    house.name_server("host.cntrl");
    house.name_server("host.master");
    let name = format!("{}\n", testkit::Mariadb::new_name());
    house.write("control/cntrl_database", &name);
    house.write("control/hostid", "here\n");
    house.administer(&format!("CREATE DATABASE {name}"));
    house
}

#[test]
fn hosts_ports_and_users_of_a_cluster_are_kept() {
    let house = clustered();
    assert_eq!(house.run(&["vhostid", "-s"]).code, 1);
    house.run(&["vhostid", "-i", "192.0.2.1", "here"]).good();
    house
        .run(&["vhostid", "-i", "192.0.2.1", "here"])
        .refused(100, "exists");
    house.run(&["vhostid", "-i", "192.0.2.2", "there"]).good();
    assert_eq!(house.run(&["vhostid", "-s"]).good().out.lines().count(), 2);
    house
        .run(&["vsmtp", "-i", "2525", "here@example.com"])
        .good();
    assert_eq!(
        house.run(&["vsmtp", "-s", "example.com"]).good().out,
        format!("{:<15} here@example.com 2525\n", "*")
    );
    house
        .run(&["hostcntrl", "-i", "there", "*@example.com"])
        .good();
    house
        .run(&["hostcntrl", "-i", "there", "*@example.com"])
        .refused(1, "exists");
    house
        .run(&["hostcntrl", "-i", "nowhere", "x@example.com"])
        .refused(100, "No such host");
    house
        .run(&["hostcntrl", "-i", "here", "joe@example.com"])
        .good();
    house
        .run(&["hostcntrl", "-m", "there", "joe@example.com"])
        .good();
    let shown = house
        .run(&["hostcntrl", "-s", "joe@example.com"])
        .good()
        .out;
    assert!(shown.starts_with(&format!(
        "{:<20} {:<20} {:<9} {:<15} Added on\n",
        "User", "Domain", "Host ID", "IP Address"
    )));
    let row = shown.lines().nth(1).unwrap();
    assert!(
        row.starts_with(&format!(
            "{:<20} {:<20} {:<9} {:<15} ",
            "joe", "example.com", "there", "192.0.2.2"
        )),
        "{shown}"
    );
    house.run(&["hostcntrl", "-d", "joe@example.com"]).good();
    house
        .run(&["hostcntrl", "-d", "joe@example.com"])
        .refused(1, "No such user");
}

#[test]
fn what_was_changed_alone_is_told_later_and_replaces_nobody() {
    let house = clustered();
    house
        .run(&["hostsync", "-d", "example.com"])
        .refused(100, "not distributed");
    house
        .run(&[
            "dbinfo",
            "-i",
            "-d",
            "example.com",
            "-c",
            "-S",
            "10.0.0.5",
            "-m",
            "192.0.2.1",
            "-P",
            "secret",
        ])
        .good();
    let shown = house.run(&["dbinfo", "-s"]).good().out;
    assert!(
        shown.contains("domain         example.com - Distributed\n"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
    assert!(house.text("control/mcdinfo").contains("pass      secret\n"));
    for name in ["ann", "joe"] {
        house
            .run(&["vadduser", &format!("{name}@example.com"), "Secret-1234"])
            .good();
    }
    house.run(&["vhostid", "-i", "192.0.2.2", "there"]).good();
    house
        .run(&["hostcntrl", "-i", "there", "joe@example.com"])
        .good();
    let database = house.text("control/mysql_database");
    house.administer(&format!(
        "UPDATE {}.indimail SET pw_uid = 2 WHERE pw_name IN ('ann', 'joe')",
        database.trim()
    ));
    house
        .run(&["hostsync", "-d", "example.com"])
        .refused(1, "joe@example.com: is on host there");
    let uid = |name: &str| {
        house
            .run(&["vuserinfo", "-u", &format!("{name}@example.com")])
            .good()
            .out
    };
    assert_eq!(uid("ann"), "uid           : 1\n");
    assert_eq!(uid("joe"), "uid           : 2\n");
    let shown = house
        .run(&["hostcntrl", "-s", "ann@example.com"])
        .good()
        .out;
    assert!(shown.contains(" here "), "{shown}");
    assert!(
        house
            .run(&["hostcntrl", "-s", "joe@example.com"])
            .good()
            .out
            .contains(" there ")
    );
}
