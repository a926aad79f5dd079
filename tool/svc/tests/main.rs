//! The real program, by its names.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn tool(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svc-tools"));
    command.arg0(format!("/somewhere/bin/{name}"));
    command
}

fn output(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(command: &mut Command) -> Option<i32> {
    output(command, b"").status.code()
}

fn text(command: &mut Command, input: &[u8]) -> String {
    String::from_utf8(output(command, input).stdout).unwrap()
}

#[test]
fn the_name_or_the_first_argument_says_which_tool() {
    let line = b"@4000000038c3eeb027f41c7c x\nno stamp\n";
    let expected = "952364710.670309500 x\nno stamp\n";
    assert_eq!(text(&mut tool("tai64nunix"), line), expected);
    assert_eq!(text(tool("svc-tools").arg("tai64nunix"), line), expected);
    let expected = "2000-03-06 17:45:10.670309500 x\nno stamp\n";
    assert_eq!(text(tool("tai64nlocal").env("TZ", "UTC"), line), expected);
    assert_eq!(code(&mut tool("svc-tools")), Some(100));
    assert_eq!(code(tool("svc-tools").arg("nonsense")), Some(100));
    assert!(text(tool("svc").arg("--help"), b"").starts_with("usage: svc "));
}

#[test]
fn stamps_can_be_read_again() {
    let stamped = text(&mut tool("tai64n"), b"one\ntwo");
    let lines: Vec<_> = stamped.lines().collect();
    assert!(lines[0].starts_with("@4000") && lines[0].ends_with(" one"));
    assert_eq!(lines[1].len(), 25 + 4);
}

#[test]
fn envdir_sets_removes_and_empties() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("SET", "value \t\nmore"),
        ("GONE", ""),
        ("EMPTY", "\n"),
        (".no", "x"),
    ] {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let script = "echo \"$SET|${GONE-unset}|${EMPTY-unset}\"";
    let mut command = tool("envdir");
    command
        .env("GONE", "x")
        .arg(directory.path())
        .args(["sh", "-c", script]);
    assert_eq!(text(&mut command, b""), "value|unset|\n");
    std::fs::create_dir(directory.path().join("BAD")).unwrap();
    assert_eq!(
        code(tool("envdir").arg(directory.path()).arg("true")),
        Some(111)
    );
    assert_eq!(
        code(tool("envdir").arg("-i").arg(directory.path()).arg("true")),
        Some(0)
    );
    assert_eq!(code(tool("envdir").arg(directory.path())), Some(100));
}

#[test]
fn softlimit_limits_the_child() {
    let limits = text(
        tool("softlimit").args(["-o", "50", "-c0", "sh", "-c", "ulimit -Sn; ulimit -Sc"]),
        b"",
    );
    assert_eq!(limits, "50\n0\n");
    assert_eq!(
        code(tool("softlimit").args(["-o", "many", "true"])),
        Some(100)
    );
    assert_eq!(code(tool("softlimit").args(["-z", "1", "true"])), Some(100));
    assert_eq!(code(tool("softlimit").args(["-o", "=", "true"])), Some(0));
}

#[test]
fn a_lock_keeps_others_out_until_the_child_ends() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lock");
    let mut holder = tool("setlock")
        .arg(&file)
        .args(["sleep", "1000"])
        .spawn()
        .unwrap();
    let held = || code(tool("setlock").arg("-n").arg(&file).arg("true"));
    let start = Instant::now();
    while held() != Some(111) {
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    let silent = output(
        tool("setlock").arg("-nx").arg(&file).args(["echo", "ran"]),
        b"",
    );
    assert_eq!(
        (silent.status.code(), &silent.stdout[..], &silent.stderr[..]),
        (Some(0), &b""[..], &b""[..])
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(held(), Some(0));
}

#[test]
fn fghack_stays_until_the_last_descendant_is_gone() {
    let start = Instant::now();
    assert_eq!(
        code(tool("fghack").args(["sh", "-c", "sleep 0.5 & exit 3"])),
        Some(3)
    );
    assert!(Duration::from_millis(450) < start.elapsed());
}

#[test]
fn accounts_are_looked_up() {
    assert_eq!(
        code(tool("setuidgid").args(["no-such-user", "true"])),
        Some(111)
    );
    assert_eq!(code(tool("setuidgid").arg("root")), Some(100));
    let ids = text(
        tool("envuidgid").args(["root", "sh", "-c", "echo $UID:$GID"]),
        b"",
    );
    assert_eq!(ids, "0:0\n");
    if os::account::is_root() {
        let script = "echo $(id -u) $(id -G)";
        let nobody = os::account::Account::by_name("nobody").unwrap().identity;
        let ids = text(tool("setuidgid").args(["nobody", "sh", "-c", script]), b"");
        assert_eq!(ids, format!("{} {}\n", nobody.uid, nobody.gid));
    }
}

#[test]
fn the_title_shows_the_last_input() {
    let mut command = tool("readproctitle");
    command
        .args(["service", "errors:", "....................."])
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"it broke\0 again").unwrap();
    let start = Instant::now();
    let path = format!("/proc/{}/cmdline", child.id());
    while !String::from_utf8_lossy(&std::fs::read(&path).unwrap())
        .contains(":\0.......it broke again\0")
    {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{:?}",
            std::fs::read(&path)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(code(tool("readproctitle").arg("...")), Some(100));
}

#[test]
fn without_supervise_there_is_nothing_to_control() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert_eq!(code(tool("svok").arg(path)), Some(100));
    assert_eq!(code(tool("svok").arg(path.join("missing"))), Some(111));
    assert_eq!(code(tool("svc").arg("-u").arg(path)), Some(2));
    assert_eq!(code(tool("svc").arg("-z").arg(path)), Some(100));
    let line = format!("{}: supervise not running\n", path.display());
    assert_eq!(text(tool("svstat").arg(path), b""), line);
}

#[test]
fn qmail_cat_prints_what_many_write_to_its_fifo() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let mut reader = tool("qmail-cat")
        .arg(&fifo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    for line in ["one", "two"] {
        // Each writer comes and goes; the first may be too early.
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match os::file::open_fifo_write(&fifo) {
                Ok(mut writer) => break writeln!(writer, "{line}").unwrap(),
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(lines.next().unwrap().unwrap(), line);
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    std::fs::write(directory.path().join("file"), "x").unwrap();
    assert_eq!(
        code(tool("qcat").arg(directory.path().join("file"))),
        Some(111)
    );
    assert_eq!(code(&mut tool("qmail-logfifo")), Some(100));
}
