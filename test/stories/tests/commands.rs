//! What an administrator asks of `indimail`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use testkit::{Builder, Installation, run};

#[test]
fn a_new_installation_has_nothing_wrong_and_a_broken_one_says_what() {
    let server = Installation::start("example.org");
    let good = server.indimail(&["check"]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);

    let control = server.root().join("control");
    fs::remove_file(control.join("rcpthosts")).unwrap();
    fs::remove_file(control.join("bouncefrom")).unwrap();
    fs::create_dir(control.join("bouncefrom")).unwrap();
    let certificate = server.root().join("certs/servercert.pem");
    fs::set_permissions(&certificate, PermissionsExt::from_mode(0o644)).unwrap();
    fs::remove_file(server.root().join("queue/queue1/lock/trigger")).unwrap();
    let bad = server.indimail(&["check"]);
    assert_eq!(bad.code, 1);
    for text in ["rcpthosts", "bouncefrom", "chmod 600", "mkfifo"] {
        assert!(
            bad.out.contains(text),
            "check says nothing of {text}:\n{}",
            bad.out
        );
    }
    let json = server.indimail(&["check", "--json"]).out;
    let findings: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(4 <= findings.as_array().unwrap().len(), "{json}");
}

#[test]
fn status_shows_services_queue_and_problems() {
    let server = Installation::start("example.org");
    let status = server.indimail(&["status"]).good().out;
    for service in [
        "qmail-smtpd.25",
        "qmail-send.25",
        "qmail-imapd.143",
        "inlookup.infifo",
    ] {
        let line = status
            .lines()
            .find(|line| line.starts_with(service))
            .unwrap_or_default();
        assert!(
            line.contains("up") && line.contains("pid"),
            "{service}: {status}"
        );
    }
    assert!(status.contains("queue1"), "{status}");
    let json: serde_json::Value =
        serde_json::from_str(&server.indimail(&["status", "--json"]).good().out).unwrap();
    assert!(json["services"][0]["up"].as_bool().unwrap());
}

#[test]
fn a_trace_is_found_by_every_name_a_message_has() {
    let server = Installation::start("example.org");
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-i", "-f", "postmaster@example.org", "ann@example.org"]);
    run(
        &mut sendmail,
        b"Message-ID: <story@example.org>\nSubject: x\n\nhello\n",
    )
    .good();
    server.wait_for_log("deliver.25", "end msg");
    server.wait_for_log("trace", "\"ended\"");
    let by_id = server.indimail(&["trace", "story@example.org"]).good().out;
    assert!(
        by_id.contains("queued") && by_id.contains("delivered"),
        "{by_id}"
    );
    let json = server
        .indimail(&["trace", "<story@example.org>", "--json"])
        .good()
        .out;
    let stories: serde_json::Value = serde_json::from_str(&json).unwrap();
    let events = stories[0]["events"].as_array().expect("events").clone();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let place = |kind| kinds.iter().position(|found| *found == kind);
    assert!(place("queued") < place("preprocessed"), "{kinds:?}");
    assert!(
        place("started") < place("delivered") && place("delivered") < place("ended"),
        "{kinds:?}"
    );
    let trace = events[0]["trace"].as_str().unwrap();
    for name in [trace, "ann@example.org", "postmaster@example.org"] {
        let found = server.indimail(&["trace", name]).good().out;
        assert!(found.contains(trace), "by {name}: {found}");
    }
    assert_eq!(
        server.indimail(&["trace", "nobody@nowhere.example"]).code,
        1
    );
}

#[test]
fn uninstall_keeps_mail_and_purge_does_not() {
    let mut server = Installation::start("example.org");
    let mut sendmail = server.tool("sendmail");
    run(
        sendmail.args(["-i", "ann@example.org"]),
        b"Subject: keep me\n\nx\n",
    )
    .good();
    server.wait_for_messages("ann", 1);
    let maildir = server.maildir("ann");
    // From outside: the installed program removes itself, too.
    let mut uninstall = std::process::Command::new(testkit::built_programs().join("indimail"));
    uninstall.arg("uninstall").arg("--root").arg(server.root());
    run(&mut uninstall, b"").good();
    server.stop();
    assert!(!server.root().join("bin").exists() && !server.root().join("service").exists());
    assert_eq!(
        fs::read_dir(maildir.join("new")).unwrap().count(),
        1,
        "mail stays"
    );
    assert!(server.root().join("db").exists(), "users stay");
    let mut purge = std::process::Command::new(testkit::built_programs().join("indimail"));
    purge
        .args(["uninstall", "--purge", "--root"])
        .arg(server.root());
    run(&mut purge, b"").good();
    assert!(!server.root().exists() || fs::read_dir(server.root()).unwrap().count() == 0);
}

#[test]
fn a_taken_port_is_named_before_anything_starts() {
    let setup = Builder::new("example.org");
    let port = setup.port(143);
    let _taken = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let mut quickstart = setup.tool("indimail");
    quickstart
        .args(["quickstart", "example.org", "--root"])
        .arg(setup.root());
    quickstart.args(["--port-base", &(port - 143).to_string()]);
    let ran = run(&mut quickstart, b"");
    assert_ne!(ran.code, 0);
    assert!(
        ran.err.contains(&port.to_string()) && ran.err.contains("--port-base"),
        "{}",
        ran.err
    );
}

#[test]
fn smtp_is_explained_by_the_program_that_serves() {
    let server = Installation::start("example.org");
    let control = server.root().join("control");
    fs::write(control.join("badmailfrom"), "@evil.example\n").unwrap();
    let explain = |port: &str, more: &[&str]| {
        let mut words = vec!["explain", "smtp", "--from", "192.0.2.1", "--port", port];
        words.extend(more);
        server.indimail(&words)
    };
    let refused = explain(
        "25",
        &["--mail-from", "x@evil.example", "--rcpt", "ann@example.org"],
    );
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(
        refused
            .out
            .contains("control/badmailfrom:1, @evil.example: the sender is refused"),
        "{}",
        refused.out
    );
    // The user who logged in is looked up, and may write to anybody.
    let words = ["--mail-from", "ann@example.org", "--rcpt", "x@far.example"];
    let foreign = explain("587", &words);
    assert!(
        foreign.out.contains("530 "),
        "{}{}",
        foreign.out,
        foreign.err
    );
    let user = [&words[..], &["--tls", "--auth", "ann@example.org"]].concat();
    let taken = explain("587", &user);
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    assert!(
        taken.out.contains("the user who logged in may relay"),
        "{}",
        taken.out
    );
    let json = explain("587", &[&user[..], &["--json"]].concat())
        .good()
        .out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["verdict"], "taken");
    let nobody = explain(
        "587",
        &[&words[..], &["--auth", "nobody@example.org"]].concat(),
    );
    assert!(nobody.err.contains("no such user"), "{}", nobody.err);
    let settings = server
        .indimail(&["explain", "setting", "badmailfrom"])
        .good()
        .out;
    assert!(settings.contains("@evil.example"), "{settings}");
}
