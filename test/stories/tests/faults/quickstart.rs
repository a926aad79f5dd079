//! A quickstart that cannot go on, is killed in the middle, or finds another.

use super::*;

/// A quickstart with these arguments, run to its end.
fn quickstart(root: &Path, domain: &str, arguments: &[&str]) -> testkit::Ran {
    let mut command = Command::new(testkit::built_programs().join("indimail"));
    command
        .args(["quickstart", domain, "--root"])
        .arg(root)
        .args(arguments);
    run(&mut command, b"")
}

#[test]
fn a_place_others_cannot_get_to_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(directory.path(), mode).unwrap();
    };
    let root = directory.path().join("below/root");
    mode(0o700);
    let closed = directory.path().display().to_string();
    let ran = quickstart(&root, "example.org", &["--no-start"]);
    let words = [
        &closed[..],
        "closed to other users",
        "--root",
        &format!("chmod o+x {closed}"),
    ];
    let said = words.iter().all(|word| ran.err.contains(word));
    assert!(ran.code == 1 && said, "{}", ran.err);
    assert!(!root.join("control").exists());
    mode(0o711);
    quickstart(&root, "example.org", &["--no-start"]).good();
}

#[test]
fn a_quickstart_that_cannot_go_on_names_what_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (empty, short, plain) = (file("empty", ""), file("short", "abc\n"), file("plain", ""));
    let fine = file("fine", "long enough 1\n");
    let no_start = "--no-start";
    for (domain, arguments, words) in [
        (
            "not a domain",
            &[no_start][..],
            &["\"not a domain\"", "domain name", "example.org"][..],
        ),
        (
            "a..example",
            &[no_start],
            &["\"a..example\"", "empty label"],
        ),
        ("", &[no_start], &["domain name"]),
        (
            "example.org",
            &[no_start, "--hostname", "_ _"],
            &["\"_ _\"", "domain name"],
        ),
        (
            "example.org",
            &[no_start, "--port-base", "65000"],
            &["--port-base 65000", "up to"],
        ),
        (
            "example.org",
            &[no_start, "--password-file", "/nowhere/p"],
            &["/nowhere/p", "No such file"],
        ),
        (
            "example.org",
            &[no_start, "--password-file", &empty],
            &[&empty, "is empty", "write"],
        ),
        (
            "example.org",
            &[no_start, "--password-file", &short],
            &[&short, "too short", "8"],
        ),
    ] {
        let ran = quickstart(&root, domain, arguments);
        let said = words.iter().all(|word| ran.err.contains(word));
        assert!(ran.code != 0 && said, "{domain} {arguments:?}: {}", ran.err);
        assert!(!root.exists(), "{domain} {arguments:?} made something");
    }
    // The place is a file, or cannot be written.
    let ran = quickstart(Path::new(&plain), "example.org", &[no_start]);
    assert!(
        ran.code != 0 && ran.err.contains(&plain) && ran.err.contains("--root"),
        "{}",
        ran.err
    );
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let disk = SmallDisk::at(&tree, "size=1m,mode=755");
    disk.remount("ro");
    let ran = quickstart(&tree, "example.org", &[no_start]);
    assert!(
        ran.code != 0 && ran.err.contains("Read-only file system"),
        "{}",
        ran.err
    );
    disk.remount("rw");
    let ran = quickstart(&tree, "example.org", &[no_start]);
    let said = ran.err.contains("No space left on device") && ran.err.contains("tree");
    assert!(ran.code != 0 && said, "{}", ran.err);
    // Programs that were not built.
    let lonely = directory.path().join("indimail");
    testkit::copy_program(testkit::built_programs().join("indimail"), &lonely);
    let mut command = Command::new(&lonely);
    command
        .args(["quickstart", "example.org", no_start, "--root"])
        .arg(&root);
    let ran = run(&mut command, b"");
    assert!(ran.code != 0 && ran.err.contains("build"), "{}", ran.err);
    assert!(!root.exists());
    quickstart(&root, "example.org", &[no_start, "--password-file", &fine]).good();
}

/// Starts a quickstart in a process group of its own.
fn spawn_quickstart(root: &Path, base: &str) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    let mut command = Command::new(testkit::built_programs().join("indimail"));
    command
        .args(["quickstart", "example.org", "--port-base", base, "--root"])
        .arg(root)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("quickstart starts")
}

/// What a quickstart prints up to "ready", and the process.
fn until_ready(mut child: std::process::Child) -> (String, testkit::Background) {
    use std::io::{BufRead, BufReader, Read};
    let mut printed = String::new();
    let out = BufReader::new(child.stdout.take().expect("piped"));
    for line in out.lines().map_while(Result::ok) {
        if line == "indimail: ready" {
            return (printed, testkit::Background(child));
        }
        printed += &(line + "\n");
    }
    let mut errors = String::new();
    let _ = child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut errors);
    panic!("not ready: {printed}{errors}");
}

fn kill(target: &str) {
    run(Command::new("kill").args(["-9", "--", target]), b"");
}

#[test]
fn a_quickstart_killed_at_any_moment_is_completed_by_the_next() {
    let ports = testkit::PortRange::take();
    let base = ports.base.to_string();
    // Long enough for the whole installation, in steps that fall everywhere.
    for round in 0..6_u64 {
        let directory = tempfile::tempdir().unwrap();
        chmod(directory.path(), 0o755);
        let root = directory.path().join("root");
        let mut password = String::new();
        for kills in 0..4 {
            let child = spawn_quickstart(&root, &base);
            std::thread::sleep(Duration::from_millis(20 + round * 130 + kills * 170));
            kill(&format!("-{}", child.id()));
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            password += &text;
        }
        let (printed, mut server) = until_ready(spawn_quickstart(&root, &base));
        password += &printed;
        let mark = "(shown once): ";
        let at = password.rfind(mark).expect("the password is shown at last");
        let word = password[at + mark.len()..]
            .lines()
            .next()
            .unwrap_or_default();
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--insecure",
            "--ssl-reqd",
            "--user",
        ]);
        command.arg(format!("postmaster@example.org:{word}"));
        command.arg(format!("imap://127.0.0.1:{}/", ports.base + 143));
        run(&mut command, b"").good();
        let mut check = Command::new(root.join("bin/indimail"));
        check.args(["check", "--root"]).arg(&root);
        wait_for("check to be content", SOON, || {
            run(&mut check, b"").code == 0
        });
        assert_eq!(server.stop(SOON), Some(0));
    }
}

#[test]
fn nothing_runs_unnoticed_after_quickstart_or_svscan_was_killed() {
    let server = Installation::start("example.org");
    let service = server.root().join("service");
    let services = || {
        let all = run(
            server.tool("svstat").arg(service.join("qmail-send.25")),
            b"",
        )
        .out;
        all.contains("supervise not running")
    };
    kill(&server.pid().to_string());
    wait_for("the tree to end", SOON, services);
    wait_for("the port to be free", SOON, || {
        std::net::TcpListener::bind(("0.0.0.0", server.port(25))).is_ok()
    });

    let mut server = server;
    server.restart();
    accepted(&send(&server, "after"));
    server.wait_for_messages("ann", 1);
    let svscan = run(
        Command::new("pgrep").args(["-P", &server.pid().to_string(), "svscan"]),
        b"",
    );
    kill(svscan.out.trim());
    wait_for("quickstart to end", SOON, || {
        !Path::new(&format!("/proc/{}/exe", server.pid())).exists()
            || run(
                Command::new("ps").args(["-o", "stat=", "-p", &server.pid().to_string()]),
                b"",
            )
            .out
            .starts_with('Z')
    });
    wait_for("the tree to end", SOON, || {
        let told = run(
            server.tool("svstat").arg(service.join("qmail-send.25")),
            b"",
        );
        told.out.contains("supervise not running")
    });
    server.restart();
    accepted(&send(&server, "again"));
    server.wait_for_messages("ann", 2);
}

#[test]
fn a_tree_that_somebody_else_runs_is_named_by_quickstart() {
    let mut server = Installation::start("example.org");
    server.stop();
    let svscan = server
        .tool("svscan")
        .arg(server.root().join("service"))
        .env(
            "PATH",
            format!("{}/bin:/usr/bin:/bin", server.root().display()),
        )
        .spawn()
        .unwrap();
    let mut svscan = testkit::Background(svscan);
    wait_for("port 25", SOON, || {
        std::net::TcpStream::connect(("127.0.0.1", server.port(25))).is_ok()
    });
    let base = (server.port(25) - 25).to_string();
    let ran = quickstart(&server.root(), "example.org", &["--port-base", &base]);
    let pid = svscan.0.id().to_string();
    let said = ran.err.contains("run already") && ran.err.contains(&format!("kill {pid}"));
    assert!(ran.code != 0 && said, "{}", ran.err);
    svscan.stop(SOON);
}

#[test]
fn a_killed_qmail_daemon_leaves_no_qmail_send_behind() {
    let server = Installation::start("example.org");
    let status = server.root().join("service/qmail-send.25/supervise/status");
    let daemon = || u32::from_le_bytes(fs::read(&status).unwrap()[12..16].try_into().unwrap());
    let of_daemon = |pid: u32| run(Command::new("pgrep").args(["-P", &pid.to_string()]), b"").out;
    wait_for("qmail-send", SOON, || !of_daemon(daemon()).is_empty());
    let (before, send) = (daemon(), of_daemon(daemon()));
    kill(&before.to_string());
    let left = format!("/proc/{}/exe", send.trim());
    wait_for("the old qmail-send to end", SOON, || {
        fs::read_link(&left).is_err()
    });
    accepted(&self::send(&server, "after"));
    server.wait_for_messages("ann", 1);
    wait_for("a new one", SOON, || {
        !matches!(daemon(), 0) && daemon() != before && !of_daemon(daemon()).is_empty()
    });
}
