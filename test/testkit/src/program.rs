//! Running programs: to their end with a limit, or in the background.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No client of a test may take longer.
const RUN_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// A program that ran to its end.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; 128 and the signal when it was killed.
    pub code: i32,
    /// What it printed on stdout.
    pub out: String,
    /// What it printed on stderr.
    pub err: String,
}

impl Ran {
    /// Expects exit code 0, showing what was printed otherwise.
    ///
    /// # Panics
    /// When the program failed.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// Runs a program with this input.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that does not read its input is not at fault.
        let _ = stdin.write_all(&input);
    });
    let collect = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = collect(Box::new(child.stdout.take().expect("piped")));
    let err = collect(Box::new(child.stderr.take().expect("piped")));
    let deadline = Instant::now() + RUN_MAX;
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break status,
            None if deadline < Instant::now() => {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "{shown} did not end; it printed:\n{}",
                    out.join().unwrap_or_default()
                );
            }
            None => std::thread::sleep(POLL),
        }
    };
    let _ = writer.join();
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let (out, err) = (
        out.join().unwrap_or_default(),
        err.join().unwrap_or_default(),
    );
    Ran { code, out, err }
}

/// Waits until something holds.
///
/// # Panics
/// When it does not within the time.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// A program in the background, ended when dropped.
#[derive(Debug)]
pub struct Background(pub Child);

impl Background {
    /// Asks it to end and waits; kills it when it does not.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn stop(&mut self, limit: Duration) -> Option<i32> {
        if let Ok(Some(status)) = self.0.try_wait() {
            return status.code();
        }
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + limit;
        loop {
            match self.0.try_wait().expect("a child can be waited for") {
                Some(status) => return status.code(),
                None if deadline < Instant::now() => {
                    let _ = self.0.kill();
                    let _ = self.0.wait();
                    return None;
                }
                None => std::thread::sleep(POLL),
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(30));
    }
}
