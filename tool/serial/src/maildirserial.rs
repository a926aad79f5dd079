//! maildirserial: gives the names of messages to a client and does what its
//! reports mean.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use run::Exit;

use crate::maildir::{Listing, Message, Waiting, list};
use crate::{bounce, temporary, usage};

const NAME: &str = "maildirserial";
/// Runs of the client without a single report, one after the other.
const IDLE_RUNS_MAX: u32 = 3;
/// Longest report of a client.
const REPORT_BYTES_MAX: usize = 8192;

/// What is done with messages that cannot be sent on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Failed {
    /// They stay.
    #[default]
    Keep,
    /// Their senders are told and they go.
    Bounce,
}

/// What to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub failed: Failed,
    /// Older messages that cannot be sent now have failed.
    pub seconds_max: Option<i64>,
    pub directory: PathBuf,
    pub prefix: Vec<u8>,
    /// The client and its arguments.
    pub client: Vec<OsString>,
}

pub fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let options = Options::parse(arguments).ok_or_else(|| usage(NAME))?;
    options.run()
}

/// What a client says of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Sent,
    Later,
    Never,
}

impl Options {
    fn parse(arguments: &[OsString]) -> Option<Self> {
        let mut options = Self::default();
        let mut rest = arguments;
        loop {
            match rest {
                [option, tail @ ..] if option == "--" => {
                    rest = tail;
                    break;
                }
                [option, tail @ ..] if option == "-b" => {
                    options.failed = Failed::Bounce;
                    rest = tail;
                }
                [option, seconds, tail @ ..] if option == "-t" => {
                    options.seconds_max = Some(seconds.to_str()?.parse().ok()?);
                    rest = tail;
                }
                [option, ..] if option.as_bytes().starts_with(b"-") => return None,
                _ => break,
            }
        }
        let [directory, prefix, client @ ..] = rest else {
            return None;
        };
        options.directory = directory.into();
        options.prefix = prefix.as_bytes().to_vec();
        options.client = client.to_vec();
        (!client.is_empty()).then_some(options)
    }

    /// Runs the client until it has said something about every message.
    pub fn run(&self) -> Result<u8, Exit> {
        let (mut open, now) = self.waiting()?;
        let mut idle_runs = 0;
        while !open.is_empty() {
            let before = open.len();
            self.run_client(&mut open, now)?;
            if open.len() < before {
                idle_runs = 0;
                continue;
            }
            idle_runs += 1;
            if IDLE_RUNS_MAX <= idle_runs {
                return Err(temporary("making no progress, giving up"));
            }
        }
        Ok(0)
    }

    /// The messages to send, and when that was. Who just delivered one wants it
    /// sent, so a second that is not over is waited for.
    fn waiting(&self) -> Result<(Vec<Waiting>, i64), Exit> {
        let mut now = os::clock::unix_seconds();
        let mut found = self.list(now)?;
        if found.young.iter().any(|young| young.changed.0 == now) {
            std::thread::sleep(Duration::from_secs(1));
            now = os::clock::unix_seconds();
            found = self.list(now)?;
        }
        for young in &found.young {
            let name = young.name.display();
            run::info(NAME, &format!("{name}: too young, left for the next time"));
        }
        Ok((found.ready, now))
    }

    fn list(&self, now: i64) -> Result<Listing, Exit> {
        list(&self.directory, &self.prefix, now).map_err(|error| {
            let place = self.directory.display();
            temporary(format!("unable to read maildir {place}: {error}"))
        })
    }

    /// Runs the client once; messages it says something about are taken out of
    /// the list.
    fn run_client(&self, open: &mut Vec<Waiting>, now: i64) -> Result<(), Exit> {
        let (program, arguments) = self.client.split_first().ok_or_else(|| usage(NAME))?;
        let unable = |error: io::Error| temporary(format!("unable to run the client: {error}"));
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(unable)?;
        let mut names = Vec::new();
        for waiting in open.iter() {
            names.extend_from_slice(waiting.name.as_os_str().as_bytes());
            names.push(0);
        }
        let mut by_name: BTreeMap<PathBuf, Waiting> = open
            .drain(..)
            .map(|waiting| (waiting.name.clone(), waiting))
            .collect();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let handled = std::thread::scope(|scope| {
            if let Some(mut stdin) = stdin {
                // One that stops reading has said why, or will run again.
                scope.spawn(move || stdin.write_all(&names));
            }
            let mut reports = BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?);
            while let Some((name, verdict, text)) = report(&mut reports)? {
                // A name that we did not give, or a second report, is none.
                if let Some(waiting) = by_name.remove(&name) {
                    self.handle(&waiting, verdict, &text, now);
                }
            }
            Ok::<(), io::Error>(())
        });
        open.extend(by_name.into_values());
        open.sort();
        let ended = os::child::wait(child).map_err(unable)?;
        if let Err(error) = handled {
            run::warn(NAME, &format!("the client reports strangely: {error}"));
        }
        if !open.is_empty() {
            run::warn(NAME, &format!("the client ended early: {ended:?}"));
        }
        Ok(())
    }

    fn handle(&self, waiting: &Waiting, verdict: Verdict, text: &[u8], now: i64) {
        let is_old = self
            .seconds_max
            .is_some_and(|max| waiting.changed.0 < now.saturating_sub(max));
        let verdict = match verdict {
            Verdict::Later if is_old => Verdict::Never,
            verdict => verdict,
        };
        let shown = text::log::printable(text, REPORT_BYTES_MAX);
        let word = match verdict {
            Verdict::Sent => "sent",
            Verdict::Later => "not now",
            Verdict::Never => "failed",
        };
        run::info(
            NAME,
            &format!("{}: {word}: {shown}", waiting.name.display()),
        );
        let result = match (verdict, self.failed) {
            (Verdict::Sent, _) => self.remove(waiting),
            (Verdict::Never, Failed::Bounce) => self
                .bounce(waiting, text)
                .and_then(|()| self.remove(waiting)),
            (Verdict::Never, Failed::Keep) | (Verdict::Later, _) => Ok(()),
        };
        if let Err(error) = result {
            // It is there still, and tried another time.
            run::warn(NAME, &format!("{}: {}", waiting.name.display(), error.text));
        }
    }

    fn remove(&self, waiting: &Waiting) -> Result<(), Exit> {
        std::fs::remove_file(self.directory.join(&waiting.name))
            .map_err(|error| temporary(format!("unable to remove it: {error}")))
    }

    fn bounce(&self, waiting: &Waiting, text: &[u8]) -> Result<(), Exit> {
        let opened = Message::open(&self.directory, &waiting.name);
        let opened = opened.map_err(|error| temporary(format!("unable to read it: {error}")))?;
        let Some(message) = opened else {
            return Err(temporary("it has changed"));
        };
        let recipient = message.recipient.strip_prefix(&self.prefix[..]);
        let recipient = recipient.unwrap_or(&message.recipient).to_vec();
        bounce::bounce(message, &recipient, text)
    }
}

/// One report: a name, NUL, a letter, a text, LF; `None` at the end.
fn report(input: &mut impl BufRead) -> io::Result<Option<(PathBuf, Verdict, Vec<u8>)>> {
    let mut name = Vec::new();
    input.read_until(0, &mut name)?;
    if name.pop() != Some(0) {
        return Ok(None);
    }
    let mut text = Vec::new();
    input.read_until(b'\n', &mut text)?;
    if text.pop() != Some(b'\n') {
        // The client died while it was speaking.
        return Ok(None);
    }
    let verdict = match text.first() {
        Some(b'K') => Verdict::Sent,
        Some(b'Z') => Verdict::Later,
        Some(b'D') => Verdict::Never,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let name = Path::new(OsStr::from_bytes(&name)).to_owned();
    Ok(Some((name, verdict, text.split_off(1))))
}
