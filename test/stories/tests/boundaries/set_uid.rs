//! The one set-uid program, called by somebody who means it no good.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use testkit::{Installation, Ran, run};

const NOBODY: [&str; 3] = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];

/// Runs a shell command as nobody. `$Q` is qmail-queue with a good message
/// and envelope at hand in `$M` and `$E`.
fn as_nobody(server: &Installation, script: &str, variables: &[(&str, &str)]) -> Ran {
    let files = server.root().join("doc");
    fs::write(files.join("m"), "Subject: hostile\n\nhello\n").unwrap();
    fs::write(
        files.join("e"),
        "Fbob@foreign.example\0Tann@example.org\0\0",
    )
    .unwrap();
    let mut shell = Command::new("setpriv");
    shell
        .args(NOBODY)
        .args(["bash", "-c", script])
        .env("Q", server.root().join("bin/qmail-queue"))
        .env("M", files.join("m"))
        .env("E", files.join("e"))
        .envs(variables.iter().copied());
    run(&mut shell, b"")
}

/// Everything of a message in the queue, whole or half.
fn queue_files(server: &Installation) -> Vec<PathBuf> {
    let queue = server.root().join("queue/queue1");
    let mut find = Command::new("find");
    find.args(["pid", "mess", "intd", "todo"].map(|name| queue.join(name)));
    let out = run(find.args(["-type", "f"]), b"").good().out;
    out.lines().map(PathBuf::from).collect()
}

fn wait_for_empty_queue(server: &Installation) {
    testkit::wait_for("an empty queue", std::time::Duration::from_secs(90), || {
        queue_files(server).is_empty()
    });
}

#[test]
fn attack_26_a_hostile_environment_changes_nothing() {
    let server = Installation::start("example.org");
    let lair = tempfile::tempdir().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(lair.path(), everybody).unwrap();
    let own = lair.path().display().to_string();
    queue::create(&lair.path().join("queue/queue1"), None).unwrap();
    fs::create_dir(lair.path().join("control")).unwrap();
    fs::write(lair.path().join("control/extraqueue"), "evil@example.org\n").unwrap();
    let trap = format!("{own}/trap");
    let variables = [
        ("QMAILDIR", &own[..]),
        ("CONTROLDIR", &format!("{own}/control")),
        ("QUEUEDIR", &format!("{own}/queue/queue1")),
        ("QUEUE_BASE", &format!("{own}/queue")),
        ("QUEUE_COUNT", "99999999999999999999"),
        ("EXTRAQUEUE", "evil@example.org"),
        ("USE_FSYNC", ""),
        ("ENVHEADERS", "Subject"),
        ("TCPREMOTEIP", "192.0.2.66"),
        ("TCPREMOTEHOST", "bank.example\r\nX-Injected: yes"),
        ("X_INDIMAIL_TRACE", "../../../etc/passwd\nX-Injected: yes"),
        ("QQEH", "X-Mine: ok\n\nX-Injected: in the body"),
        ("LD_PRELOAD", &trap),
        ("LD_LIBRARY_PATH", &own),
        ("GCONV_PATH", &own),
        ("TMPDIR", &own),
        ("RUST_BACKTRACE", "full"),
        ("MALLOC_TRACE", &trap),
        ("DEATH", "1"),
        ("QHPSI", &trap),
        ("QHPSIFORWARD", "evil@example.org"),
        ("PLUGINDIR", &own),
        ("QUARANTINE", "evil@example.org"),
        ("MAILARCHIVE", &format!("{own}/control/extraqueue")),
        ("QREGEX", "1"),
        ("REMOVEHEADERS", &format!("{own}/control/extraqueue")),
        ("ORIGINIPFIELD", "1"),
        ("MIN_FREE", "99999999999999999999"),
        ("NULLQUEUE", "1"),
        ("QMAILQUEUE", &trap),
        ("LOGHEADERFD", "0"),
    ];
    let script = "exec \"$Q\" <\"$M\" 1<\"$E\"";
    // Lines that would end the header are refused, whoever sends them.
    assert_eq!(as_nobody(&server, script, &variables).code, 87);
    let others = variables.map(|(name, value)| match name {
        "QQEH" => (name, "X-Mine: ok"),
        _ => (name, value),
    });
    as_nobody(&server, script, &others).good();
    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(!message.contains("192.0.2.66"), "{message}");
    let header = message.split("\n\n").next().unwrap();
    assert!(!header.contains("X-Injected"), "{message}");
    let nobody = run(Command::new("id").args(["-u", "nobody"]), b"")
        .good()
        .out;
    let caller = format!("uid {}", nobody.trim());
    assert!(message.contains(&caller), "{message}");
    assert!(!PathBuf::from(trap).exists());
    let lost = lair.path().join("queue/queue1/mess/0");
    assert_eq!(fs::read_dir(lost).unwrap().count(), 0);
}

#[test]
fn attack_26_whatever_descriptors_are_closed_no_half_message_is_queued() {
    let server = Installation::start("example.org");
    for (script, good) in [
        ("exec \"$Q\" <\"$M\" 1<\"$E\" 2>&-", true),
        ("exec \"$Q\" <&- 1<\"$E\"", false),
        ("exec \"$Q\" <\"$M\" 1>&-", false),
        ("exec \"$Q\" <&- 1>&-", false),
        ("exec \"$Q\" <&- 1>&- 2>&-", false),
        ("exec \"$Q\" <\"$M\" 1<\"$E\" 2<\"$M\"", true),
        ("exec \"$Q\" </ 1<\"$E\"", false),
        ("exec \"$Q\" <\"$M\" 1>/dev/full", false),
    ] {
        let ran = as_nobody(&server, script, &[]);
        assert_eq!(ran.code == 0, good, "{script}: {} {}", ran.code, ran.err);
    }
    server.wait_for_messages("ann", 2);
    wait_for_empty_queue(&server);
    for message in server.messages("ann") {
        assert!(
            message.ends_with("Subject: hostile\n\nhello\n"),
            "{message}"
        );
    }
}

#[test]
fn attack_26_limits_of_the_caller_make_an_error_or_a_message_never_a_part() {
    let server = Installation::start("example.org");
    let big = server.root().join("doc/big");
    fs::write(&big, "x\n".repeat(100_000)).unwrap();
    let big = big.display().to_string();
    let mut taken = 0;
    for limit in [
        "-f 0",
        "-f 1",
        "-f 50",
        "-n 3",
        "-n 4",
        "-n 5",
        "-n 6",
        "-n 8",
        "-v 1000",
        "-v 4000",
        "-v 8000",
        "-v 20000",
        "-s 8",
        "-s 64",
        "-t 0",
        "-u 0",
        "-l 0",
        "-c unlimited",
    ] {
        let script = format!("ulimit {limit}; exec \"$Q\" <\"$BIG\" 1<\"$E\"");
        let ran = as_nobody(&server, &script, &[("BIG", &big)]);
        println!("ulimit {limit}: {} {}", ran.code, ran.err.trim());
        taken += usize::from(ran.code == 0);
    }
    assert!(0 < taken, "some limits are harmless");
    let messages = server.wait_for_messages("ann", taken);
    wait_for_empty_queue(&server);
    assert_eq!(server.messages("ann").len(), taken);
    for message in messages {
        assert!(message.ends_with(&"x\n".repeat(100_000)));
    }
}

#[test]
fn attack_26_blocked_and_sent_signals_leave_all_or_nothing() {
    let server = Installation::start("example.org");
    // Ignored signals and a directory that is gone are inherited.
    let script = "trap '' HUP INT QUIT ALRM TERM PIPE CHLD XFSZ USR1 USR2
        mkdir /tmp/gone.$$ && cd /tmp/gone.$$ && rmdir /tmp/gone.$$
        exec \"$Q\" <\"$M\" 1<\"$E\"";
    let ran = as_nobody(&server, script, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    server.wait_for_messages("ann", 1);
    // Its caller cannot end it once it is the queue's: only wait.
    let script = "(sleep 3; cat \"$M\") | \"$Q\" 1<\"$E\" & q=$!
        sleep 1; for s in INT TERM HUP USR1 STOP KILL; do kill -$s $q 2>/dev/null && echo sent $s; done
        wait $q; echo code $?";
    let ran = as_nobody(&server, script, &[]);
    assert!(
        ran.out.contains("code 0") && !ran.out.contains("sent"),
        "{}",
        ran.out
    );
    server.wait_for_messages("ann", 2);
    wait_for_empty_queue(&server);
}

#[test]
fn attack_26_a_copy_elsewhere_trusts_nobody() {
    let server = Installation::start("example.org");
    let lair = tempfile::Builder::new()
        .prefix("lair-")
        .tempdir_in(server.root().parent().unwrap())
        .unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(lair.path(), everybody).unwrap();
    for name in ["bin", "control"] {
        fs::create_dir(lair.path().join(name)).unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(lair.path().join(name), everybody).unwrap();
    }
    let copy = lair.path().join("bin/qmail-queue");
    fs::hard_link(server.root().join("bin/qmail-queue"), &copy).unwrap();
    let nobody = nix_uid("nobody");
    std::os::unix::fs::chown(lair.path(), Some(nobody), None).unwrap();
    let script = format!("exec {} <\"$M\" 1<\"$E\"", copy.display());
    let ran = as_nobody(&server, &script, &[]);
    assert_ne!(ran.code, 0, "{}", ran.err);
    assert_eq!(queue_files(&server), Vec::<PathBuf>::new());
}

fn nix_uid(name: &str) -> u32 {
    let out = run(Command::new("id").args(["-u", name]), b"").good().out;
    out.trim().parse().unwrap()
}
