//! rblsmtpd, with a name server that knows what a test says.

use std::process::Command;

use testkit::{Dns, Ran, run};

fn rblsmtpd(dns: &Dns, variable: Option<&str>, arguments: &[&str], input: &str) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(super::PROGRAM);
    command
        .arg("rblsmtpd")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("QMAILDIR", directory.path())
        .env("DNSRESOLVER", format!("127.0.0.1:{}", dns.port))
        .env("TCPREMOTEIP", "192.0.2.1");
    if let Some(value) = variable {
        command.env("RBLSMTPD", value);
    }
    run(&mut command, input.as_bytes())
}

const TALK: &str = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nAUTH PLAIN\r\nQUIT\r\n";

// Acceptance 7.
#[test]
fn the_variable_decides_without_lists() {
    let dns = Dns::start(&[]);
    let lists = ["-t", "5", "-r", "none.test", "echo", "in"];
    let refused = rblsmtpd(&dns, Some("-no %IP%"), &lists, TALK);
    assert_eq!(
        refused.out,
        "220 rblsmtpd.indimail\r\n250 rblsmtpd.indimail\r\n250 rblsmtpd.indimail\r\n\
         553 no 192.0.2.1\r\n553 no 192.0.2.1\r\n221 rblsmtpd.indimail\r\n"
    );
    assert!(refused.err.contains("from 192.0.2.1: 553 no 192.0.2.1"));
    assert!(refused.err.contains(": Sender <a@b>") && refused.err.contains(": Recipient <c@d>"));
    assert_eq!(refused.code, 0);
    let later = rblsmtpd(&dns, Some("no\x1b"), &lists, TALK);
    assert!(later.out.contains("451 no?\r\n"), "{}", later.out);
    let once = rblsmtpd(&dns, Some("-no"), &["-t", "0", "-r", "x.test", "true"], "");
    assert_eq!(once.out, "553 no\r\n");
    assert_eq!(rblsmtpd(&dns, Some(""), &lists, "").out, "in\n");
}

#[test]
fn lists_are_asked_in_order() {
    let dns = Dns::start(&[
        "txt-record=1.2.0.192.bad.test,listed\\, really",
        "address=/1.2.0.192.codes.test/127.0.0.2",
        "address=/1.2.0.192.good.test/127.0.0.2",
    ]);
    let ask = |arguments: &[&str]| {
        let all = [&["-t", "0"], arguments, &["echo", "in"]].concat();
        rblsmtpd(&dns, None, &all, "").out
    };
    assert_eq!(ask(&["-r", "none.test"]), "in\n");
    assert!(ask(&["-r", "bad.test"]).starts_with("451 listed"));
    assert!(ask(&["-b", "-r", "bad.test"]).starts_with("553 listed"));
    // Trap 29: what comes later means later lists.
    assert!(ask(&["-r", "bad.test", "-b"]).starts_with("451 listed"));
    assert_eq!(
        ask(&["-b", "-r", "codes.test:see %IP%"]),
        "553 see 192.0.2.1\r\n"
    );
    assert_eq!(ask(&["-a", "good.test", "-r", "bad.test"]), "in\n");
    assert!(ask(&["-r", "bad.test", "-a", "good.test"]).starts_with("451"));
}

#[test]
fn a_list_that_is_down_lets_in_or_refuses_for_now() {
    let dead = Dns::start(&["server=/dead.test/127.0.0.1#1"]);
    let ask = |arguments: &[&str]| rblsmtpd(&dead, None, arguments, "").out;
    assert_eq!(ask(&["-r", "dead.test", "echo", "in"]), "in\n");
    let closed = ask(&["-t", "0", "-b", "-c", "-r", "dead.test", "echo", "in"]);
    assert_eq!(closed, "451 temporary RBL lookup error\r\n");
}

#[test]
fn wrong_usage_is_100() {
    let dns = Dns::start(&[]);
    assert_eq!(rblsmtpd(&dns, None, &["true"], "").code, 100);
    assert_eq!(rblsmtpd(&dns, None, &["-r", "a.test"], "").code, 100);
    assert_eq!(rblsmtpd(&dns, None, &["-y", "x", "true"], "").code, 100);
    assert_eq!(rblsmtpd(&dns, None, &["--help"], "").code, 0);
}
