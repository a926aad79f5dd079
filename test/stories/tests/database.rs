//! A site moves from its file to a database server, lives through an outage
//! there, and moves back.

use std::process::Command;
use std::time::Duration;

use testkit::{Builder, Installation, Mariadb, Ran, USER_PASSWORD, run, wait_for};

use crate::talk::Talk;

const LONG: Duration = Duration::from_secs(120);

fn log_in(server: &Installation, user: &str, password: &str) -> Ran {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure"]);
    curl.arg(format!("imaps://127.0.0.1:{}/INBOX", server.port(993)));
    curl.arg("--user").arg(format!("{user}:{password}"));
    run(curl.args(["--request", "NOOP"]), b"")
}

fn rcpt(server: &Installation, address: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say(&format!("RCPT TO:<{address}>"))
}

fn send(server: &Installation, subject: &str) {
    let mut talk = Talk::to(server.port(25));
    for line in [
        "EHLO x.example",
        "MAIL FROM:<bob@foreign.example>",
        "RCPT TO:<ann@example.org>",
        "DATA",
    ] {
        talk.say(line);
    }
    let taken = talk.say(&format!("Subject: {subject}\r\n\r\nx\r\n."));
    assert!(taken.starts_with("250"), "{taken}");
}

fn url(database: &Mariadb, name: &str) -> String {
    format!(
        "mysql://root@localhost/{name}?socket={}",
        database.socket().display()
    )
}

fn migrate(site: &Builder, to: &str, options: &[&str]) -> Ran {
    let mut command = site.tool("indimail");
    command.args(["db", "migrate", "--to", to]).args(options);
    command.arg("--root").arg(site.root());
    run(&mut command, b"")
}

#[test]
fn a_site_moves_to_a_server_and_back_and_an_outage_loses_nothing() {
    let mut database = Mariadb::start(&["innodb-flush-log-at-trx-commit=2"]);
    let site = Builder::new("example.org");
    site.add_user("ann");
    let mut valias = site.tool("valias");
    run(
        valias.args(["-i", "&ann@example.org", "sales@example.org"]),
        b"",
    )
    .good();
    let planned = migrate(&site, &url(&database, "mail"), &["--dry-run"]).good();
    assert!(planned.out.contains("2  indimail"), "{}", planned.out);
    let moved = migrate(&site, &url(&database, "mail"), &[]).good();
    assert!(moved.out.contains("2  indimail"), "{}", moved.out);
    assert!(migrate(&site, &url(&database, "mail"), &[]).code != 0);

    let server = site.start();
    let shown = server.indimail(&["db", "show"]).good();
    assert!(
        shown.out.contains("mysql://root@localhost/mail"),
        "{}",
        shown.out
    );
    let refused = migrate(&server, "sqlite", &[]);
    assert!(refused.err.contains("inlookup runs"), "{}", refused.err);
    send(&server, "one");
    server.wait_for_messages("ann", 1);
    assert_eq!(log_in(&server, "ann@example.org", USER_PASSWORD).code, 0);
    server.add_user("carol");
    assert!(rcpt(&server, "carol@example.org").starts_with("250"));
    assert!(rcpt(&server, "sales@example.org").starts_with("250"));
    assert!(rcpt(&server, "nobody@example.org").starts_with("550"));
    let mut vpasswd = server.tool("vpasswd");
    run(vpasswd.args(["ann@example.org", "another battery 8"]), b"").good();
    assert_eq!(
        log_in(&server, "ann@example.org", "another battery 8").code,
        0
    );
    assert_ne!(log_in(&server, "ann@example.org", USER_PASSWORD).code, 0);

    // What was accepted just before the outage waits; nobody is absent.
    server.svc("-d", "vdeliverd");
    send(&server, "two");
    database.kill();
    server.svc("-u", "vdeliverd");
    assert!(rcpt(&server, "other@example.org").starts_with("451"));
    let mut vadduser = server.tool("vadduser");
    let refused = run(vadduser.args(["dan@example.org", USER_PASSWORD]), b"");
    assert_eq!(refused.code, 111, "{}", refused.err);
    server.wait_for_log("deliver.25", "deferral");
    database.begin();
    wait_for("the directory of users", LONG, || {
        rcpt(&server, "nobody@example.org").starts_with("550")
    });
    server.svc("-a", "qmail-send.25");
    server.wait_for_messages("ann", 2);
    assert_eq!(
        log_in(&server, "ann@example.org", "another battery 8").code,
        0
    );

    // And back, with what has changed meanwhile.
    let mut server = server;
    server.stop();
    let moved = migrate(&server, "sqlite", &["--replace"]).good();
    assert!(moved.out.contains("3  indimail"), "{}", moved.out);
    server.restart();
    assert_eq!(
        log_in(&server, "ann@example.org", "another battery 8").code,
        0
    );
    assert!(rcpt(&server, "carol@example.org").starts_with("250"));
}
