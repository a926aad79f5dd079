//! Messages are scanned by a companion: `qmail-queued --companion`, started by
//! a queue writer before its sandbox closes, and never with its rights: as the
//! user `qscand` where there is one and the writer was started by root, as who
//! called a set-uid writer otherwise. It gets the text of each message through
//! a socket of its own while the text arrives, keeps it in a file only it can
//! read, and when the text ends answers with what the scanner says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use os::account::{Account, Identity};
use os::child::Setup;
use run::{Exit, Home, Settings};

use crate::{Error, Finding, Scanner};

/// The program that is the companion, with [`ARGUMENT`].
pub const PROGRAM: &str = "qmail-queued";
/// Argument of the companion.
pub const ARGUMENT: &str = "--companion";
/// Who scans.
const USER: &str = "qscand";
/// How long a scan may take, as those see it who wait for it.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// Exit code of qmail-queue(8) for a scanner that does not run.
const CODE_SCANNER: u8 = 77;

/// Answers of the companion; any other byte is an exit code.
const SKIPPED: u8 = 0;
const CLEAN: u8 = 1;
const INFECTED: u8 = 2;

/// The companion, as the queue writer sees it.
#[derive(Debug)]
pub struct Companion {
    /// What the settings say.
    pub scanner: Scanner,
    socket: Mutex<UnixStream>,
}

/// A message that is being scanned.
#[derive(Debug)]
pub struct Scan {
    text: UnixStream,
    /// A piece did not get there whole: what is scanned is not the message.
    is_broken: bool,
}

impl Companion {
    /// Starts `program` as the companion when messages are to be scanned;
    /// `owner` is who the queue writer is going to be.
    pub fn start(
        program: &Path,
        home: &Home,
        settings: &Settings,
        owner: Identity,
    ) -> Result<Option<Self>, Error> {
        let trouble = |source| Error::Run {
            program: program.display().to_string(),
            source,
        };
        let Some(scanner) = Scanner::configured(settings)? else {
            return Ok(None);
        };
        let (here, there) = UnixStream::pair().map_err(trouble)?;
        let mut command = Command::new(program);
        command
            .arg(ARGUMENT)
            .current_dir(home.root())
            .stdin(Stdio::from(OwnedFd::from(there)))
            .stdout(Stdio::null());
        let account = Account::by_name(USER).ok();
        let setup = Setup {
            identity: Some(account.map_or(owner, |account| account.identity)),
            new_session: true,
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        command.spawn().map_err(trouble)?;
        Ok(Some(Self {
            scanner,
            socket: Mutex::new(here),
        }))
    }

    /// Starts the scan of one message.
    pub fn begin(&self) -> io::Result<Scan> {
        let (here, there) = UnixStream::pair()?;
        here.set_read_timeout(Some(ANSWER_MAX))?;
        here.set_write_timeout(Some(ANSWER_MAX))?;
        let socket = self
            .socket
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        os::socket::send_with_fds(socket.as_fd(), b"s", &[there.as_fd()])?;
        Ok(Scan {
            text: here,
            is_broken: false,
        })
    }
}

impl Scan {
    /// Hands over a piece of the text. Trouble shows at the end.
    pub fn write(&mut self, piece: &[u8]) {
        self.is_broken = self.is_broken || self.text.write_all(piece).is_err();
    }

    /// The text is complete; what the scanner says, or the exit code of
    /// qmail-queue(8) for one that says nothing.
    pub fn finish(mut self) -> Result<Finding, u8> {
        if self.is_broken {
            return Err(CODE_SCANNER);
        }
        let mut answer = [0];
        let asked = self
            .text
            .shutdown(Shutdown::Write)
            .and_then(|()| self.text.read_exact(&mut answer));
        match (asked, answer[0]) {
            (Err(_), _) => Err(CODE_SCANNER),
            (Ok(()), SKIPPED) => Ok(Finding::Skipped),
            (Ok(()), CLEAN) => Ok(Finding::Clean),
            (Ok(()), INFECTED) => Ok(Finding::Infected),
            (Ok(()), code) => Err(code),
        }
    }
}

/// The companion itself: scans until the queue writer is gone.
pub fn run(settings: &Settings) -> Result<(), Exit> {
    let trouble = |text: String| Exit::new(run::TEMPORARY, text);
    let socket = os::fd::inherit(0).ok_or_else(|| trouble("no socket on 0".to_owned()))?;
    os::fd::set_close_on_exec(&socket, true).map_err(|error| trouble(error.to_string()))?;
    let socket = UnixStream::from(socket);
    let scanner = Scanner::configured(settings).map_err(|error| trouble(run::chain(&error)))?;
    let scanner = scanner.ok_or_else(|| trouble("QHPSI is not set".to_owned()))?;
    let scanner = std::sync::Arc::new(scanner);
    let mut buffer = [0; 64];
    loop {
        let received = os::socket::receive_with_fds(&socket, &mut buffer);
        let (length, fds) = match received {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(|error| trouble(error.to_string()))?,
        };
        if length == 0 {
            return Ok(());
        }
        for fd in fds {
            let scanner = std::sync::Arc::clone(&scanner);
            let thread = std::thread::Builder::new().spawn(move || {
                let mut text = UnixStream::from(fd);
                let answer = answer(&scanner, &mut text).unwrap_or_else(|error| {
                    run::warn(PROGRAM, &run::chain(&error));
                    error.exit_code()
                });
                // Who asked may be gone.
                let _ = text.write_all(&[answer]);
            });
            // Without one the socket is closed, which is no verdict.
            if let Err(error) = thread {
                run::warn(PROGRAM, &format!("cannot start a thread: {error}"));
            }
        }
    }
}

fn answer(scanner: &Scanner, text: &mut UnixStream) -> Result<u8, Error> {
    let failed = |source| Error::Run {
        program: "the copy for the scanner".to_owned(),
        source,
    };
    let mut file = tempfile::Builder::new()
        .prefix("qmail-queued.")
        .tempfile()
        .map_err(failed)?;
    let bytes = io::copy(text, file.as_file_mut()).map_err(failed)?;
    File::flush(file.as_file_mut()).map_err(failed)?;
    if !scanner.wants(bytes) {
        return Ok(SKIPPED);
    }
    Ok(match scanner.scan(file.path())? {
        Finding::Skipped => SKIPPED,
        Finding::Clean => CLEAN,
        Finding::Infected => INFECTED,
    })
}
