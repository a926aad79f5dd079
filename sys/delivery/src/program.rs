//! Running the programs of users and sites.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use os::child::Ended;
use os::signal::Interest;
use serde::{Deserialize, Serialize};

use crate::outcome::{OUTPUT_BYTES_MAX, STOP};
use crate::shell_line;

/// What runs command lines.
const SHELL: &[u8] = b"/bin/sh";

/// A program that runs longer is killed, with all it started; the delivery is
/// tried again later.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often to see whether a program that keeps silent has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A program to run. Descriptors come beside it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Job {
    /// The program, an absolute path.
    pub program: Vec<u8>,
    /// Its arguments after its name.
    pub arguments: Vec<Vec<u8>>,
    /// Its working directory.
    pub directory: Vec<u8>,
    /// The whole of its environment.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// What of its output goes into the report.
    pub captured: Captured,
}

impl Job {
    /// A command line: for a shell, or for nobody but the program it names.
    pub fn of_line(line: &[u8], directory: Vec<u8>, environment: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            program: SHELL.to_vec(),
            arguments: vec![b"-c".to_vec(), line.to_vec()],
            directory,
            environment,
            captured: Captured::OutputAndErrors,
        }
    }

    /// What is started for it, and with which arguments.
    fn started(&self) -> (&[u8], Vec<&[u8]>) {
        if let [option, line] = &self.arguments[..]
            && self.program == SHELL
            && option == b"-c"
            && let Some(words) = shell_line::words(line)
            && let [program, arguments @ ..] = &words[..]
        {
            return (program, arguments.to_vec());
        }
        let arguments = self.arguments.iter().map(Vec::as_slice);
        (&self.program, arguments.collect())
    }
}

/// Which descriptors of a program are read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Captured {
    /// 1 and 2.
    OutputAndErrors,
    /// 2 only; 1 is what the caller says.
    Errors,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// Killed by a signal, or by us after too long a time.
    Crashed,
}

/// A program that has ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finished {
    /// How.
    pub ending: Ending,
    /// The start of what it printed.
    pub output: Vec<u8>,
    /// Its process id.
    pub pid: u32,
}

/// Runs programs to their end.
pub trait Programs: Send + Sync {
    /// Runs one program with these descriptors (number there, what it is
    /// here). An error means that it did not start.
    fn run(&self, job: &Job, descriptors: Vec<(i32, OwnedFd)>) -> io::Result<Finished>;
}

/// Runs programs as children of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Programs for Direct {
    fn run(&self, job: &Job, descriptors: Vec<(i32, OwnedFd)>) -> io::Result<Finished> {
        self.run_within(job, descriptors, TIME_MAX)
    }
}

impl Direct {
    fn run_within(
        self,
        job: &Job,
        mut descriptors: Vec<(i32, OwnedFd)>,
        time_max: Duration,
    ) -> io::Result<Finished> {
        let text = std::ffi::OsStr::from_bytes;
        let (program, arguments) = job.started();
        let mut command = Command::new(text(program));
        command
            .args(arguments.into_iter().map(text))
            .current_dir(text(&job.directory))
            .env_clear()
            .envs(job.environment.iter().map(|(n, v)| (text(n), text(v))))
            .stdin(Stdio::null())
            // A group of its own, so that all of it can be killed.
            .process_group(0);
        let (output, write) = os::fd::pipe()?;
        if job.captured == Captured::OutputAndErrors {
            descriptors.push((1, write.try_clone()?));
        }
        descriptors.push((2, write));
        os::child::hand_over(&mut command, descriptors);
        let mut child = command.spawn()?;
        // Holds our copies of the descriptors; with the pipe's write end
        // open here its end would never be seen.
        drop(command);
        let pid = child.id();
        os::fd::set_nonblocking(&output, true)?;
        let output = collect(&mut child, output.into(), time_max)?;
        let ending = match os::child::wait(child)? {
            Ended::Code(code) => Ending::Code(code),
            Ended::Signal(_) => Ending::Crashed,
        };
        Ok(Finished {
            ending,
            output,
            pid,
        })
    }
}

/// Reads what a program prints until it has ended. A grandchild that keeps
/// the pipe open is not waited for.
fn collect(child: &mut Child, mut pipe: File, time_max: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + time_max;
    let mut kept = Vec::new();
    let mut pause = Duration::from_millis(1);
    let mut open = true;
    loop {
        let ended = child.try_wait()?.is_some();
        if open {
            open = drain(&mut pipe, &mut kept)?;
        }
        if ended {
            return Ok(kept);
        }
        if deadline <= Instant::now() {
            kill_all(child);
        }
        if open {
            os::signal::poll(&[(pipe.as_fd(), Interest::Read)], Some(LOOK_EVERY))?;
        } else {
            // The usual case: the end of the pipe is the end of the program.
            std::thread::sleep(pause);
            pause = LOOK_EVERY.min(pause * 2);
        }
    }
}

/// Kills a program and what it started, but for what left its group.
fn kill_all(child: &mut Child) {
    let group = i32::try_from(child.id()).map(nix::unistd::Pid::from_raw);
    if let Ok(group) = group {
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.kill();
}

/// Reads what is there; whether more can come.
fn drain(pipe: &mut File, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(got) => {
                let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..got.min(room)]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the exit code of a user's program means for the delivery: 0, 99, 100
/// or 111 (qmail-command(8)).
pub fn exit_code_of_program(code: i32) -> u8 {
    match code {
        0 => 0,
        99 => STOP,
        64 | 65 | 70 | 76 | 77 | 78 | 100 | 112 => run::PERMANENT,
        _ => run::TEMPORARY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Finished {
        let job = Job {
            program: b"/bin/sh".to_vec(),
            arguments: vec![b"-c".to_vec(), text.as_bytes().to_vec()],
            directory: b"/".to_vec(),
            environment: vec![(b"A".to_vec(), b"b".to_vec())],
            captured: Captured::OutputAndErrors,
        };
        let stdin = crate::memory_file(b"input").unwrap();
        Direct.run(&job, vec![(0, stdin.into())]).unwrap()
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let done = shell("cat; echo $A >&2; exit 7");
        assert_eq!(done.ending, Ending::Code(7));
        assert_eq!(done.output, b"inputb\n");
        assert_eq!(shell("kill -9 $$").ending, Ending::Crashed);
    }

    #[test]
    fn a_line_of_plain_words_is_run_as_a_shell_would() {
        let run = |line: &[u8]| {
            let job = Job::of_line(line, b"/".to_vec(), Vec::new());
            let done = Direct.run(&job, Vec::new()).unwrap();
            (done.ending, String::from_utf8(done.output).unwrap())
        };
        let with_shell = |line: &str| run(format!("{line};").as_bytes());
        for line in [
            "/bin/echo  a b",
            "/bin/sh -c exit",
            "/bin/ls /does/not/exist",
            "/bin/pwd",
        ] {
            let (ending, output) = run(line.as_bytes());
            let (expected, by_shell) = with_shell(line);
            assert_eq!(ending, expected, "{line}");
            assert_eq!(output, by_shell, "{line}");
        }
        assert_eq!(run(b"/does/not/exist").0, Ending::Code(127));
    }

    #[test]
    fn a_flood_of_output_is_cut() {
        let done = shell("head -c 1000000 /dev/zero; exit 3");
        assert_eq!(done.ending, Ending::Code(3));
        assert_eq!(done.output.len(), OUTPUT_BYTES_MAX);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("survived");
        let text = format!(
            "echo x; (sleep 2; touch {}) & sleep 60; exit 0",
            mark.display()
        );
        let job = Job {
            program: b"/bin/sh".to_vec(),
            arguments: vec![b"-c".to_vec(), text.into_bytes()],
            directory: b"/".to_vec(),
            environment: Vec::new(),
            captured: Captured::OutputAndErrors,
        };
        let short = Duration::from_millis(300);
        let done = Direct.run_within(&job, Vec::new(), short).unwrap();
        assert_eq!(
            (done.ending, &done.output[..]),
            (Ending::Crashed, &b"x\n"[..])
        );
        std::thread::sleep(Duration::from_secs(3));
        assert!(!mark.exists());
    }

    #[test]
    fn a_program_that_closes_its_output_is_waited_for() {
        let done = shell("exec >&- 2>&-; sleep 0.3; exit 9");
        assert_eq!(done.ending, Ending::Code(9));
    }

    #[test]
    fn a_background_process_does_not_hold_the_delivery() {
        let start = Instant::now();
        let done = shell("echo x; sleep 5 & exit 0");
        assert_eq!(done.output, b"x\n");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
