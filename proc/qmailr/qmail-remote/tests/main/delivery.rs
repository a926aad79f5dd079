//! What arrives, and what is reported.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::server::{Manner, serve};

const MESSAGE: &str = "Subject: hi\n\n.dot\nbare\rreturn\nübrig";

/// Runs the program in an installation of its own; its report, NULs shown as
/// `|`.
fn deliver(root: &Path, port: u16) -> String {
    deliver_asking(root, port, "127.0.0.1:1")
}

fn deliver_asking(root: &Path, port: u16, resolver: &str) -> String {
    deliver_with(root, port, &[("DNSRESOLVER", resolver)])
}

fn deliver_with(root: &Path, port: u16, variables: &[(&str, &str)]) -> String {
    fs::create_dir_all(root.join("control")).unwrap();
    fs::write(root.join("control/me"), "client.example\n").unwrap();
    fs::write(
        root.join("control/smtproutes"),
        format!(":127.0.0.1:{port}\n"),
    )
    .unwrap();
    fs::write(root.join("control/timeoutremote"), "5\n").unwrap();
    fs::write(root.join("message"), MESSAGE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_qmail-remote"))
        .args([
            "b.example",
            "ann@a.example",
            "X-Extra: 1\n",
            "20",
            "bob@b.example",
        ])
        .env_clear()
        .env("QMAILDIR", root)
        .env("DNSRESOLVER", "127.0.0.1:1")
        .envs(variables.iter().copied())
        .stdin(fs::File::open(root.join("message")).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().replace('\0', "|")
}

fn run(manners: &'static [Manner]) -> (String, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let (port, server) = serve(manners);
    let report = deliver(directory.path(), port);
    (report, server.join().unwrap())
}

#[test]
fn a_message_arrives_with_clean_line_ends() {
    let (report, said) = run(&[Manner::Plain]);
    assert_eq!(
        report,
        "r|\
         K127.0.0.1 accepted message.\nRemote host said: 250 queued as 7\n|"
    );
    assert_eq!(
        said[0].split_once("DATA\r\n").unwrap(),
        (
            "EHLO client.example\r\nMAIL FROM:<ann@a.example> BODY=8BITMIME\r\n\
             RCPT TO:<bob@b.example>\r\n",
            "X-Extra: 1\r\nSubject: hi\r\n\r\n..dot\r\nbare return\r\nübrig\r\n.\r\nQUIT\r\n"
        )
    );
}

#[test]
fn tls_is_used_when_offered_whoever_the_server_is() {
    let (report, said) = run(&[Manner::Tls]);
    assert!(report.contains("|K127.0.0.1 accepted message."), "{report}");
    let (before, inside) = said[0].split_once("<TLS>\n").unwrap();
    assert_eq!(before, "EHLO client.example\r\nSTARTTLS\r\n");
    assert!(inside.starts_with("EHLO client.example\r\nMAIL FROM"));
}

#[test]
fn broken_tls_leads_to_a_new_connection_without() {
    let (report, said) = run(&[Manner::BrokenTls, Manner::Plain]);
    assert!(report.contains("|K127.0.0.1 accepted message."), "{report}");
    assert!(!said[0].contains("MAIL"));
    assert!(said[1].contains("MAIL"));
}

// Attack 6.
#[test]
fn an_injected_reply_defers() {
    let (report, said) = run(&[Manner::Injects]);
    assert!(report.starts_with("ZConnected to 127.0.0.1 but something was sent in clear"));
    assert!(!said[0].contains("MAIL"));
}

// Attack 9.
#[test]
fn a_listed_host_without_a_good_certificate_gets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let tlshosts = directory.path().join("certs/tlshosts");
    fs::create_dir_all(&tlshosts).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(tlshosts.join("127.0.0.1.pem"), other.cert.pem()).unwrap();
    let (port, server) = serve(&[Manner::Tls]);
    let report = deliver(directory.path(), port);
    assert!(
        report.starts_with("ZTLS unable to verify server with "),
        "{report}"
    );
    assert!(!server.join().unwrap()[0].contains("MAIL"));
    let (port, server) = serve(&[Manner::Plain]);
    let report = deliver(directory.path(), port);
    assert!(report.starts_with("ZNo TLS achieved while "), "{report}");
    assert!(!server.join().unwrap()[0].contains("MAIL"));
}

// RFC 8689.
#[test]
fn a_message_that_requires_tls_goes_nowhere_else() {
    let wish = [("X_INDIMAIL_DSN", " REQUIRETLS=YES")];
    let cases: [(&'static [Manner], &str); 2] = [
        (
            &[Manner::Plain],
            "it does not offer TLS, which this message needs. (#5.7.30)",
        ),
        // Nobody vouches for its certificate.
        (&[Manner::Tls], "(#4.7.5)"),
    ];
    for (manners, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (port, server) = serve(manners);
        let report = deliver_with(directory.path(), port, &wish);
        assert!(report.contains(expected), "{report}");
        assert!(!server.join().unwrap()[0].contains("MAIL"), "{report}");
    }
}

#[test]
fn a_refused_recipient_is_reported_before_the_message() {
    let (report, _) = run(&[Manner::Refuses]);
    assert_eq!(
        report,
        "hFrom: <ann@a.example> RCPT: <bob@b.example> 127.0.0.1 does not like recipient.\n\
         Remote host said: 550 5.1.1 nobody here\n|DGiving up on 127.0.0.1.\n|"
    );
}

#[test]
fn a_connection_that_dies_after_the_dot_may_mean_a_duplicate() {
    let (report, _) = run(&[Manner::Dies]);
    assert!(
        report.contains(
            "ZConnected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n|"
        )
    );
}

#[test]
fn nobody_there_defers() {
    let directory = tempfile::tempdir().unwrap();
    let report = deliver(directory.path(), 1);
    assert!(report.starts_with("ZSorry, I wasn't able to establish an SMTP connection"));
    assert!(report.ends_with(". (#4.4.1)\n|"));
}

#[test]
fn a_resolver_that_cannot_be_set_up_matters_only_to_names() {
    let directory = tempfile::tempdir().unwrap();
    let (port, server) = serve(&[Manner::Plain]);
    fs::create_dir(directory.path().join("control")).unwrap();
    let report = deliver_asking(directory.path(), port, "not an address");
    assert!(report.contains("|K127.0.0.1 accepted message."), "{report}");
    server.join().unwrap();
}

#[test]
fn a_resolver_that_is_down_defers() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("control")).unwrap();
    fs::write(root.join("control/me"), "client.example\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_qmail-remote"))
        .args(["b.example", "", "", "20", "bob@b.example"])
        .env_clear()
        .env("QMAILDIR", root)
        .env("DNSRESOLVER", "127.0.0.1:1")
        .stdin(fs::File::open(root.join("control/me")).unwrap())
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let text = "ZSorry, I couldn't find any host by that name. (#4.1.2)\n";
    assert!(report.starts_with(text), "{report}");
}
