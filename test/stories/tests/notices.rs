//! What senders asked to be told (RFC 3461), between us and Debian's Postfix.

use std::process::Command;

use testkit::{Builder, Dns, Installation, Postfix, run};

/// Prints the fields of a report as Python's email package reads them.
const READ: &str = r#"
import email, sys
from email import policy
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=policy.default)
print(message.get_content_type(), message.get_param("report-type"))
for part in message.walk():
    assert not part.defects, part.defects
    if part.get_content_type() == "message/delivery-status":
        for block in part.get_payload():
            for name, value in block.items():
                print(f"{name.lower()}: {value}")
"#;

fn fields(report: &str) -> String {
    let mut python = Command::new("python3");
    let read = run(python.args(["-c", READ]), report.as_bytes()).good().out;
    let kind = "multipart/report delivery-status\n";
    assert!(read.starts_with(kind), "{read}\nof {report}");
    read
}

/// An installation for example.org, with ann.
fn server(dns: &Dns) -> Installation {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    setup.start()
}

/// Postfix for `foreign.example`; each sends to the other.
fn both(dns: &Dns) -> (Installation, Postfix) {
    let server = server(dns);
    let relay = format!("[127.0.0.1]:{}", server.port(25));
    let foreign = Postfix::start("foreign.example", &relay);
    let route = format!("foreign.example:127.0.0.1:{}\n", foreign.port);
    server.control("smtproutes", &route);
    (server, foreign)
}

#[test]
fn postfix_hears_that_its_user_was_delivered_here() {
    let dns = Dns::start(&[]);
    let (server, foreign) = both(&dns);
    foreign.send_with(
        &["-N", "success", "-V", "envelope+1", "-R", "hdrs"],
        "bob@foreign.example",
        "ann@example.org",
        "Subject: did it arrive?\n\nhello\n",
    );
    server.wait_for_messages("ann", 1);
    let report = foreign.wait_for_messages("bob", 1).remove(0);
    let fields = fields(&report);
    for expected in [
        "original-envelope-id: envelope+1\n",
        "original-recipient: rfc822; ann@example.org\n",
        "final-recipient: rfc822; ann@example.org\n",
        "action: delivered\n",
        "status: 2.0.0\n",
        "arrival-date: ",
    ] {
        assert!(fields.contains(expected), "no {expected:?} in {fields}");
    }
    assert!(report.contains("Subject: did it arrive?"), "{report}");
    // The report is a notification: nobody is to be told of its fate.
    server.wait_for_log("deliver.25", "notice msg ");
}

#[test]
fn postfix_tells_our_user_and_so_we_need_not() {
    let dns = Dns::start(&[]);
    let (server, foreign) = both(&dns);
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-i", "-N", "success,failure", "-V", "ours 2"]);
    sendmail.args(["-f", "ann@example.org", "bob@foreign.example"]);
    run(&mut sendmail, b"Subject: over the border\n\nhello\n").good();
    foreign.wait_for_messages("bob", 1);
    let report = server.wait_for_messages("ann", 1).remove(0);
    let fields = fields(&report);
    for expected in [
        "reporting-mta: dns; foreign.foreign.example\n",
        "original-envelope-id: ours 2\n",
        "final-recipient: rfc822; bob@foreign.example\n",
        "action: delivered\n",
    ] {
        assert!(fields.contains(expected), "no {expected:?} in {fields}");
    }
    server.wait_for_log("deliver.25", "accepted_message_and_will_report.");
    assert!(!server.log("deliver.25").contains("notice msg "));
}

#[test]
fn nobody_hears_of_what_nobody_wants_to_hear() {
    let dns = Dns::start(&[]);
    let (server, _foreign) = both(&dns);
    let send = |notify: &str, to: &str| {
        let mut sendmail = server.tool("sendmail");
        sendmail.args(["-i", "-N", notify, "-f", "ann@example.org", to]);
        run(&mut sendmail, b"Subject: into the void\n\nhello\n").good();
    };
    send("never", "carol@nxdomain.example");
    server.wait_for_log("deliver.25", "failure: ");
    server.wait_for_log("deliver.25", "end msg");
    send("failure", "dave@nxdomain.example");
    let bounce = server.wait_for_messages("ann", 1).join("\n");
    let fields = fields(&bounce);
    assert!(
        fields.contains("final-recipient: rfc822; dave@nxdomain.example\n"),
        "{fields}"
    );
    assert!(!bounce.contains("carol"), "{bounce}");
}

#[test]
fn a_forward_is_told_as_one_and_keeps_the_wish_for_silence() {
    let dns = Dns::start(&[]);
    let (server, foreign) = both(&dns);
    let path = server.root().join("domains/example.org/.qmail-alias");
    std::fs::write(&path, "&ann@example.org\n&carol@nxdomain.example\n").unwrap();
    let send = |notify: &str| {
        let text = "Subject: to an alias\n\nhello\n";
        let from = "bob@foreign.example";
        foreign.send_with(&["-N", notify], from, "alias@example.org", text);
    };
    send("never");
    server.wait_for_messages("ann", 1);
    server.wait_for_log("deliver.25", "failure: ");
    send("success");
    server.wait_for_messages("ann", 2);
    let report = foreign.wait_for_messages("bob", 1).remove(0);
    let fields = fields(&report);
    assert!(fields.contains("action: expanded\n"), "{fields}");
    // Neither of them wanted to hear of carol.
    assert!(!server.log("deliver.25").contains("bounce msg "));
    assert_eq!(foreign.messages("bob").len(), 1);
}

#[test]
fn our_bounce_is_understood_by_postfix_and_by_python() {
    let dns = Dns::start(&[]);
    let (server, foreign) = both(&dns);
    // Its user writes to somebody here whose mail is refused too late.
    let dot_qmail = server.root().join("domains/example.org/.qmail-gone");
    std::fs::write(
        &dot_qmail,
        "|echo 'This mailbox was closed. (#5.2.1)'; exit 100\n",
    )
    .unwrap();
    foreign.send_with(
        &["-N", "failure", "-R", "hdrs"],
        "bob@foreign.example",
        "gone@example.org",
        "Subject: anybody?\n\na secret body\n",
    );
    let report = foreign.wait_for_messages("bob", 1).remove(0);
    let fields = fields(&report);
    assert!(
        fields.contains("action: failed\nstatus: 5.2.1\n"),
        "{fields}"
    );
    assert!(
        report.contains("Content-Type: text/rfc822-headers"),
        "{report}"
    );
    assert!(!report.contains("a secret body"), "{report}");
    assert!(report.contains("\nReturn-Path: <>\n") || report.starts_with("Return-Path: <>\n"));
}
