//! What the set-uid qmail-queue does for whom it trusts, and as whom.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::{Installation, Ran, run};

/// Sends a message as a user, by the set-uid program.
fn send(server: &Installation, user: &str, body: &str, variables: &[(&str, &str)]) -> Ran {
    let envelope = server.root().join("doc/envelope");
    fs::write(&envelope, "Fbob@foreign.example\0Tann@example.org\0\0").unwrap();
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            user,
            "--regid=nogroup",
            "--clear-groups",
            "sh",
            "-c",
        ])
        .arg("exec \"$Q\" 1<\"$E\"")
        .env("Q", server.root().join("bin/qmail-queue"))
        .env("E", envelope)
        .envs(variables.iter().copied());
    run(&mut command, format!("Subject: x\n\n{body}\n").as_bytes())
}

fn uid(user: &str) -> u32 {
    let out = run(Command::new("id").args(["-u", user]), b"").good().out;
    out.trim().parse().unwrap()
}

/// A directory everybody may write to, with a scanner that notes as whom it
/// ran and what it may become.
fn scanner() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let script = directory.path().join("scan");
    testkit::write_script(
        &script,
        "#!/bin/sh\ngrep '^[UG]id:' /proc/self/status > \"$0.$(id -u)\"\n\
         grep -q EICAR \"$1\" && exit 1\nexit 0\n",
    );
    let script = script.display().to_string();
    (directory, script)
}

/// The users the scanner ran as; real, effective and saved are the same.
fn ran_as(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut users: Vec<u32> = entries
        .filter_map(|path| {
            let user = path.extension()?.to_str()?.to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let line = text.lines().find(|line| line.starts_with("Uid:")).unwrap();
            assert!(line.split('\t').skip(1).all(|one| one == user), "{line}");
            fs::remove_file(path).unwrap();
            user.parse().ok()
        })
        .collect();
    users.sort_unstable();
    users
}

#[test]
fn a_scanner_runs_as_who_named_it_and_not_for_strangers() {
    let server = Installation::start("example.org");
    let (directory, scan) = scanner();
    let qhpsi = [("QHPSI", &scan[..])];
    send(&server, "qmaild", "harmless", &qhpsi).good();
    assert_eq!(ran_as(directory.path()), [uid("qmaild")]);
    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(message.contains("\nX-QHPSI: clean\n"), "{message}");
    assert_eq!(send(&server, "qmaild", "EICAR", &qhpsi).code, 33);
    let silent = [qhpsi[0], ("REJECTVIRUS", "2")];
    send(&server, "qmaild", "EICAR", &silent).good();
    let told = [qhpsi[0], ("QHPSIFORWARD", "ann@example.org")];
    assert_eq!(send(&server, "qmaild", "EICAR jailed", &told).code, 33);
    let messages = server.wait_for_messages("ann", 2);
    let infected = |message: &String| message.contains("\nX-QHPSI: Virus found\n");
    assert_eq!(
        messages.iter().filter(|message| infected(message)).count(),
        1
    );
    ran_as(directory.path());
    // Root's scanner is not root.
    send(&server, "root", "harmless", &qhpsi).good();
    let scanners = ["qscand", "qmailq"];
    let users = ran_as(directory.path());
    assert_eq!(users.len(), 1);
    let exists = |name: &&&str| os::account::Account::by_name(name).is_ok();
    assert_eq!(users[0], uid(scanners.iter().find(exists).unwrap()));
    // Whoever else calls has no say.
    send(&server, "nobody", "EICAR", &qhpsi).good();
    assert_eq!(ran_as(directory.path()), Vec::<u32>::new());
    assert_eq!(
        send(&server, "qmaild", "x", &[("QHPSI", "/no/such")]).code,
        77
    );
    server.wait_for_messages("ann", 4);
}

#[test]
fn a_stranger_chooses_a_queue_only_where_the_site_does() {
    let server = Installation::start("example.org");
    let control = server.root().join("control");
    let slow = server.root().join("queue/slowq");
    fs::create_dir(&slow).unwrap();
    run(
        server
            .tool("queue-fix")
            .arg(&slow)
            .env("QMAILDIR", server.root()),
        b"",
    );
    assert!(slow.join("mess").is_dir());
    let held = || {
        let out = run(
            Command::new("find")
                .arg(slow.join("mess"))
                .args(["-type", "f"]),
            b"",
        );
        out.good().out.lines().count()
    };
    let queuedir = [("QUEUEDIR", "queue/slowq"), ("FASTQUEUE", "1")];
    fs::write(control.join("extraqueue"), "log@example.org\n").unwrap();
    send(&server, "nobody", "elsewhere", &queuedir).good();
    assert_eq!(held(), 0, "the site has no such rule");
    server.wait_for_messages("ann", 1);
    fs::write(
        control.join("domainqueue"),
        "*.slow.example:QUEUEDIR=queue/slowq,EXTRAQUEUE=\n",
    )
    .unwrap();
    let all = [queuedir[0], queuedir[1], ("EXTRAQUEUE", "")];
    send(&server, "nobody", "there", &all).good();
    assert_eq!(held(), 1);
    let other = [("QUEUEDIR", "queue/queue1/../slowq")];
    send(&server, "nobody", "elsewhere", &other).good();
    assert_eq!(held(), 1, "only the very words of the rule");
    server.wait_for_messages("ann", 2);
    // The queue, and nothing else: the copy for the log is made.
    let envelopes = run(
        Command::new("grep")
            .args(["-rl", "log@example.org"])
            .arg(slow.join("todo")),
        b"",
    );
    assert_eq!(envelopes.out.lines().count(), 1);
    // Who is trusted may leave all of it out.
    send(&server, "qmaild", "fast", &queuedir).good();
    assert_eq!(held(), 2);
    let envelopes = run(
        Command::new("grep")
            .args(["-rl", "log@example.org"])
            .arg(slow.join("todo")),
        b"",
    );
    assert_eq!(envelopes.out.lines().count(), 1);
}
