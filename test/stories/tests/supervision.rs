//! Services are watched: what dies is back, what is told to stop stops.

use std::fs;
use std::time::Duration;

use testkit::{Installation, run, wait_for};

fn pid(server: &Installation, service: &str) -> u32 {
    let bytes = fs::read(
        server
            .root()
            .join("service")
            .join(service)
            .join("supervise/status"),
    )
    .unwrap();
    u32::from_le_bytes(bytes[12..16].try_into().unwrap())
}

#[test]
fn a_killed_service_is_started_again_and_does_its_work() {
    let server = Installation::start("example.org");
    for service in [
        "qmail-smtpd.25",
        "inlookup.infifo",
        "qmail-queued",
        "qmail-send.25",
    ] {
        let before = pid(&server, service);
        run(
            std::process::Command::new("kill").args(["-9", &before.to_string()]),
            b"",
        )
        .good();
        wait_for(service, Duration::from_secs(90), || {
            let now = pid(&server, service);
            now != 0 && now != before
        });
    }
    wait_for("port 25", Duration::from_secs(90), || {
        std::net::TcpStream::connect(("127.0.0.1", server.port(25))).is_ok()
    });
    let mut sendmail = server.tool("sendmail");
    wait_for("the queue writer", Duration::from_secs(90), || {
        run(
            sendmail.args(["-i", "ann@example.org"]),
            b"Subject: still here\n\nx\n",
        )
        .code
            == 0
    });
    server.wait_for_messages("ann", 1);
}

#[test]
fn svc_and_svstat_work_on_the_tree() {
    let server = Installation::start("example.org");
    let service = server.root().join("service/qmail-pop3d.110");
    let svstat = || run(server.tool("svstat").arg(&service), b"");
    let up = svstat();
    assert!(up.out.contains(": up (pid ") && up.code == 0, "{}", up.out);
    run(server.tool("svc").arg("-d").arg(&service), b"").good();
    wait_for("down", Duration::from_secs(90), || {
        svstat().out.contains(": down ")
    });
    let down = svstat();
    assert!(
        down.out.contains(", normally up") && down.code == 1,
        "{}",
        down.out
    );
    assert_eq!(server.indimail(&["status"]).code, 1);
    run(server.tool("svc").arg("-u").arg(&service), b"").good();
    wait_for("up", Duration::from_secs(90), || {
        svstat().out.contains(": up ")
    });
    assert_eq!(run(server.tool("svok").arg(&service), b"").code, 0);
}

#[test]
fn each_service_runs_as_its_own_user() {
    let server = Installation::start("example.org");
    let tree = run(
        std::process::Command::new("ps").args(["-eo", "user:16,args"]),
        b"",
    )
    .good()
    .out;
    let root = server.root().display().to_string();
    if !nix_is_root() {
        return;
    }
    for (user, program) in [
        ("qmaild", "qmail-smtpd"),
        ("qmailq", "qmail-queued"),
        ("indimail", "imapd"),
        ("indimail", "inlookup"),
        ("qcerts", "signer"),
        ("qmails", "qmail-send"),
        ("qmailr", "qmail-rspawn"),
        ("qmailr", "verifier"),
        ("qmaill", "multilog"),
    ] {
        let _ = &root;
        assert!(
            tree.lines()
                .any(|line| line.starts_with(user) && line.contains(program)),
            "no {program} runs as {user}:\n{tree}"
        );
    }
}

fn nix_is_root() -> bool {
    run(std::process::Command::new("id").arg("-u"), b"")
        .out
        .trim()
        == "0"
}
