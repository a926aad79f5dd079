//! Carrying out instructions (queue-and-delivery.md §6.4).

use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use dotqmail::{Facts, Instruction, VirtualProgram};
use maildir::mbox::{self, Links};
use run::envdir::{self, Unreadable, Variable};
use wire::trace::TraceId;

use super::Mode;
use super::home::printable;
use crate::forward::{self, Forward};
use crate::outcome::{OUTPUT_BYTES_MAX, Outcome, STOP, Step, maildir_outcome, reason};
use crate::program::{Ending, Job, exit_code_of_program};
use crate::site::{Site, VirtualUsers};
use crate::users::Users;
use crate::virtual_user;

/// Most addresses one set of instructions forwards to.
const FORWARDS_MAX: usize = 100_000;
/// Most bytes of a label in a report.
const LABEL_BYTES_SHOWN: usize = 100;

/// Numbers of the last output line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Did {
    files: u32,
    forwards: u32,
    programs: u32,
}

/// One delivery whose preconditions hold.
pub(super) struct Delivery<'a> {
    pub(super) site: &'a Site,
    pub(super) message: &'a File,
    pub(super) mode: Mode,
    pub(super) facts: Facts,
    pub(super) home: PathBuf,
    pub(super) header_variables: Vec<(String, Vec<u8>)>,
    pub(super) chosen_variables: Vec<Variable>,
    pub(super) trace: TraceId,
    pub(super) forwards_only: bool,
    pub(super) forwards: Vec<Vec<u8>>,
    pub(super) did: Did,
    pub(super) output: Vec<u8>,
}

/// Go on with the next line?
#[derive(Eq, PartialEq)]
enum Next {
    Line,
    Forwards,
}

impl Delivery<'_> {
    /// Carries out the lines from top to bottom, then sends the forwards in
    /// one message. A line that fails ends everything, forwards included.
    pub(super) fn run(mut self, users: &dyn Users, text: &[u8]) -> Outcome {
        match self.lines(users, text).and_then(|()| self.finish()) {
            Ok(()) => Outcome::success().after(self.output),
            Err(outcome) => outcome.after(self.output),
        }
    }

    fn lines(&mut self, users: &dyn Users, text: &[u8]) -> Step {
        // Jumps lead down only, so every line is obeyed once at most.
        let mut wanted = None;
        for (number, instruction) in dotqmail::instructions(text).enumerate() {
            if let Some(label) = wanted {
                if instruction == Instruction::Label(label) {
                    wanted = None;
                }
                continue;
            }
            match instruction {
                Instruction::Nothing | Instruction::Label(_) => {}
                Instruction::Blank if number == 0 => {
                    return Err(Outcome::temporary(
                        "Uh-oh: first line of .qmail file is blank. (#4.2.1)",
                    ));
                }
                Instruction::Blank => {}
                Instruction::ForwardsOnly => self.forwards_only = true,
                Instruction::Forward(address) => self.collect(address)?,
                Instruction::Mbox(path) => self.file("mbox", path, Self::append)?,
                Instruction::Maildir(path) => self.file("maildir", path, Self::store)?,
                Instruction::Program(command) => {
                    if self.program(users, "program", command)? == Next::Forwards {
                        break;
                    }
                }
                Instruction::Variables(directory) => self.choose(directory)?,
                Instruction::Jump { label, command } => {
                    let jumps = match command {
                        Some(command) => self.program(users, "jump if", command)? == Next::Forwards,
                        None => true,
                    };
                    wanted = jumps.then_some(label);
                }
            }
        }
        match wanted {
            None => Ok(()),
            // Going on as if the rest were not there would lose mail.
            Some(label) => Err(Outcome::temporary(format_args!(
                "Uh-oh: .qmail has no line :{} below its jump. (#4.2.1)",
                text::log::printable(label, LABEL_BYTES_SHOWN)
            ))),
        }
    }

    /// Takes variables for the programs below.
    fn choose(&mut self, directory: &[u8]) -> Step {
        if self.mode == Mode::Print {
            self.say("variables", directory);
            return Ok(());
        }
        let path = self.home.join(OsStr::from_bytes(directory));
        let chosen = envdir::read(&path, Unreadable::Refused).map_err(|error| {
            let shown = printable(&error.path);
            let reason = reason(&error.source);
            Outcome::temporary(format_args!("Unable to read {shown}: {reason}. (#4.3.0)"))
        })?;
        self.chosen_variables.extend(chosen);
        Ok(())
    }

    fn collect(&mut self, address: &[u8]) -> Step {
        self.did.forwards += 1;
        if self.mode == Mode::Print {
            self.say("forward", address);
        } else if address.contains(&0) || FORWARDS_MAX <= self.forwards.len() {
            return Err(Outcome::temporary(
                "Unable to forward message: too many or impossible addresses. (#4.2.1)",
            ));
        } else {
            self.forwards.push(address.to_vec());
        }
        Ok(())
    }

    fn file(&mut self, kind: &str, path: &[u8], deliver: fn(&mut Self, PathBuf) -> Step) -> Step {
        self.did.files += 1;
        if self.forwards_only {
            return Err(Outcome::temporary(
                "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)",
            ));
        }
        if self.mode == Mode::Print {
            self.say(kind, path);
            return Ok(());
        }
        if path.contains(&0) {
            return Err(Outcome::temporary(
                "Unable to open file: NUL in its name. (#4.2.1)",
            ));
        }
        // Joining an absolute path gives that path.
        deliver(self, self.home.join(OsStr::from_bytes(path)))
    }

    fn store(&mut self, path: PathBuf) -> Step {
        let prefix = [
            self.facts.return_path_line(),
            self.facts.delivered_to_line(),
            self.facts.extra_lines(),
        ]
        .concat();
        match maildir::deliver::deliver(
            &path,
            &self.site.host,
            &prefix,
            self.message,
            self.site.group.as_ref(),
        ) {
            Ok(_) => Ok(()),
            Err(error) => Err(maildir_outcome(&error)),
        }
    }

    fn append(&mut self, path: PathBuf) -> Step {
        let links = match path.starts_with(&self.home) {
            true => Links::Followed,
            false => Links::Refused,
        };
        let head = [
            self.facts
                .from_line(&tai::mbox_date(os::clock::unix_seconds())),
            self.facts.return_path_line(),
            self.facts.delivered_to_line(),
            self.facts.extra_lines(),
        ]
        .concat();
        let shown = printable(&path);
        mbox::append(&path, links, &head, self.message).map_err(|error| match error {
            mbox::Error::Open(error) => Outcome::temporary(format_args!(
                "Unable to open {shown}: {}. (#4.2.1)",
                reason(&error)
            )),
            mbox::Error::Locked => {
                Outcome::temporary("File has been locked for 30 seconds straight. (#4.3.0)")
            }
            mbox::Error::Read(error) => Outcome::temporary(format_args!(
                "Unable to read message: {}. (#4.3.0)",
                reason(&error)
            )),
            mbox::Error::Full(_) => Outcome::permanent(
                "Recipient's mailbox is full, message returned to sender. (#5.2.2)",
            ),
            mbox::Error::Write(error) => Outcome::temporary(format_args!(
                "Unable to write {shown}: {}. (#4.3.0)",
                reason(&error)
            )),
        })
    }

    fn program(&mut self, users: &dyn Users, kind: &str, command: &[u8]) -> Step<Next> {
        self.did.programs += 1;
        if self.forwards_only {
            return Err(Outcome::temporary(
                "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)",
            ));
        }
        if self.mode == Mode::Print {
            self.say(kind, command);
            return Ok(Next::Line);
        }
        let outcome = match dotqmail::virtual_line(command) {
            Some((program, default)) if self.site.virtual_users == VirtualUsers::InProcess => {
                let options = virtual_user::Options::from_settings(&self.site.settings);
                let job = virtual_user::Job {
                    site: self.site,
                    users,
                    facts: &self.facts,
                    default,
                    options: &options,
                    message: self.message,
                    trace: self.trace,
                };
                match program {
                    VirtualProgram::Deliver => virtual_user::deliver(&job),
                    VirtualProgram::Filter => virtual_user::filter(&job),
                }
            }
            _ => self.shell(command)?,
        };
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.output.len());
        let kept = outcome.output.len().min(room);
        self.output.extend_from_slice(&outcome.output[..kept]);
        match outcome.code {
            0 => Ok(Next::Line),
            STOP => Ok(Next::Forwards),
            code => Err(Outcome {
                code,
                output: Vec::new(),
            }),
        }
    }

    fn shell(&mut self, command: &[u8]) -> Step<Outcome> {
        let unable = |what: &str, error: &std::io::Error| {
            Outcome::temporary(format_args!("{what}: {}. (#4.3.0)", reason(error)))
        };
        let mut message = self
            .message
            .try_clone()
            .map_err(|error| unable("Unable to fork", &error))?;
        message
            .rewind()
            .map_err(|_| Outcome::temporary("Unable to rewind message. (#4.3.0)"))?;
        let job = Job::of_line(command, self.facts.home.clone(), self.environment());
        let finished = self
            .site
            .programs
            .run(&job, vec![(0, message.into())])
            .map_err(|error| unable("Unable to run /bin/sh", &error))?;
        Ok(match finished.ending {
            Ending::Code(code) => Outcome {
                code: exit_code_of_program(code),
                output: finished.output,
            },
            Ending::Crashed => {
                Outcome::temporary("Aack, child crashed. (#4.3.0)").after(finished.output)
            }
        })
    }

    /// The clean environment of §6.5. What the user chose counts more than
    /// what a sender wrote, and what is true more than both.
    fn environment(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut environment = self.site.clean.clone();
        let from_headers = self.header_variables.iter();
        environment.extend(from_headers.map(|(name, v)| (name.clone().into_bytes(), v.clone())));
        for (name, value) in &self.chosen_variables {
            environment.retain(|(known, _)| known != name.as_bytes());
            let value = value.as_ref().map(|value| value.as_bytes().to_vec());
            environment.extend(value.map(|value| (name.as_bytes().to_vec(), value)));
        }
        let date = tai::mbox_date(os::clock::unix_seconds());
        let facts = self.facts.variables(&date);
        environment.extend(facts.into_iter().map(|(name, v)| (name.into(), v)));
        environment.push((
            wire::trace::VARIABLE.into(),
            self.trace.to_string().into_bytes(),
        ));
        environment
    }

    fn finish(&mut self) -> Step {
        let mut qp = None;
        if !self.forwards.is_empty() {
            let prefix = [self.facts.delivered_to_line(), self.facts.extra_lines()].concat();
            let forward = Forward {
                prefix: &prefix,
                message: self.message,
                sender: &self.facts.new_sender,
                recipients: &self.forwards,
                trace: self.trace,
                wishes: match self.facts.new_sender == self.facts.sender {
                    true => &self.facts.wishes,
                    false => b"",
                },
            };
            let sent = forward::send(self.site, forward).map_err(|refused| {
                let text = format!("Unable to forward message: {}.", refused.text);
                match refused.permanent {
                    true => Outcome::permanent(text),
                    false => Outcome::temporary(text),
                }
            })?;
            qp = Some(sent);
        }
        let Did {
            files,
            forwards,
            programs,
        } = self.did;
        let did = format!("did {files}+{forwards}+{programs}\n");
        self.output.extend_from_slice(did.as_bytes());
        if let Some(qp) = qp {
            self.output
                .extend_from_slice(format!("qp {qp}\n").as_bytes());
        }
        Ok(())
    }

    fn say(&mut self, kind: &str, what: &[u8]) {
        self.output.extend_from_slice(kind.as_bytes());
        self.output.push(b' ');
        self.output.extend_from_slice(what);
        self.output.push(b'\n');
    }
}
