//! Domains and users come, change and go while the server runs.

use std::process::Command;

use testkit::{Builder, Installation, USER_PASSWORD, run};

use crate::talk::Talk;

fn logs_in(server: &Installation, user: &str, password: &str) -> bool {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure"]);
    curl.arg(format!("imaps://127.0.0.1:{}/INBOX", server.port(993)));
    curl.arg("--user").arg(format!("{user}:{password}"));
    run(curl.args(["--request", "NOOP"]), b"").code == 0
}

fn takes(server: &Installation, address: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO x.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say(&format!("RCPT TO:<{address}>"))
}

#[test]
fn a_new_password_holds_at_once_and_the_old_one_no_more() {
    let server = Installation::start("example.org");
    assert!(logs_in(&server, "ann@example.org", USER_PASSWORD));
    let mut vpasswd = server.tool("vpasswd");
    run(vpasswd.args(["ann@example.org", "another battery 8"]), b"").good();
    assert!(logs_in(&server, "ann@example.org", "another battery 8"));
    assert!(!logs_in(&server, "ann@example.org", USER_PASSWORD));
}

#[test]
fn a_new_domain_takes_mail_without_a_restart() {
    let server = Installation::start("example.org");
    assert!(takes(&server, "carol@second.example").starts_with('5'));
    let mut vadddomain = server.tool("vadddomain");
    run(vadddomain.args(["second.example", USER_PASSWORD]), b"").good();
    let mut vadduser = server.tool("vadduser");
    run(vadduser.args(["carol@second.example", USER_PASSWORD]), b"").good();
    assert!(takes(&server, "carol@second.example").starts_with("250"));
    let mut sendmail = server.tool("sendmail");
    run(
        sendmail.args(["-i", "carol@second.example"]),
        b"Subject: hello\n\nx\n",
    )
    .good();
    server.wait_for_log("deliver.25", "second.example-carol@second.example");
    server.wait_for_log("deliver.25", "success: did_");
    let mut vdeldomain = server.tool("vdeldomain");
    run(vdeldomain.arg("second.example"), b"").good();
    assert!(takes(&server, "carol@second.example").starts_with('5'));
}

#[test]
fn an_alias_delivers_to_its_target_and_a_deleted_user_is_gone() {
    let server = Installation::start("example.org");
    let mut valias = server.tool("valias");
    run(
        valias.args(["-i", "&ann@example.org", "sales@example.org"]),
        b"",
    )
    .good();
    assert!(takes(&server, "sales@example.org").starts_with("250"));
    let mut sendmail = server.tool("sendmail");
    run(
        sendmail.args(["-i", "sales@example.org"]),
        b"Subject: to sales\n\nx\n",
    )
    .good();
    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(message.contains("to sales"), "{message}");
    let mut vdeluser = server.tool("vdeluser");
    run(vdeluser.arg("ann@example.org"), b"").good();
    assert!(takes(&server, "ann@example.org").starts_with("550"));
}

#[test]
fn a_full_mailbox_says_so_and_nothing_is_lost() {
    let server = Installation::start("example.org");
    let mut vmoduser = server.tool("vmoduser");
    run(vmoduser.args(["-q", "20000", "ann@example.org"]), b"").good();
    let big = format!("Subject: big\n\n{}", "0123456789abcdef\n".repeat(2000));
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-i", "-f", "postmaster@example.org", "ann@example.org"]);
    run(&mut sendmail, big.as_bytes()).good();
    let bounce = server.wait_for_messages("postmaster", 1).remove(0);
    assert!(bounce.contains("quota"), "{bounce}");
    assert!(server.messages("ann").is_empty());
}

#[test]
fn too_many_wrong_passwords_stop_an_account_until_it_is_forgiven() {
    let setup = Builder::new("example.org");
    setup.add_user("ann").add_user("bob");
    setup.control("authfailures_account", "3\n");
    let server = setup.start();
    let log_in = |user: &str, password: &str| logs_in(&server, user, password);
    // Bob has been here before, so guesses do not lock him out.
    assert!(log_in("bob@example.org", USER_PASSWORD));
    for user in ["ann@example.org", "bob@example.org"] {
        for guess in ["a", "b", "c"] {
            assert!(!log_in(user, guess));
        }
    }
    assert!(!log_in("ann@example.org", USER_PASSWORD));
    assert!(log_in("bob@example.org", USER_PASSWORD));
    server.wait_for_log("inlookup.infifo", "indimail logins forgive ann@example.org");
    let listed = server.indimail(&["logins"]).good().out;
    assert!(
        listed.contains("ann@example.org  3 wrong passwords"),
        "{listed}"
    );
    let json = server.indimail(&["logins", "--json"]).good().out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{json}");
    server
        .indimail(&["logins", "forgive", "ann@example.org"])
        .good();
    assert!(log_in("ann@example.org", USER_PASSWORD));
    assert_eq!(server.indimail(&["logins", "forgive", "nobody"]).code, 1);
}
