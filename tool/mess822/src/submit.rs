//! Puts a message into the queue: through the persistent writer when it is
//! there, else through qmail-queue(8).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use os::child::Ended;
use run::{Home, Link, Settings};
use settings::front_ends::{ERROR_FD, QMAILQUEUE};
use text::envrules::Change;
use wire::frame::FRAME_BYTES_MAX;
use wire::queue::{DATA_BYTES_MAX, RECIPIENTS_MAX, Reply, Request, VERSION};
use wire::trace::TraceId;

/// How long the queue writer may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest text a queue program may give for exit code 88.
const CUSTOM_BYTES_MAX: u64 = 1023;
/// The exit code whose text the queue program gives itself.
const CODE_CUSTOM: u8 = 88;
/// First number that a descriptor for errors cannot have.
const ERROR_FD_END: i32 = 256;
/// Shortest text that counts as one.
const CUSTOM_BYTES_MIN: usize = 3;
/// Codes that the caller makes up (queue-and-delivery.md §3.1.3).
const CODE_EXEC: u8 = 120;
const CODE_PIPE: u8 = 60;
const CODE_WAIT: u8 = 122;
const CODE_CRASHED: u8 = 123;
const CODE_NETWORK: u8 = 74;
const CODE_WRITE: u8 = 54;
const CODE_CONFIGURATION: u8 = 87;

/// Most bytes an address takes in a frame beside its own.
const LENGTH_BYTES_MAX: usize = 5;

/// Where a message is queued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submitted {
    /// Name of the queue.
    pub queue: String,
    /// Number in it.
    pub message: u64,
}

/// The queue does not take a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Whether it never will.
    pub permanent: bool,
    /// Why not.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Refusal {
    /// What an exit code means; `said` is what the queue program wrote.
    fn new(code: u8, said: &str) -> Self {
        let said = said.trim();
        let (report, said) = match code {
            CODE_CUSTOM if CUSTOM_BYTES_MIN <= said.len() && said.starts_with(['D', 'Z']) => {
                (said, "")
            }
            code => (queue::report(code), said),
        };
        let mut text = report.get(1..).unwrap_or_default().to_owned();
        if !said.is_empty() {
            text.push_str(": ");
            text.push_str(said);
        }
        Self {
            permanent: report.starts_with('D'),
            text: text::log::printable(text.as_bytes(), 2 * CUSTOM_BYTES_MAX as usize),
        }
    }
}

/// A message on its way. Dropped before [`Submission::commit`] it leaves
/// nothing behind.
pub struct Submission(Way);

enum Way {
    Link(Link),
    Program(Program),
    /// `NULLQUEUE`: everything is swallowed.
    Nowhere,
    Print,
}

struct Program {
    child: Child,
    message: Option<ChildStdin>,
    envelope: File,
    errors: File,
}

/// Starts a message. `NULLQUEUE`, `QMAILQUEUE`, `QUEUEDIR` and variables that
/// rules `changes` for the sender ask for a program of their own; without them
/// the persistent writer is asked first.
pub fn begin(
    home: &Home,
    settings: &Settings,
    changes: &[Change],
    trace: TraceId,
    recipients: &[Vec<u8>],
) -> Result<Submission, Refusal> {
    let overlay = changes.iter();
    let settings =
        settings.overlaid(overlay.map(|(name, value)| (name.as_str(), value.as_deref())));
    let chosen = |name| {
        settings
            .variable(name)
            .filter(|value: &&[u8]| !value.is_empty())
    };
    if settings.variable("NULLQUEUE").is_some() {
        return Ok(Submission(Way::Nowhere));
    }
    // What the sender wants to be told.
    let wishes = chosen(wire::dsn::VARIABLE).unwrap_or_default().to_vec();
    if changes.is_empty()
        && fits_link(recipients)
        && chosen(QMAILQUEUE.variable).is_none()
        && chosen("QUEUEDIR").is_none()
        && let Ok(mut link) = Link::connect(&home.socket("queue"), VERSION, ANSWER_TIMEOUT)
    {
        let ip = settings.variable("TCPREMOTEIP");
        let begin = Request::Begin {
            trace,
            remote_ip: ip.map(|ip| text::log::printable(ip, 64)),
        };
        let dsn = Request::Dsn(wishes.clone());
        // A writer that is about to end may have taken the connection; the
        // program does as well.
        if link.send(&begin).is_ok() && (wishes.is_empty() || link.send(&dsn).is_ok()) {
            return Ok(Submission(Way::Link(link)));
        }
    }
    let command = chosen(QMAILQUEUE.variable).unwrap_or(b"qmail-queue");
    let program = Program::start(home, &settings, command, changes, trace, &wishes)?;
    Ok(Submission(Way::Program(program)))
}

/// Says whether the persistent writer takes that many recipients at once; the
/// program reads them one by one.
fn fits_link(recipients: &[Vec<u8>]) -> bool {
    let bytes: usize = recipients.iter().map(|r| r.len() + LENGTH_BYTES_MAX).sum();
    recipients.len() <= RECIPIENTS_MAX && bytes < FRAME_BYTES_MAX / 2
}

impl Submission {
    /// Shows the message on standard output instead.
    pub fn print() -> Self {
        Self(Way::Print)
    }

    /// Sends a piece of the message.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        match &mut self.0 {
            Way::Nowhere => Ok(()),
            Way::Print => io::stdout()
                .write_all(piece)
                .map_err(|error| Refusal::new(CODE_WRITE, &error.to_string())),
            Way::Link(link) => {
                for part in piece.chunks(DATA_BYTES_MAX) {
                    if let Err(error) = link.send(&Request::Data(part.to_vec())) {
                        // It may have said why before it hung up.
                        return Err(match link.receive() {
                            Ok(Some(Reply::Refused { code, text })) => Refusal::new(code, &text),
                            _ => Refusal::new(CODE_NETWORK, &error.to_string()),
                        });
                    }
                }
                Ok(())
            }
            Way::Program(program) => program.write(piece),
        }
    }

    /// Ends the message and sends its envelope. After this it is on disk.
    pub fn commit(
        self,
        sender: &[u8],
        recipients: Vec<Vec<u8>>,
    ) -> Result<Option<Submitted>, Refusal> {
        match self.0 {
            Way::Nowhere => Ok(None),
            Way::Print => io::stdout()
                .flush()
                .map(|()| None)
                .map_err(|error| Refusal::new(CODE_WRITE, &error.to_string())),
            Way::Link(link) => commit_link(link, sender, recipients).map(Some),
            Way::Program(program) => program.commit(sender, &recipients).map(|()| None),
        }
    }
}

fn commit_link(
    mut link: Link,
    sender: &[u8],
    recipients: Vec<Vec<u8>>,
) -> Result<Submitted, Refusal> {
    let mut extra_headers: Vec<u8> = std::env::var_os("QQEH")
        .map(OsStringExt::into_vec)
        .unwrap_or_default();
    if extra_headers.last().is_some_and(|&last| last != b'\n') {
        extra_headers.push(b'\n');
    }
    let commit = Request::Commit {
        sender: sender.to_vec(),
        recipients,
        extra_headers,
    };
    match link.ask(&commit) {
        Ok(Reply::Queued { message, queue, .. }) => Ok(Submitted { queue, message }),
        Ok(Reply::Refused { code, text }) => Err(Refusal::new(code, &text)),
        Err(error) => Err(Refusal::new(CODE_NETWORK, &error.to_string())),
    }
}

/// The child's descriptor for custom errors; `None` when it shall have none.
fn error_descriptor(settings: &Settings) -> Option<i32> {
    let number = settings.integer(&ERROR_FD).unwrap_or(2);
    let number = i32::try_from(number).ok()?;
    // 0 and 1 are the message and the envelope.
    (2..ERROR_FD_END).contains(&number).then_some(number)
}

impl Program {
    fn start(
        home: &Home,
        settings: &Settings,
        command: &[u8],
        changes: &[Change],
        trace: TraceId,
        wishes: &[u8],
    ) -> Result<Self, Refusal> {
        let failed = |code| move |error: io::Error| Refusal::new(code, &error.to_string());
        let variable = |name: &str| settings.variable(name).map(<[u8]>::to_vec);
        let words = text::words::split(command, variable)
            .map_err(|error| Refusal::new(CODE_CONFIGURATION, &error.to_string()))?;
        let path = crate::front::locate(home, OsStr::from_bytes(&words[0]));
        let error_descriptor = error_descriptor(settings);
        let (envelope_read, envelope) = os::fd::pipe().map_err(failed(CODE_PIPE))?;
        let (errors, errors_write) = os::fd::pipe().map_err(failed(CODE_PIPE))?;
        let mut command = Command::new(&path);
        command
            .args(words[1..].iter().map(|word| OsStr::from_bytes(word)))
            .current_dir(home.root())
            .env(wire::trace::VARIABLE, trace.to_string())
            .env(wire::dsn::VARIABLE, OsStr::from_bytes(wishes))
            .env("QMAILDIR", home.root())
            .stdin(Stdio::piped());
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        let setup = os::child::Setup {
            descriptors: std::iter::once((1, envelope_read))
                .chain(error_descriptor.map(|number| (number, errors_write)))
                .collect(),
            ..Default::default()
        };
        os::child::prepare(&mut command, setup);
        let mut child = command.spawn().map_err(|error| {
            let text = format!("{}: {error}", path.display());
            Refusal::new(CODE_EXEC, &text)
        })?;
        // The command holds our copies of the child's ends.
        drop(command);
        Ok(Self {
            message: child.stdin.take(),
            child,
            envelope: envelope.into(),
            errors: errors.into(),
        })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let Some(pipe) = &mut self.message else {
            return Ok(());
        };
        if pipe.write_all(piece).is_err() {
            // It ended early; its exit code says why, at the end.
            self.message = None;
        }
        Ok(())
    }

    fn commit(mut self, sender: &[u8], recipients: &[Vec<u8>]) -> Result<(), Refusal> {
        let complete = self.message.take().is_some();
        let mut envelope = Vec::new();
        text::records::append(&mut envelope, b'F', sender);
        for recipient in recipients {
            text::records::append(&mut envelope, b'T', recipient);
        }
        envelope.push(0);
        let complete = complete && self.envelope.write_all(&envelope).is_ok();
        drop(self.envelope);
        let mut said = Vec::new();
        let _ = self.errors.take(CUSTOM_BYTES_MAX).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        match os::child::wait(self.child) {
            Ok(Ended::Code(0)) if complete => {
                // What a queue program says is for whoever started us.
                let _ = io::stderr().write_all(said.as_bytes());
                Ok(())
            }
            Ok(Ended::Code(0)) => Err(Refusal::new(CODE_WRITE, "")),
            Ok(Ended::Code(code)) => Err(Refusal::new(
                u8::try_from(code).unwrap_or(CODE_CRASHED),
                &said,
            )),
            Ok(Ended::Signal(_)) => Err(Refusal::new(CODE_CRASHED, &said)),
            Err(error) => Err(Refusal::new(CODE_WAIT, &error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_have_the_texts_of_the_guide() {
        let refusal = Refusal::new(53, "");
        assert_eq!(refusal.text, "qq write error or disk full (#4.3.0)");
        assert!(!refusal.permanent && Refusal::new(31, "").permanent);
        let custom = Refusal::new(88, "Dmail looks odd (#5.7.1)\n");
        assert!(custom.permanent);
        assert_eq!(custom.text, "mail looks odd (#5.7.1)");
        assert_eq!(
            Refusal::new(88, "x").text,
            "qq temporary problem (#4.3.0): x"
        );
        let more = Refusal::new(62, "qmail-queue: fatal: no such queue\n");
        assert!(
            more.text
                .ends_with("(#4.3.0): qmail-queue: fatal: no such queue")
        );
    }
}
