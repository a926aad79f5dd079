//! Programs with the interface of qmail-queue(8): the message on 0, the
//! envelope on 1, what they have to say on `ERROR_FD`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use os::child::{Ended, Setup};
use run::{Home, Settings};
use settings::front_ends::ERROR_FD;
use text::envrules::Change;
use wire::trace::TraceId;

use crate::{CUSTOM_BYTES_MAX, Code, Refused};

/// First number that a descriptor for errors cannot have.
const ERROR_FD_END: i64 = 256;

/// A queue program and how it is to be started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<Vec<u8>>,
    root: PathBuf,
    variables: Vec<Change>,
    error_fd: Option<i32>,
}

impl Program {
    /// Reads a command: words, without a shell. A bare name is a program of
    /// ours, a relative path starts at the root. `variables` are what differs
    /// from this process's own.
    pub fn parse(
        home: &Home,
        settings: &Settings,
        command: &[u8],
        variables: &[Change],
    ) -> Result<Self, Refused> {
        let value = |name: &str| settings.variable(name).map(<[u8]>::to_vec);
        let misconfigured = |error: &dyn std::error::Error| {
            Refused::because(Code::Configuration, run::chain(error))
        };
        let words = text::words::split(command, value).map_err(|e| misconfigured(&e))?;
        let (name, arguments) = words.split_first().ok_or_else(|| {
            Refused::because(Code::Configuration, "the queue program has no name")
        })?;
        let number = settings.integer(&ERROR_FD).map_err(|e| misconfigured(&e))?;
        Ok(Self {
            path: locate(home, OsStr::from_bytes(name)),
            arguments: arguments.to_vec(),
            root: home.root().to_owned(),
            variables: variables.to_vec(),
            // 0 and 1 are the message and the envelope.
            error_fd: (2..ERROR_FD_END).contains(&number).then_some(number as i32),
        })
    }

    /// The program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[Vec<u8>] {
        &self.arguments
    }

    /// Where it is started: the root of the installation.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// Its variables that differ from those of this process.
    pub fn variables(&self) -> &[Change] {
        &self.variables
    }

    /// The same one with further variables.
    pub fn with(mut self, more: impl IntoIterator<Item = Change>) -> Self {
        self.variables.extend(more);
        self
    }

    /// The command, with its directory and its environment, and the
    /// descriptors that the program gets: `message` on 0, `envelope` on 1 and
    /// `errors` where it is to say why it refuses. To be spawned at once, and
    /// then dropped: it holds our copies of the descriptors.
    pub fn command(
        &self,
        trace: TraceId,
        wishes: &[u8],
        message: Option<OwnedFd>,
        envelope: OwnedFd,
        errors: OwnedFd,
    ) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(self.arguments.iter().map(|word| OsStr::from_bytes(word)))
            .current_dir(&self.root)
            .env("QMAILDIR", &self.root)
            .env(wire::trace::VARIABLE, trace.to_string())
            .env(wire::dsn::VARIABLE, OsStr::from_bytes(wishes));
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        let message = message.map(|message| (0, message));
        let errors = self.error_fd.map(|number| (number, errors));
        let setup = Setup {
            descriptors: message
                .into_iter()
                .chain([(1, envelope)])
                .chain(errors)
                .collect(),
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        command
    }

    /// Starts it for a message that comes piece by piece.
    pub fn start(&self, trace: TraceId, wishes: &[u8]) -> Result<Running, Refused> {
        let pipe = || os::fd::pipe().map_err(|error| Refused::because(Code::Pipe, error));
        let ((envelope_read, envelope), (errors, errors_write)) = (pipe()?, pipe()?);
        let mut command = self.command(trace, wishes, None, envelope_read, errors_write);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        drop(command);
        Ok(Running {
            message: child.stdin.take(),
            child,
            envelope: envelope.into(),
            errors: errors.into(),
        })
    }

    /// What a caller is told when the program cannot be started.
    pub fn not_started(&self, error: &io::Error) -> Refused {
        Refused::because(Code::Exec, format_args!("{}: {error}", self.path.display()))
    }
}

/// Where a queue program is: a bare name is a program of ours, a relative path
/// starts at the root.
pub fn locate(home: &Home, program: &OsStr) -> PathBuf {
    match program.as_bytes().contains(&b'/') {
        true => home.root().join(program),
        false => home.bin().join(program),
    }
}

/// A queue program that is reading a message.
#[derive(Debug)]
pub struct Running {
    child: Child,
    message: Option<ChildStdin>,
    envelope: File,
    errors: File,
}

impl Running {
    /// Writes a piece of the message.
    pub fn write(&mut self, piece: &[u8]) {
        if let Some(pipe) = &mut self.message
            && pipe.write_all(piece).is_err()
        {
            // It ended early; its exit code says why, at the end.
            self.message = None;
        }
    }

    /// Ends the message, writes the envelope, and waits; the process id when
    /// the message is queued. What the program says is passed on.
    pub fn commit(mut self, envelope: &[u8]) -> Result<u32, Refused> {
        let complete = self.message.take().is_some() && self.envelope.write_all(envelope).is_ok();
        drop(self.envelope);
        let mut said = Vec::new();
        let mut errors = self.errors.take(CUSTOM_BYTES_MAX as u64);
        let _ = errors.read_to_end(&mut said);
        // The rest is read, so that it need not wait for us.
        let _ = io::copy(&mut errors.into_inner(), &mut io::sink());
        let pid = self.child.id();
        match os::child::wait(self.child) {
            Ok(Ended::Code(0)) if complete => {
                let _ = io::stderr().write_all(&said);
                Ok(pid)
            }
            // It says yes without having read everything.
            Ok(Ended::Code(0)) => Err(Refused::from_code(Code::Read as u8, &said)),
            Ok(Ended::Code(code)) => {
                let code = u8::try_from(code).unwrap_or(Code::Crashed as u8);
                Err(Refused::from_code(code, &said))
            }
            Ok(Ended::Signal(_)) => Err(Refused::from_code(Code::Crashed as u8, &said)),
            Err(error) => Err(Refused::because(Code::Wait, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(command: &str) -> Result<Program, Refused> {
        let home = Home::at("/root of it");
        let settings = Settings::of_files(&home);
        let name = [("NAME", Some(&b"a b; rm"[..]))];
        Program::parse(&home, &settings.overlaid(name), command.as_bytes(), &[])
    }

    #[test]
    fn a_command_is_split_without_a_shell() {
        let found = program(" bin/x 'one two'  $NAME \"$NAME\" ").unwrap();
        assert_eq!(found.path(), Path::new("/root of it/bin/x"));
        let expected = ["one two", "a b; rm", "a b; rm"].map(|word| word.as_bytes().to_vec());
        assert_eq!(found.arguments(), expected);
        assert!(program("  ").is_err() && program("x 'open").is_err());
    }

    #[test]
    fn a_bare_name_is_one_of_ours() {
        let path = |command| program(command).unwrap().path().to_owned();
        assert_eq!(
            path("qmail-multi"),
            Path::new("/root of it/bin/qmail-multi")
        );
        assert_eq!(path("/bin/false"), Path::new("/bin/false"));
    }
}
