//! A command that runs: what it says goes to the listener as it comes.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use os::account::Identity;
use os::child::Setup;
use os::signal::{Interest, Signal};
use run::{Home, Link, LinkError};
use wire::admin::Reply;

/// How long a command may take.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How long it may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How much is passed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// How often a command that says nothing any more is looked at.
const POLL: Duration = Duration::from_millis(20);
/// What is found beside our own programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Where a command sees who asks.
const REMOTE_IP: &str = "TCPREMOTEIP";

/// A command about to run.
pub struct Order<'a> {
    pub home: &'a Home,
    pub program: &'a str,
    pub arguments: &'a [String],
    pub input: &'a [u8],
    pub merged: bool,
    pub identity: Option<Identity>,
    pub remote_ip: &'a str,
}

impl Order<'_> {
    /// Runs it to its end, or until the listener goes; its exit code.
    pub fn run(&self, link: &mut Link) -> Result<u8, LinkError> {
        match self.start() {
            Ok(mut running) => {
                let heard = running.listen(link);
                let code = running.end();
                heard.map(|()| code)
            }
            Err(error) => {
                let text = format!("{}: cannot be run here: {error}\n", self.program);
                link.send(&self.complaint(text.into_bytes()))?;
                Ok(run::TEMPORARY)
            }
        }
    }

    fn start(&self) -> io::Result<Running> {
        let bin = self.home.bin();
        let mut command = Command::new(bin.join(self.program));
        command
            .args(self.arguments)
            .env_clear()
            .env("QMAILDIR", self.home.root())
            .env("PATH", format!("{}:{PATH}", bin.display()))
            .env(REMOTE_IP, self.remote_ip)
            .stdin(Stdio::piped());
        if let Some(domain) = std::env::var_os("DEFAULT_DOMAIN") {
            command.env("DEFAULT_DOMAIN", domain);
        }
        let (output, write) = os::fd::pipe()?;
        let (complaints, error_write) = match self.merged {
            true => (None, write.try_clone()?),
            false => {
                let (read, write) = os::fd::pipe()?;
                (Some(read), write)
            }
        };
        let setup = Setup {
            descriptors: vec![(1, write), (2, error_write)],
            identity: self.identity,
            new_session: true,
            signal_when_parent_ends: None,
        };
        os::child::prepare(&mut command, setup);
        let mut child = command.spawn()?;
        // It holds our copies of the pipes.
        drop(command);
        if let Some(mut stdin) = child.stdin.take() {
            // Less than a pipe holds; who does not read it needs none.
            let _ = stdin.write_all(self.input);
        }
        let pipes = [
            Some((output, Stream::Output)),
            complaints.map(|read| (read, Stream::Complaints)),
        ];
        Ok(Running {
            child,
            pipes: pipes
                .into_iter()
                .flatten()
                .map(|(read, kind)| (read.into(), kind))
                .collect(),
            deadline: Instant::now() + TIME_MAX,
        })
    }

    fn complaint(&self, text: Vec<u8>) -> Reply {
        match self.merged {
            true => Reply::Output(text),
            false => Reply::Complaint(text),
        }
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Complaints,
}

struct Running {
    child: Child,
    pipes: Vec<(std::fs::File, Stream)>,
    deadline: Instant,
}

impl Running {
    /// Passes on what it says, until it says no more or nobody listens.
    fn listen(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let mut piece = [0; PIECE_BYTES];
        while !self.pipes.is_empty() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut waits = vec![(link.stream().as_fd(), Interest::Read)];
            let pipes = self.pipes.iter();
            waits.extend(pipes.map(|(pipe, _)| (pipe.as_fd(), Interest::Read)));
            let Ok(ready) = os::signal::poll(&waits, Some(left)) else {
                return Ok(());
            };
            // The listener has nothing to say now: it is gone.
            if ready[0] {
                return Ok(());
            }
            let mut ended = None;
            for (number, (pipe, kind)) in self.pipes.iter_mut().enumerate() {
                if !ready[number + 1] {
                    continue;
                }
                match pipe.read(&mut piece) {
                    Ok(0) | Err(_) => ended = Some(number),
                    Ok(length) => {
                        let bytes = piece[..length].to_vec();
                        link.send(&match kind {
                            Stream::Output => Reply::Output(bytes),
                            Stream::Complaints => Reply::Complaint(bytes),
                        })?;
                    }
                }
            }
            if let Some(number) = ended {
                self.pipes.remove(number);
            }
        }
        Ok(())
    }

    /// Waits for the end, asks for it, and then insists.
    fn end(mut self) -> u8 {
        use std::os::unix::process::ExitStatusExt;
        let is_silent = self.pipes.is_empty();
        self.pipes.clear();
        let mut until = match is_silent {
            true => self.deadline,
            false => Instant::now(),
        };
        let mut signals = [Signal::SIGTERM, Signal::SIGKILL].into_iter();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    let code = status.code().or(status.signal().map(|signal| 128 + signal));
                    return code
                        .and_then(|code| u8::try_from(code).ok())
                        .unwrap_or(run::TEMPORARY);
                }
                Ok(None) if until <= Instant::now() => match signals.next() {
                    Some(signal) => {
                        let _ = os::signal::send_to_group(self.child.id(), signal);
                        until = Instant::now() + GRACE;
                    }
                    None => return run::TEMPORARY,
                },
                Ok(None) => std::thread::sleep(POLL),
                Err(_) => return run::TEMPORARY,
            }
        }
    }
}
