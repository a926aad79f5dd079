//! The script: what is done with every line.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use run::Exit;

use crate::directory::{Directory, Limits};

const SIZE_MIN: u64 = 4096;
const SIZE_MAX: u64 = 16_777_215;
const NUMBER_MIN: usize = 2;
const NUMBER_DEFAULT: usize = 10;

/// One action.
#[derive(Debug)]
pub enum Action {
    /// `+`: lines that match are selected.
    Select(Vec<u8>),
    /// `-`: lines that match are deselected.
    Deselect(Vec<u8>),
    /// `e`: selected lines go to stderr.
    Stderr,
    /// `=`: the last selected line stands in this file.
    Status(PathBuf, File),
    /// Selected lines go to this directory.
    Log(Box<Directory>),
}

/// All actions, with their directories open and locked.
#[derive(Debug)]
pub struct Script {
    stamps: bool,
    actions: Vec<Action>,
}

impl Script {
    /// Reads the arguments; opens and locks the directories before any line
    /// is read.
    pub fn open(arguments: &[OsString]) -> Result<Self, Exit> {
        let mut stamps = false;
        let mut actions = Vec::new();
        let mut limits = Limits {
            bytes_max: None,
            files_max: NUMBER_DEFAULT,
            seconds: None,
            processor: None,
        };
        for (position, argument) in arguments.iter().enumerate() {
            let (kind, rest) = argument.as_bytes().split_first().unwrap_or((&0, b""));
            match kind {
                b't' if position == 0 => stamps = true,
                b'-' => actions.push(Action::Deselect(rest.to_vec())),
                b'+' => actions.push(Action::Select(rest.to_vec())),
                b'e' => actions.push(Action::Stderr),
                b'=' => actions.push(open_status(Path::new(OsStr::from_bytes(rest)))?),
                b's' => {
                    limits.bytes_max = Some(number(argument, rest)?.clamp(SIZE_MIN, SIZE_MAX));
                }
                b'n' => {
                    let files = usize::try_from(number(argument, rest)?).unwrap_or(usize::MAX);
                    limits.files_max = files.max(NUMBER_MIN);
                }
                b'r' => limits.seconds = seconds(argument, rest)?,
                // The manual's way to write it.
                b'!' if is_rotation(rest) => limits.seconds = seconds(argument, &rest[1..])?,
                b'!' => {
                    let command = OsString::from_vec(rest.to_vec());
                    limits.processor = (!command.is_empty()).then_some(command);
                }
                b'.' | b'/' => {
                    let directory = Directory::open(Path::new(argument), limits.clone())?;
                    actions.push(Action::Log(Box::new(directory)));
                }
                _ => return Err(usage(argument, "is no action; try --help")),
            }
        }
        Ok(Self { stamps, actions })
    }

    /// Is every line stamped?
    pub fn stamps(&self) -> bool {
        self.stamps
    }

    /// In order.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// In order.
    pub fn actions_mut(&mut self) -> &mut [Action] {
        &mut self.actions
    }

    /// Does any directory have a program to start?
    pub fn has_processor(&self) -> bool {
        let has = |action: &Action| matches!(action, Action::Log(log) if log.has_processor());
        self.actions.iter().any(has)
    }
}

impl Action {
    /// The directory this action writes in.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Log(directory) => Some(directory.path()),
            Self::Status(path, _) => Some(path),
            Self::Select(_) | Self::Deselect(_) | Self::Stderr => None,
        }
    }
}

fn open_status(path: &Path) -> Result<Action, Exit> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    match file {
        Ok(file) => Ok(Action::Status(path.to_owned(), file)),
        Err(error) => {
            let text = format!("unable to open status file {}: {error}", path.display());
            Err(Exit::new(run::TEMPORARY, text))
        }
    }
}

fn is_rotation(rest: &[u8]) -> bool {
    matches!(rest, [b'r', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

fn seconds(argument: &OsStr, digits: &[u8]) -> Result<Option<u64>, Exit> {
    Ok(Some(number(argument, digits)?).filter(|&seconds| 0 < seconds))
}

fn number(argument: &OsStr, digits: &[u8]) -> Result<u64, Exit> {
    let text = std::str::from_utf8(digits).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| usage(argument, "should have a number"))
}

fn usage(argument: &OsStr, what: &str) -> Exit {
    Exit::new(
        run::PERMANENT,
        format!("{} {what}", Path::new(argument).display()),
    )
}
