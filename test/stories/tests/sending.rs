//! Users send through the submission ports; nobody else sends anywhere.

use std::process::Command;

use testkit::{Builder, Installation, USER_PASSWORD, run};

use crate::talk::Talk;

fn swaks(server: &Installation, port: u16, options: &[&str]) -> testkit::Ran {
    let mut swaks = Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &server.port(port).to_string(),
    ]);
    swaks.args([
        "--from",
        "ann@example.org",
        "--to",
        "postmaster@example.org",
    ]);
    run(swaks.args(options), b"")
}

#[test]
fn a_user_sends_with_every_mechanism_over_tls() {
    let server = Installation::start("example.org");
    let login = [
        "--auth-user",
        "ann@example.org",
        "--auth-password",
        USER_PASSWORD,
    ];
    for (n, (port, mechanism, tls)) in [
        (587, "PLAIN", "--tls"),
        (587, "LOGIN", "--tls"),
        (465, "PLAIN", "--tls-on-connect"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut options = vec![tls, "--auth", mechanism];
        options.extend(login);
        let ran = swaks(&server, port, &options).good();
        assert!(ran.out.contains("235"), "{mechanism}: {}", ran.out);
        server.wait_for_messages("postmaster", n + 1);
    }
}

/// It needs passwords that can be read back, so it takes two decisions of the
/// administrator: the control file, and `-C` for each user.
#[test]
fn cram_md5_works_for_those_who_asked_for_it() {
    let setup = Builder::new("example.org");
    setup.add_user("bob").control("cram_md5", "1\n");
    let add = ["-C", "ann@example.org", USER_PASSWORD];
    run(setup.tool("vadduser").args(add), b"").good();
    let server = setup.start();
    let send = |user| {
        let mut options = vec!["--tls", "--auth", "CRAM-MD5", "--from", user];
        options.extend(["--auth-user", user, "--auth-password", USER_PASSWORD]);
        swaks(&server, 587, &options)
    };
    let ran = send("ann@example.org").good();
    assert!(ran.out.contains("AUTH CRAM-MD5"), "{}", ran.out);
    server.wait_for_messages("postmaster", 1);
    let ran = send("bob@example.org");
    assert!(ran.out.contains("535"), "{}", ran.out);

    let mut python = Command::new("python3");
    python.arg("-c").arg(READ_WITH_CRAM_MD5);
    python.args([&server.port(993).to_string(), USER_PASSWORD]);
    assert_eq!(run(&mut python, b"").good().out, "OK\n");
}

const READ_WITH_CRAM_MD5: &str = "
import imaplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
box = imaplib.IMAP4_SSL('127.0.0.1', int(sys.argv[1]), ssl_context=context)
code, _ = box.login_cram_md5('ann@example.org', sys.argv[2])
print(code)
";

#[test]
fn a_wrong_password_is_refused_and_the_message_too() {
    let server = Installation::start("example.org");
    let wrong = [
        "--tls",
        "--auth",
        "PLAIN",
        "--auth-user",
        "ann@example.org",
        "--auth-password",
        "x",
    ];
    let ran = swaks(&server, 587, &wrong);
    assert_ne!(ran.code, 0);
    assert!(ran.out.contains("535"), "{}", ran.out);
    let ran = swaks(&server, 587, &[]);
    assert!(
        ran.out.contains("530"),
        "unauthenticated submission: {}",
        ran.out
    );
}

#[test]
fn msmtp_and_curl_send_too() {
    let server = Installation::start("example.org");
    let port = server.port(587).to_string();
    let mut msmtp = Command::new("msmtp");
    msmtp.args([
        "--host=127.0.0.1",
        "--port",
        &port,
        "--tls=on",
        "--tls-starttls=on",
    ]);
    msmtp.args([
        "--tls-certcheck=off",
        "--auth=scram-sha-256",
        "--user=ann@example.org",
    ]);
    msmtp.arg(format!("--passwordeval=echo '{USER_PASSWORD}'"));
    msmtp.args(["--from=ann@example.org", "postmaster@example.org"]);
    run(&mut msmtp, b"Subject: from msmtp\n\nhello\n").good();

    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--ssl-reqd"]);
    curl.arg(format!("smtps://127.0.0.1:{}", server.port(465)));
    curl.arg("--user")
        .arg(format!("ann@example.org:{USER_PASSWORD}"));
    curl.args([
        "--mail-from",
        "ann@example.org",
        "--mail-rcpt",
        "postmaster@example.org",
    ]);
    curl.args(["--upload-file", "-"]);
    run(&mut curl, b"Subject: from curl\r\n\r\nhello\r\n").good();

    let messages = server.wait_for_messages("postmaster", 2).join("\n");
    assert!(
        messages.contains("from msmtp") && messages.contains("from curl"),
        "{messages}"
    );
}

#[test]
fn strangers_can_neither_relay_nor_reach_users_who_do_not_exist() {
    let server = Installation::start("example.org");
    let mut talk = Talk::to(server.port(25));
    let greeting = talk.say("EHLO stranger.example");
    for keyword in [
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "STARTTLS",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "DSN",
    ] {
        assert!(
            greeting.contains(keyword),
            "EHLO lacks {keyword}: {greeting}"
        );
    }
    assert!(
        talk.say("MAIL FROM:<bob@foreign.example>")
            .starts_with("250")
    );
    let relay = talk.say("RCPT TO:<carol@elsewhere.example>");
    assert!(
        relay.starts_with("553") || relay.starts_with("550"),
        "{relay}"
    );
    let unknown = talk.say("RCPT TO:<nobody@example.org>");
    assert!(unknown.starts_with("550"), "{unknown}");
    assert!(talk.say("RCPT TO:<ann@example.org>").starts_with("250"));
    let refused = talk.say("RCPT TO:<ann@example.org@elsewhere.example>");
    assert!(refused.starts_with('5'), "{refused}");
}

#[test]
fn an_address_in_the_rules_may_relay() {
    let server = Installation::start("example.org");
    let etc = server.root().join("etc");
    let mut rules = server.tool("tcprules");
    rules
        .arg(etc.join("tcp.smtp.cdb"))
        .arg(etc.join("tcp.smtp.tmp"));
    run(&mut rules, b"127.:allow,RELAYCLIENT=\"\"\n:allow\n").good();
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO here.example");
    talk.say("MAIL FROM:<ann@example.org>");
    assert!(
        talk.say("RCPT TO:<carol@elsewhere.example>")
            .starts_with("250")
    );
}

#[test]
fn a_message_larger_than_databytes_is_refused() {
    let server = Installation::start("example.org");
    server.control("databytes", "1000\n");
    let mut talk = Talk::to(server.port(25));
    let greeting = talk.say("EHLO big.example");
    assert!(greeting.contains("SIZE 1000"), "{greeting}");
    assert!(
        talk.say("MAIL FROM:<a@b.example> SIZE=2000")
            .starts_with("552")
    );
    talk.say("MAIL FROM:<a@b.example>");
    talk.say("RCPT TO:<ann@example.org>");
    assert!(talk.say("DATA").starts_with("354"));
    let reply = talk.raw(&b"0123456789abcdef\r\n".repeat(100)).say(".");
    assert!(reply.starts_with("552"), "{reply}");
    assert!(server.messages("ann").is_empty());
}
