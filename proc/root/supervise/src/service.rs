//! The life of one service.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use os::child::{Setup, prepare};
use os::signal::{Signal, send};
use tai::{Label, UnixTime};

use crate::PROGRAM;
use crate::directory::{Directory, STATUS_BYTES};

/// Shortest time between two starts.
const RESTART_MIN: Duration = Duration::from_secs(1);
/// How long to wait when no process can be made.
const FORK_RETRY: Duration = Duration::from_secs(60);
/// How long a `shutdown` program may take before the service is told anyway.
const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// What the administrator wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Want {
    Up,
    Down,
    /// No wish: it runs until it ends.
    Once,
}

/// Does supervise go on?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// Wait for the next thing to happen.
    Continues,
    /// It was told to exit, and the service is down.
    Ended,
}

/// A `shutdown` program that runs before the service is told to stop.
#[derive(Clone, Copy, Debug)]
struct Shutdown {
    pid: u32,
    give_up: Instant,
}

/// The service and what is wanted of it.
#[derive(Debug)]
pub struct Service {
    name: String,
    want: Want,
    exits: bool,
    /// 0 while it is down.
    pid: u32,
    paused: bool,
    changed: UnixTime,
    /// When it is to be started, while it is down.
    start_at: Option<Instant>,
    last_start: Option<Instant>,
    shutdown: Option<Shutdown>,
}

impl Service {
    /// A service that is down, and stays so when there was a `down` file.
    pub fn new(starts_down: bool, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            want: if starts_down { Want::Down } else { Want::Up },
            exits: false,
            pid: 0,
            paused: false,
            changed: now(),
            start_at: (!starts_down).then(Instant::now),
            last_start: None,
            shutdown: None,
        }
    }

    /// Writes the status file.
    pub fn announce(&self, directory: &Directory) {
        let mut status = [0; STATUS_BYTES];
        status[..12].copy_from_slice(&Label(self.changed).to_bytes());
        status[12..16].copy_from_slice(&self.pid.to_le_bytes());
        status[16] = u8::from(self.paused);
        status[17] = match self.want {
            Want::Up => b'u',
            Want::Down => b'd',
            Want::Once => 0,
        };
        directory.write_status(&status);
    }

    /// Does what has become due.
    pub fn advance(&mut self, directory: &Directory) -> Flow {
        let now = Instant::now();
        if self
            .shutdown
            .is_some_and(|shutdown| shutdown.give_up <= now)
        {
            let text = format!("{}/shutdown takes too long, going on without it", self.name);
            run::warn(PROGRAM, &text);
            self.shutdown = None;
            self.terminate();
        }
        if self.pid == 0 && self.exits {
            return Flow::Ended;
        }
        if self.pid == 0 && self.start_at.is_some_and(|at| at <= now) {
            self.start(directory);
        }
        Flow::Continues
    }

    /// How long nothing is due.
    pub fn wait_max(&self) -> Option<Duration> {
        let start = self.start_at.filter(|_| self.pid == 0);
        let shutdown = self.shutdown.map(|shutdown| shutdown.give_up);
        let next = start.into_iter().chain(shutdown).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Obeys a control letter (operations.md §1.4); unknown ones mean nothing.
    pub fn obey(&mut self, letter: u8, directory: &Directory) {
        match letter {
            b'u' => self.wish(Want::Up),
            b'o' => {
                self.wish(Want::Once);
                self.paused &= self.pid != 0;
            }
            b'd' => {
                self.want = Want::Down;
                self.start_at = None;
                self.stop();
            }
            b'r' => {
                self.wish(Want::Up);
                self.stop();
            }
            b'x' => self.exits = true,
            b'p' if self.pid != 0 => {
                self.signal(Signal::SIGSTOP);
                self.paused = true;
            }
            b'c' => {
                self.signal(Signal::SIGCONT);
                self.paused = false;
            }
            b'h' => self.signal(Signal::SIGHUP),
            b'a' => self.signal(Signal::SIGALRM),
            b'i' => self.signal(Signal::SIGINT),
            b't' => self.signal(Signal::SIGTERM),
            b'k' => self.signal(Signal::SIGKILL),
            b'q' => self.signal(Signal::SIGQUIT),
            b'1' | b'U' => self.signal(Signal::SIGUSR1),
            b'2' => self.signal(Signal::SIGUSR2),
            _ => return,
        }
        self.announce(directory);
    }

    /// A child ended: the service or its `shutdown` program.
    pub fn ended(&mut self, pid: u32, directory: &Directory) {
        if self.shutdown.is_some_and(|shutdown| shutdown.pid == pid) {
            self.shutdown = None;
            self.terminate();
        }
        if self.pid != pid {
            return;
        }
        self.pid = 0;
        self.paused = false;
        self.changed = now();
        self.start_at = (self.want == Want::Up).then(|| self.next_start());
        self.announce(directory);
    }

    fn wish(&mut self, want: Want) {
        self.want = want;
        if self.pid == 0 {
            self.start_at = Some(self.next_start());
        }
    }

    /// At once, unless the last start was just now.
    fn next_start(&self) -> Instant {
        let now = Instant::now();
        self.last_start
            .map_or(now, |last| now.max(last + RESTART_MIN))
    }

    fn start(&mut self, directory: &Directory) {
        let started = Instant::now();
        self.last_start = Some(started);
        match spawn("./run") {
            Ok(pid) => {
                self.pid = pid;
                self.start_at = None;
                self.paused = false;
                self.changed = now();
                self.announce(directory);
            }
            Err(error) if is_want_of_processes(&error) => {
                let text = format!(
                    "unable to fork for {}, sleeping 60 seconds: {error}",
                    self.name
                );
                run::warn(PROGRAM, &text);
                self.start_at = Some(started + FORK_RETRY);
            }
            Err(error) => {
                run::warn(
                    PROGRAM,
                    &format!("unable to start {}/run: {error}", self.name),
                );
                // As if it had ended at once: what is wanted once was tried.
                self.start_at = (self.want == Want::Up).then_some(started + RESTART_MIN);
            }
        }
    }

    /// Runs `shutdown` first when there is one.
    fn stop(&mut self) {
        if self.pid == 0 || self.shutdown.is_some() {
            return;
        }
        if Path::new("shutdown").exists() {
            match spawn("./shutdown") {
                Ok(pid) => {
                    let give_up = Instant::now() + SHUTDOWN_MAX;
                    self.shutdown = Some(Shutdown { pid, give_up });
                    return;
                }
                Err(error) => {
                    run::warn(
                        PROGRAM,
                        &format!("unable to start {}/shutdown: {error}", self.name),
                    );
                }
            }
        }
        self.terminate();
    }

    /// A stopped process must go on to see the signal.
    fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
        self.paused = false;
    }

    fn signal(&self, signal: Signal) {
        if self.pid != 0 {
            // It may have ended this very moment.
            let _ = send(self.pid, signal);
        }
    }
}

fn spawn(program: &str) -> io::Result<u32> {
    let mut command = Command::new(program);
    prepare(&mut command, Setup::default());
    Ok(command.spawn()?.id())
}

fn is_want_of_processes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
    )
}

fn now() -> UnixTime {
    let (seconds, nanoseconds) = os::clock::now();
    UnixTime {
        seconds,
        nanoseconds,
    }
}
