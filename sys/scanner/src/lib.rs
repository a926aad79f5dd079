//! `QHPSI`: a program looks for viruses in a message (smtp-receiving.md §5.7).
//!
//! [`Scanner`] is what the settings say, [`Scanner::scan`] runs the program on
//! a file, and [`Scanner::consequence`] says what becomes of the message then.
//! Queue writers, which start no programs, have a [`companion`] do it.
//!
//! Differs from the original: scanners loaded into the process (`plugin:`)
//! are refused.

pub mod companion;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use os::child::{Ended, Setup};
use run::{SettingError, Settings};
use settings::front_ends::{
    QHPSI, QHPSIFORWARD, QHPSIMAXSIZE, QHPSIMINSIZE, QHPSIRC, QHPSIRN, REJECTVIRUS,
};

/// What stands for the file in the scanner's arguments.
const FILE: &str = "%s";
/// How long a scan may take.
const SCAN_TIME_MAX: Duration = Duration::from_secs(300);
/// How often to see whether the program has ended, at most.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// There is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A control file cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingError),
    /// `QHPSI` is no command.
    #[error("QHPSI makes no sense: {0}")]
    Command(String),
    /// The program does not run, or not to its end.
    #[error("cannot run {program} of QHPSI: {source}")]
    Run {
        /// Its name.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// Its exit code means nothing.
    #[error("the scanner of QHPSI ended with {0}")]
    Ended(String),
}

impl Error {
    /// The exit code of qmail-queue(8).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 55,
            Self::Command(_) => 87,
            Self::Run { .. } | Self::Ended(_) => 77,
        }
    }
}

/// What the program says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Nobody looked, because of the message's size.
    Skipped,
    /// No virus.
    Clean,
    /// A virus.
    Infected,
}

impl Finding {
    /// The header line that tells of it, without its newline.
    pub fn header(self) -> Option<&'static [u8]> {
        match self {
            Self::Skipped => None,
            Self::Clean => Some(b"X-QHPSI: clean"),
            Self::Infected => Some(b"X-QHPSI: Virus found"),
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consequence<'a> {
    /// It goes on.
    Pass,
    /// It goes nowhere, and nobody is told.
    Discard,
    /// The caller is told that there is a virus.
    Refuse,
    /// It goes to this address instead.
    Forward(&'a [u8]),
    /// It goes to this address instead, and the caller is told that there is a
    /// virus.
    ForwardAndRefuse(&'a [u8]),
}

/// What `QHPSI` and its companions say.
#[derive(Clone, Debug)]
pub struct Scanner {
    command: Vec<OsString>,
    smallest: u64,
    largest: u64,
    infected: i64,
    clean: i64,
    reject: i64,
    forward: Option<Vec<u8>>,
}

impl Scanner {
    /// Reads the settings; `None` when nothing is to be scanned.
    pub fn configured(settings: &Settings) -> Result<Option<Self>, Error> {
        let set = |name| settings.variable(name).filter(|v: &&[u8]| !v.is_empty());
        let Some(line) = set(QHPSI.variable) else {
            return Ok(None);
        };
        if line.starts_with(b"plugin:") {
            let text = "it names a plugin; only programs are started";
            return Err(Error::Command(text.to_owned()));
        }
        let value = |name: &str| settings.variable(name).map(<[u8]>::to_vec);
        let words =
            text::words::split(line, value).map_err(|error| Error::Command(error.to_string()))?;
        let size = |setting| -> Result<u64, Error> {
            Ok(settings.integer(setting)?.max(0).unsigned_abs())
        };
        Ok(Some(Self {
            command: words.into_iter().map(OsString::from_vec).collect(),
            smallest: size(&QHPSIMINSIZE)?,
            largest: size(&QHPSIMAXSIZE)?,
            infected: settings.integer(&QHPSIRC)?,
            clean: settings.integer(&QHPSIRN)?,
            reject: settings.integer(&REJECTVIRUS)?,
            forward: set(QHPSIFORWARD.variable)
                .or_else(|| set("VIRUSFORWARD"))
                .map(<[u8]>::to_vec),
        }))
    }

    /// Says whether a message of this size is looked at.
    pub fn wants(&self, bytes: u64) -> bool {
        self.smallest <= bytes && (self.largest == 0 || bytes <= self.largest)
    }

    /// Runs the program on a file.
    pub fn scan(&self, file: &Path) -> Result<Finding, Error> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| Error::Command("it is empty".to_owned()))?;
        let mut command = Command::new(program);
        match arguments {
            [] => command.arg(file),
            arguments => command.args(arguments.iter().map(|word| match word {
                word if word == FILE => file.as_os_str(),
                word => word,
            })),
        };
        // Descriptor 1 may be an envelope; the scanner writes where nobody
        // reads.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        os::child::prepare(&mut command, Setup::default());
        let ended = wait(command).map_err(|source| Error::Run {
            program: program.to_string_lossy().into_owned(),
            source,
        })?;
        match ended {
            Ended::Code(code) if i64::from(code) == self.clean => Ok(Finding::Clean),
            Ended::Code(code) if i64::from(code) == self.infected => Ok(Finding::Infected),
            Ended::Code(code) => Err(Error::Ended(code.to_string())),
            Ended::Signal(signal) => Err(Error::Ended(format!("signal {signal}"))),
        }
    }

    /// What becomes of a message (`REJECTVIRUS`, `QHPSIFORWARD`).
    pub fn consequence(&self, finding: Finding) -> Consequence<'_> {
        match (finding, self.reject, &self.forward) {
            (Finding::Skipped | Finding::Clean, ..) => Consequence::Pass,
            (Finding::Infected, 0, None) => Consequence::Pass,
            (Finding::Infected, 2, None) => Consequence::Discard,
            (Finding::Infected, _, None) => Consequence::Refuse,
            (Finding::Infected, 0 | 2, Some(address)) => Consequence::Forward(address),
            (Finding::Infected, _, Some(address)) => Consequence::ForwardAndRefuse(address),
        }
    }
}

/// Runs a command to its end; one that takes too long is killed.
fn wait(mut command: Command) -> io::Result<Ended> {
    let mut child = command.spawn()?;
    let deadline = Instant::now() + SCAN_TIME_MAX;
    let mut pause = Duration::from_millis(1);
    while child.try_wait()?.is_none() {
        if deadline <= Instant::now() {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(pause);
        pause = PAUSE_MAX.min(pause * 2);
    }
    os::child::wait(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::Home;

    fn scanner(variables: &[(&str, &str)]) -> Result<Option<Scanner>, Error> {
        let settings = Settings::of_files(&Home::at("/nowhere"));
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, Some(value.as_bytes())));
        Scanner::configured(&settings.overlaid(variables))
    }

    #[test]
    fn exit_codes_are_verdicts_and_others_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("scan it");
        testkit::write_script(&script, "#!/bin/sh\ntest -f \"$1\" || exit 9\nexit $2\n");
        let message = directory.path().join("message");
        std::fs::write(&message, "x\n").unwrap();
        let run = |code: &str| {
            let line = format!("'{}' %s {code}", script.display());
            let found = scanner(&[("QHPSI", &line[..]), ("QHPSIRC", "3")]);
            found.unwrap().unwrap().scan(&message)
        };
        assert_eq!(run("0").unwrap(), Finding::Clean);
        assert_eq!(run("3").unwrap(), Finding::Infected);
        assert_eq!(run("1").unwrap_err().exit_code(), 77);
        let missing = scanner(&[("QHPSI", "/no/such")]).unwrap().unwrap();
        assert_eq!(missing.scan(&message).unwrap_err().exit_code(), 77);
    }

    #[test]
    fn a_virus_is_refused_unless_something_else_is_said() {
        let consequence = |more: &[(&str, &str)]| {
            let scanner = scanner(&[&[("QHPSI", "x")], more].concat());
            let scanner = scanner.unwrap().unwrap();
            format!("{:?}", scanner.consequence(Finding::Infected))
        };
        assert_eq!(consequence(&[]), "Refuse");
        assert_eq!(consequence(&[("REJECTVIRUS", "0")]), "Pass");
        assert_eq!(consequence(&[("REJECTVIRUS", "2")]), "Discard");
        let jail = ("QHPSIFORWARD", "j@x");
        assert!(consequence(&[jail]).starts_with("ForwardAndRefuse("));
        assert!(consequence(&[jail, ("REJECTVIRUS", "2")]).starts_with("Forward("));
    }

    #[test]
    fn nothing_set_is_nothing_scanned_and_plugins_are_refused() {
        assert!(scanner(&[]).unwrap().is_none());
        assert!(scanner(&[("QHPSI", "")]).unwrap().is_none());
        let error = scanner(&[("QHPSI", "plugin:a.so")]).unwrap_err();
        assert_eq!(error.exit_code(), 87);
        let sizes = [("QHPSI", "x"), ("QHPSIMINSIZE", "5"), ("QHPSIMAXSIZE", "9")];
        let scanner = scanner(&sizes).unwrap().unwrap();
        let wanted: Vec<u64> = (0..20).filter(|bytes| scanner.wants(*bytes)).collect();
        assert_eq!(wanted, [5, 6, 7, 8, 9]);
    }
}
