//! The real programs together: svscan, supervise, svc-tools, multilog.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use os::signal::Signal;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A program of another package, built when it is not there yet.
fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let directory = Path::new(env!("CARGO_BIN_EXE_svscan")).parent().unwrap();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--offline",
            "-q",
            "-p",
            "supervise",
            "-p",
            "multilog",
            "-p",
            "svc-tools",
        ]);
        assert!(cargo.status().unwrap().success());
    });
    directory.join(name)
}

fn svc_tool(name: &str, arguments: &[&str], path: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(program("svc-tools"));
    let output = command
        .arg0(name)
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

struct Scanned {
    directory: tempfile::TempDir,
    child: Child,
}

impl Scanned {
    fn start(interval: &str, prepare: impl Fn(&Path)) -> Self {
        program("supervise");
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let child = Command::new(env!("CARGO_BIN_EXE_svscan"))
            .arg(directory.path())
            .env("SCANINTERVAL", interval)
            .spawn()
            .unwrap();
        Self { directory, child }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn svstat(&self, name: &str) -> String {
        svc_tool("svstat", &[], &self.path(name)).1
    }

    fn svok(&self, name: &str) -> Option<i32> {
        svc_tool("svok", &[], &self.path(name)).0
    }

    fn svc(&self, options: &str, name: &str) {
        assert_eq!(svc_tool("svc", &[options], &self.path(name)).0, Some(0));
    }

    fn signal(&self, signal: Signal) {
        os::signal::send(self.child.id(), signal).unwrap();
    }

    /// TERM, and how it ended.
    fn term(mut self) -> tempfile::TempDir {
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < WAIT_MAX, "svscan does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.child.wait().unwrap().success());
        self.directory
    }
}

fn service(path: &Path, run: &str) {
    std::fs::create_dir_all(path).unwrap();
    testkit::write_script(path.join("run"), &format!("#!/bin/sh\n{run}\n"));
}

fn logger(path: &Path) {
    let multilog = program("multilog");
    service(path, &format!("exec {} ./main", multilog.display()));
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT_MAX, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn services_and_their_loggers_run_and_stop_in_order_without_losing_a_line() {
    let run = "trap 'echo stopping; for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; exit' TERM\n\
               echo started; while :; do sleep 0.1; done";
    let scanned = Scanned::start("1", |root| {
        service(&root.join("x"), run);
        logger(&root.join("x/log"));
        service(&root.join(".hidden"), "exec sleep 1000");
        logger(&root.join(".svscan/log"));
    });
    wait_until(|| scanned.svstat("x").contains(": up (pid "));
    assert_eq!(scanned.svok("x/log"), Some(0));
    assert_eq!(scanned.svok(".hidden"), Some(100));
    let own = scanned.path(".svscan/log/main/current");
    wait_until(|| {
        let text = std::fs::read_to_string(&own).unwrap_or_default();
        text.starts_with("svscan: info: *** Starting svscan\n")
    });
    let log = scanned.path("x/log/main/current");
    wait_until(|| std::fs::read_to_string(&log).is_ok_and(|text| text == "started\n"));
    let directory = scanned.term();
    let text = std::fs::read_to_string(directory.path().join("x/log/main/current")).unwrap();
    let expected: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    assert_eq!(text, format!("started\nstopping\n{expected}"));
    for name in ["x", "x/log", ".svscan/log"] {
        assert_eq!(
            svc_tool("svok", &[], &directory.path().join(name)).0,
            Some(100),
            "{name}"
        );
    }
}

#[test]
fn a_logger_that_is_killed_loses_nothing_of_the_pipe() {
    let scanned = Scanned::start("1", |root| {
        service(
            &root.join("x"),
            "n=0; while :; do echo $n; n=$((n+1)); sleep 0.02; done",
        );
        logger(&root.join("x/log"));
    });
    let read = || std::fs::read_to_string(scanned.path("x/log/main/current")).unwrap_or_default();
    wait_until(|| 5 < read().lines().count());
    // TERM leaves the rest in the pipe; supervise starts the next one on it.
    let before = scanned.svstat("x/log");
    scanned.svc("-t", "x/log");
    wait_until(|| scanned.svstat("x/log") != before && 20 < read().lines().count());
    let directory = scanned.term();
    let text = std::fs::read_to_string(directory.path().join("x/log/main/current")).unwrap();
    for (expected, line) in text.lines().enumerate() {
        assert_eq!(line, expected.to_string());
    }
}

#[test]
fn with_interval_0_only_hup_makes_a_scan() {
    let scanned = Scanned::start("0", |root| service(&root.join("a"), "exec sleep 1000"));
    wait_until(|| scanned.svok("a") == Some(0));
    service(&scanned.path("b"), "exec sleep 1000");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scanned.svok("b"), Some(100));
    scanned.signal(Signal::SIGHUP);
    wait_until(|| scanned.svok("b") == Some(0));
    scanned.term();
}

#[test]
fn a_supervise_that_was_told_to_exit_comes_back_at_the_next_scan() {
    let scanned = Scanned::start("3", |root| service(&root.join("x"), "exec sleep 1000"));
    wait_until(|| scanned.svstat("x").contains(": up (pid "));
    scanned.svc("-dx", "x");
    wait_until(|| scanned.svok("x") == Some(100));
    wait_until(|| scanned.svok("x") == Some(0));
    scanned.term();
}

#[test]
fn a_renamed_service_stays_the_same_and_a_removed_one_is_forgotten() {
    let scanned = Scanned::start("1", |root| service(&root.join("x"), "exec sleep 1000"));
    wait_until(|| scanned.svstat("x").contains(": up (pid "));
    let pid = |line: String| {
        line.split("(pid ")
            .nth(1)
            .map(|rest| rest.split(')').next().unwrap().to_owned())
    };
    let before = pid(scanned.svstat("x"));
    std::fs::rename(scanned.path("x"), scanned.path("y")).unwrap();
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(pid(scanned.svstat("y")), before);
    // With the dot it is no service any more: down for good.
    std::fs::rename(scanned.path("y"), scanned.path(".y")).unwrap();
    std::thread::sleep(Duration::from_millis(3500));
    scanned.svc("-dx", ".y");
    wait_until(|| scanned.svok(".y") == Some(100));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scanned.svok(".y"), Some(100));
    scanned.term();
}

#[test]
fn after_a_kill_the_next_one_takes_over_and_nothing_stays_behind() {
    let mut scanned = Scanned::start("1", |root| {
        service(&root.join("x"), "echo started; exec sleep 1000");
        logger(&root.join("x/log"));
        logger(&root.join(".svscan/log"));
    });
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let (own, log) = (
        scanned.path(".svscan/log/main/current"),
        scanned.path("x/log/main/current"),
    );
    wait_until(|| read(own.clone()).contains("Starting svscan"));
    wait_until(|| read(log.clone()) == "started\n");
    scanned.child.kill().unwrap();
    scanned.child.wait().unwrap();
    let before = scanned.svstat("x");
    assert!(before.contains(": up (pid "), "{before}");
    scanned.child = Command::new(env!("CARGO_BIN_EXE_svscan"))
        .arg(scanned.directory.path())
        .env("SCANINTERVAL", "1")
        .spawn()
        .unwrap();
    wait_until(|| read(own.clone()).matches("Starting svscan").count() == 2);
    let pid = |text: &str| text.split_once("pid ").map(|(_, pid)| pid.to_owned());
    let word = |text: &str| pid(text).and_then(|rest| rest.split(')').next().map(str::to_owned));
    assert_eq!(word(&scanned.svstat("x")), word(&before), "it goes on");
    // Its supervise ends, then that of its logger, and new ones come.
    scanned.svc("-dx", "x");
    wait_until(|| read(log.clone()) == "started\nstarted\n");
    assert_ne!(word(&scanned.svstat("x")), word(&before));
    let directory = scanned.term();
    for name in ["x", "x/log", ".svscan/log"] {
        let code = svc_tool("svok", &[], &directory.path().join(name)).0;
        assert_eq!(code, Some(100), "{name}");
    }
}
