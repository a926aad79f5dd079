//! Mail from strangers is looked at, and mail of ours can be: SPF, DKIM and
//! DMARC in both directions.

use std::process::Command;
use std::time::Duration;

use testkit::{Builder, Dns, Installation, Sink, USER_PASSWORD, run, wait_for};

/// Says these lines as a client at an address of documentation, which is
/// nobody's; what qmail-smtpd answered.
fn as_stranger(server: &Installation, lines: &[&str]) -> String {
    let mut smtpd = server.tool("qmail-smtpd");
    smtpd
        .env("TCPREMOTEIP", "192.0.2.1")
        .env("TCPREMOTEHOST", "client.far.test")
        .env("TCPLOCALPORT", "25");
    let text = lines.join("\r\n") + "\r\nQUIT\r\n";
    run(&mut smtpd, text.as_bytes()).good().out
}

fn message<'a>(from: &'a str, author: &'a str) -> Vec<&'a str> {
    vec![
        "EHLO client.far.test",
        from,
        "RCPT TO:<ann@example.org>",
        "DATA",
        "Authentication-Results: mx.example.org; dkim=pass",
        author,
        "Subject: hi",
        "",
        "hello",
        ".",
    ]
}

#[test]
fn a_client_on_a_list_is_refused_before_it_speaks() {
    let dns = Dns::start(&[
        "txt-record=1.2.0.192.bl.test,see http://bl.test/?%IP%",
        "txt-record=1.2.0.192.hard.test,bad",
        "address=/1.2.0.192.wl.test/127.0.0.2",
    ]);
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    setup.control("clientnames", "1\n");
    setup.control("dnsbl", "other.test\nbl.test\n");
    let server = setup.start();
    let said = as_stranger(&server, &["EHLO x", "MAIL FROM:<>"]);
    let refused = "451 see http://bl.test/?192.0.2.1\r\n";
    assert_eq!(said.matches(refused).count(), 3, "{said}");
    let control = |text: &str| {
        std::fs::write(server.root().join("control/dnsbl"), text).unwrap();
    };
    control("-hard.test:go, %IP%\n");
    // By addresses, and the list has none.
    assert!(as_stranger(&server, &[]).starts_with("220 "));
    control("-hard.test\n");
    assert!(as_stranger(&server, &[]).starts_with("554 bad\r\n"));
    control("!wl.test\n-hard.test\n");
    assert!(as_stranger(&server, &[]).starts_with("220 "));

    // A listener knows its client by name; of this one every resolver knows
    // it (RFC 6761 §6.3).
    let mut swaks = Command::new("swaks");
    swaks.args(["--server", &format!("127.0.0.1:{}", server.port(25))]);
    swaks.args([
        "--from",
        "bob@far.test",
        "--to",
        "ann@example.org",
        "--helo",
        "x.test",
    ]);
    run(&mut swaks, b"").good();
    let got = server.wait_for_messages("ann", 1).remove(0);
    assert!(
        got.contains("Received: from localhost (HELO x.test) (127.0.0.1)"),
        "{got}"
    );
}

#[test]
fn a_stranger_is_asked_about() {
    let dns = Dns::start(&[
        "mx-host=far.test,mx.far.test,10",
        "txt-record=far.test,v=spf1 -all",
        "txt-record=_dmarc.far.test,v=DMARC1; p=reject",
        "address=/client.far.test/192.0.2.1",
    ]);
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    let server = setup.start();
    let far = message("MAIL FROM:<a@far.test>", "From: a@far.test");

    let gone = message("MAIL FROM:<a@gone.test>", "From: a@far.test");
    let said = as_stranger(&server, &gone[..2]);
    assert!(
        said.contains("553 5.1.8 Bad sender's system address"),
        "{said}"
    );

    // Accepted, and told what is known.
    let said = as_stranger(&server, &far);
    assert!(said.contains("\r\n250 2.0.0 ok "), "{said}");
    let got = &server.wait_for_messages("ann", 1)[0];
    assert!(
        got.contains("spf=fail") && got.contains("dmarc=fail"),
        "{got}"
    );
    assert_eq!(got.matches("Authentication-Results:").count(), 1, "{got}");
    assert!(!got.contains("dkim=pass"), "{got}");

    let control = |name: &str, text: &str| {
        std::fs::write(server.root().join("control").join(name), text).unwrap();
    };
    control("dmarcreject", "1\n");
    let said = as_stranger(&server, &far);
    assert!(
        said.contains("550 5.7.1 refused by the DMARC policy of far.test"),
        "{said}"
    );

    control("spfbehavior", "3\n");
    let said = as_stranger(&server, &far);
    let refused = "550 5.7.1 SPF check failed for a@far.test from 192.0.2.1 (#5.7.1)";
    assert!(said.contains(refused), "{said}");
    control("spfbehavior", "1\n");
    control("dmarcreject", "0\n");
    as_stranger(&server, &far);
    let got = server.wait_for_messages("ann", 2);
    let with = "Received-SPF: fail (";
    assert!(got.iter().any(|message| message.contains(with)), "{got:?}");

    // This host's own clients are nobody's business.
    let mut swaks = Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &server.port(25).to_string(),
    ]);
    swaks.args(["--from", "a@far.test", "--to", "ann@example.org"]);
    run(&mut swaks, b"").good();
}

/// Verifies with another implementation: the message on stdin, the record as
/// argument.
const VERIFY: &str = "
import sys, dkim
message, record = sys.stdin.buffer.read(), sys.argv[1].encode()
def dns(name, timeout=5):
    assert name == b'indimail._domainkey.example.org.', name
    return record
print('VALID' if dkim.verify(message, dnsfunc=dns) else 'BROKEN')
";

fn verify(message: &str, record: &str) -> String {
    // Debian's own: the module belongs to it.
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", VERIFY, record]);
    run(&mut python, message.as_bytes()).good().out
}

/// The value of the record quickstart tells to publish.
fn dkim_record(printed: &str) -> String {
    let line = printed
        .lines()
        .find(|line| line.contains("indimail._domainkey.example.org."))
        .unwrap_or_else(|| panic!("no DKIM record: {printed}"));
    line.split('"').skip(1).step_by(2).collect()
}

fn signatures(message: &str) -> usize {
    message
        .lines()
        .filter(|line| line.starts_with("DKIM-Signature:"))
        .count()
}

// Acceptance 47.
#[test]
fn what_users_send_is_signed_by_the_key_quickstart_made() {
    let sink = Sink::start();
    let setup = Builder::new("example.org");
    setup.add_user("ann").add_user("bob");
    setup.control("smtproutes", &format!("far.test:127.0.0.1:{}\n", sink.port));
    let server = setup.start();
    let record = dkim_record(&server.printed);
    let send = |from: &str, options: &[&str]| {
        let mut swaks = Command::new("swaks");
        swaks.args([
            "--server",
            "127.0.0.1",
            "--from",
            from,
            "--to",
            "x@far.test",
        ]);
        swaks.args(["--body", ".dots\n..at the start\nand the end  "]);
        run(swaks.args(options), b"").good();
    };
    let (submission, plain) = (server.port(587).to_string(), server.port(25).to_string());
    let login = [
        "--auth-user",
        "ann@example.org",
        "--auth-password",
        USER_PASSWORD,
    ];
    send(
        "ann@example.org",
        &[
            &["--tls", "--port", &submission, "--auth", "PLAIN"],
            &login[..],
        ]
        .concat(),
    );
    let arrived = |count: usize| {
        wait_for("mail", Duration::from_secs(60), || {
            count <= sink.messages().len()
        });
        // As the far side reads it: dots undone, the last line left out.
        let message = sink.messages().pop().unwrap();
        let message = message.strip_suffix(".\r\n").unwrap();
        message.replace("\r\n..", "\r\n.")
    };
    let message = arrived(1);
    assert_eq!(signatures(&message), 1, "{message}");
    assert_eq!(verify(&message, &record), "VALID\n", "{message}");
    let changed = message.replace("the end", "the rest");
    assert_eq!(verify(&changed, &record), "BROKEN\n");

    // A local program's mail is ours, too.
    let text = "From: ann@example.org\nTo: x@far.test\nSubject: local\n\nhi\n";
    let mut sendmail = server.tool("sendmail");
    run(
        sendmail.args(["-f", "ann@example.org", "x@far.test"]),
        text.as_bytes(),
    )
    .good();
    let message = arrived(2);
    assert!(message.contains("Subject: local"));
    assert_eq!(verify(&message, &record), "VALID\n", "{message}");

    // A user of another domain of this host does not get its signature.
    let mut vadddomain = server.tool("vadddomain");
    run(vadddomain.args(["second.example", USER_PASSWORD]), b"").good();
    let carol = ["--auth-user", "postmaster@second.example"];
    let words = [
        "--auth-password",
        USER_PASSWORD,
        "--h-From",
        "ann@example.org",
    ];
    send(
        "postmaster@second.example",
        &[
            &["--tls", "--port", &submission, "--auth", "PLAIN"],
            &carol[..],
            &words[..],
        ]
        .concat(),
    );
    let message = arrived(3);
    assert!(message.contains("From: ann@example.org"), "{message}");
    assert_eq!(signatures(&message), 0, "{message}");

    // What comes from a stranger and is forwarded is not.
    let forward = |user: &str| {
        let maildir = server.maildir(user);
        let home = maildir.parent().unwrap().to_owned();
        std::fs::write(home.join(".qmail"), "&x@far.test\n").unwrap();
    };
    forward("bob");
    let mut swaks = Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &plain,
        "--from",
        "ann@example.org",
    ]);
    swaks.args(["--to", "bob@example.org", "--header", "Subject: forged"]);
    run(&mut swaks, b"").good();
    let message = arrived(4);
    assert!(message.contains("Subject: forged"), "{message}");
    assert_eq!(signatures(&message), 0, "{message}");
}

/// tcpserver, rblsmtpd and qmail-smtpd as the guide chains them; what a client
/// is told that sends to ann.
fn through_the_chain(server: &Installation, list: &str) -> testkit::Ran {
    use std::io::{BufRead, BufReader};
    let path = format!("{}:/usr/bin:/bin", server.root().join("bin").display());
    let mut tcpserver = server.tool("tcpserver");
    tcpserver
        .env("PATH", path)
        .args(["-1", "-R", "-H", "-l", "0", "127.0.0.1", "0"])
        .args(["rblsmtpd", "-t", "5", "-r", list, "qmail-smtpd"])
        .stdout(std::process::Stdio::piped());
    let mut child = tcpserver.spawn().unwrap();
    let mut port = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut port).unwrap();
    let _chain = testkit::Background(child);
    let mut swaks = Command::new("swaks");
    swaks.args(["--server", "127.0.0.1", "--port", port.trim()]);
    swaks.args(["--from", "a@far.test", "--to", "ann@example.org"]);
    run(&mut swaks, b"")
}

#[test]
fn the_classic_chain_serves() {
    let dns = Dns::start(&["txt-record=1.0.0.127.bad.test,listed here"]);
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    let server = setup.start();
    through_the_chain(&server, "none.test").good();
    server.wait_for_messages("ann", 1);
    let refused = through_the_chain(&server, "bad.test");
    assert!(refused.out.contains("451 listed here"), "{}", refused.out);
}
