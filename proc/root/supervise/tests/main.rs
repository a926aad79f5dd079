//! The real program, with services that are shell scripts.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use os::signal::Signal;

const WAIT_MAX: Duration = Duration::from_secs(60);

struct Supervised {
    directory: tempfile::TempDir,
    child: Child,
}

impl Supervised {
    /// A service whose `run` is this script; `files` are there from the start.
    fn start(run: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files.iter().chain(&[("run", run)]) {
            script(&directory.path().join(name), content);
        }
        // As nohup starts it: services must get their signals all the same.
        let child = Command::new("sh")
            .args(["-c", "trap '' HUP; exec \"$0\" \"$1\""])
            .arg(env!("CARGO_BIN_EXE_supervise"))
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { directory, child };
        wait_until(|| started.path("supervise/status").exists() && started.control("").is_ok());
        started
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn control(&self, letters: &str) -> std::io::Result<()> {
        let mut control = os::file::open_fifo_write(&self.path("supervise/control"))?;
        control.write_all(letters.as_bytes())
    }

    /// Process, paused, want.
    fn status(&self) -> (u32, u8, u8) {
        let status = std::fs::read(self.path("supervise/status")).unwrap();
        assert_eq!(status.len(), 18);
        let pid = u32::from_le_bytes(status[12..16].try_into().unwrap());
        (pid, status[16], status[17])
    }

    fn wait_for(&self, holds: impl Fn((u32, u8, u8)) -> bool) -> u32 {
        wait_until(|| holds(self.status()));
        self.status().0
    }

    /// Lines of a file the scripts write.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.control("dxk");
        wait_until(|| self.child.try_wait().is_ok_and(|status| status.is_some()));
    }
}

fn script(path: &Path, content: &str) {
    testkit::write_script(path, &format!("#!/bin/sh\n{content}\n"));
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT_MAX, "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_service_is_started_again() {
    let service = Supervised::start("exec sleep 1000", &[]);
    let first = service.wait_for(|(pid, ..)| pid != 0);
    os::signal::send(first, Signal::SIGKILL).unwrap();
    let second = service.wait_for(|(pid, ..)| pid != 0 && pid != first);
    assert_eq!(service.status(), (second, 0, b'u'));
}

#[test]
fn a_service_that_ends_at_once_is_started_once_a_second() {
    let start = Instant::now();
    let service = Supervised::start("echo start >> starts", &[]);
    wait_until(|| 3 <= service.lines("starts").len());
    assert!(Duration::from_millis(1900) < start.elapsed());
}

#[test]
fn down_and_up_and_once() {
    let service = Supervised::start("exec sleep 1000", &[("down", "")]);
    assert_eq!(service.status(), (0, 0, b'd'));
    service.control("u").unwrap();
    service.wait_for(|(pid, _, want)| pid != 0 && want == b'u');
    service.control("d").unwrap();
    service.wait_for(|(pid, _, want)| pid == 0 && want == b'd');
    service.control("o").unwrap();
    let pid = service.wait_for(|(pid, _, want)| pid != 0 && want == 0);
    service.control("t").unwrap();
    service.wait_for(|(pid, ..)| pid == 0);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(service.status().0, 0);
    service.control("u").unwrap();
    assert_ne!(service.wait_for(|(pid, ..)| pid != 0), pid);
}

#[test]
fn signals_reach_the_service_and_a_paused_one_can_be_stopped() {
    let run = "trap 'echo HUP >> seen' HUP; trap 'echo ALRM >> seen' ALRM; \
               trap 'echo USR1 >> seen' USR1; echo ready >> seen; \
               while :; do sleep 0.05; done";
    let service = Supervised::start(run, &[]);
    wait_until(|| service.lines("seen") == ["ready"]);
    for (letter, name) in [("h", "HUP"), ("a", "ALRM"), ("1", "USR1")] {
        service.control(letter).unwrap();
        wait_until(|| {
            service
                .lines("seen")
                .last()
                .is_some_and(|last| last == name)
        });
    }
    service.control("p").unwrap();
    service.wait_for(|(_, paused, _)| paused == 1);
    service.control("d").unwrap();
    service.wait_for(|(pid, paused, _)| pid == 0 && paused == 0);
}

#[test]
fn shutdown_runs_before_term_and_control_works_meanwhile() {
    let run = "trap 'echo term >> seen; exit' TERM; trap 'echo hup >> seen' HUP; \
               echo ready >> seen; while :; do sleep 0.05; done";
    let shutdown = "sleep 0.5; echo shutdown >> seen";
    let service = Supervised::start(run, &[("shutdown", shutdown)]);
    wait_until(|| service.lines("seen") == ["ready"]);
    service.control("d").unwrap();
    service.control("h").unwrap();
    service.wait_for(|(pid, ..)| pid == 0);
    assert_eq!(service.lines("seen"), ["ready", "hup", "shutdown", "term"]);
}

#[test]
fn exit_waits_for_the_service_and_a_second_supervise_is_refused() {
    let mut service = Supervised::start("exec sleep 1000", &[]);
    service.wait_for(|(pid, ..)| pid != 0);
    let second = Command::new(env!("CARGO_BIN_EXE_supervise"))
        .arg(service.directory.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(second.status.code(), Some(111));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(
        text.starts_with("supervise: fatal: unable to acquire "),
        "{text}"
    );
    service.control("x").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(service.child.try_wait().unwrap().is_none());
    service.control("d").unwrap();
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn term_to_supervise_stops_the_service_too() {
    let mut service = Supervised::start("exec sleep 1000", &[]);
    let pid = service.wait_for(|(pid, ..)| pid != 0);
    os::signal::send(service.child.id(), Signal::SIGTERM).unwrap();
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_run_that_cannot_be_started_is_tried_again() {
    let service = Supervised::start("exec sleep 1000", &[("down", "")]);
    std::fs::rename(service.path("run"), service.path("away")).unwrap();
    service.control("u").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    std::fs::rename(service.path("away"), service.path("run")).unwrap();
    service.wait_for(|(pid, ..)| pid != 0);
}
