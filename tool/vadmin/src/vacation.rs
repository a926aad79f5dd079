//! vacation: automatic answers of a user, on and off.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Parser;
use directory::{Directory, User, limits};
use run::{Exit, Home};

use crate::domain::add::plain_word;
use crate::site::{Site, file, permanent, refused};

/// Longest text of an answer.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Answers the mail of a user with a text, while mail still arrives.
///
/// The file holds header lines, an empty line and the text. `-` ends it; `+`
/// takes the text from standard input. Exit codes: 0 done, 1 no such user,
/// 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vacation", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Address of the user
    address: String,
    /// File with the text, + for standard input, - to end it
    #[arg(allow_hyphen_values = true)]
    text: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (name, domain) = site.address(&arguments.address)?;
    let (_, entry) = site.real_domain(&domain)?;
    let text = Text::open(&arguments.text)?;
    let is_limited = site.is_limited(&entry.dir)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let user = site.user(&directory, &name, &domain)?;
    if is_limited && matches!(text, Text::New(_)) {
        check_limit(&directory, &user)?;
    }
    text.apply(&site.home, &user)?;
    if arguments.verbose {
        println!("{}: changed", user.address());
    }
    Ok(())
}

/// What an automatic answer becomes.
pub enum Text {
    /// This one.
    New(Vec<u8>),
    /// None.
    Off,
}

/// Where a user keeps it.
struct Places {
    text: PathBuf,
    answered: PathBuf,
    delivery: PathBuf,
}

impl Places {
    fn of(user: &User) -> Self {
        Self {
            text: user.dir.join(".vacation.msg"),
            answered: user.dir.join(".vacation.dir"),
            delivery: user.dir.join(".qmail"),
        }
    }
}

impl Text {
    /// Reads the text, as whoever called us: it is their file.
    pub fn open(argument: &str) -> Result<Self, Exit> {
        let mut text = Vec::new();
        let read = match argument {
            "-" => return Ok(Self::Off),
            "+" => io::stdin().take(TEXT_BYTES_MAX + 1).read_to_end(&mut text),
            name => File::open(name)
                .and_then(|file| file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)),
        };
        read.map_err(|error| file(Path::new(argument), &error))?;
        if text.is_empty() || TEXT_BYTES_MAX < text.len() as u64 {
            return Err(permanent(format!(
                "{argument}: empty, or longer than {TEXT_BYTES_MAX} bytes"
            )));
        }
        Ok(Self::New(text))
    }

    /// Writes it to a user's home, or removes what is there.
    pub fn apply(&self, home: &Home, user: &User) -> Result<(), Exit> {
        let places = Places::of(user);
        let own = delivery(home, user, &places);
        match std::fs::read(&places.delivery) {
            Ok(content) if !content.is_empty() && content != own.as_bytes() => {
                return Err(permanent(format!(
                    "{} has lines of its own; edit it",
                    places.delivery.display()
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file(&places.delivery, &error));
            }
            _ => {}
        }
        match self {
            // What delivery reads comes last, and goes first.
            Self::New(text) => {
                directory::home::create(user).map_err(|error| refused(&error))?;
                write(&places.text, text)?;
                make(&places.answered)?;
                write(&places.delivery, own.as_bytes())
            }
            Self::Off => {
                absent(&places.delivery, std::fs::remove_file(&places.delivery))?;
                absent(&places.text, std::fs::remove_file(&places.text))?;
                absent(&places.answered, std::fs::remove_dir_all(&places.answered))
            }
        }
    }
}

/// Refuses one answering user more than a domain may have.
pub fn check_limit(directory: &Directory, user: &User) -> Result<(), Exit> {
    let limits = directory
        .limits(&user.domain)
        .map_err(|error| refused(&error))?;
    let allowed = limits.map_or(limits::UNLIMITED, |limits| limits.autoresponders);
    let Ok(allowed) = u64::try_from(allowed) else {
        return Ok(());
    };
    let mut answering = 0;
    directory
        .each_user(&user.domain, |other| {
            let counts = other.name != user.name && Places::of(&other).text.exists();
            answering += u64::from(counts);
            Ok::<_, directory::Error>(())
        })
        .map_err(|error| refused(&error))?;
    if answering < allowed {
        return Ok(());
    }
    Err(refused(&directory::Error::Limit {
        domain: user.domain.clone(),
        what: "autoresponders",
        allowed,
    }))
}

fn delivery(home: &Home, user: &User, places: &Places) -> String {
    format!(
        "| {} -q {} {}\n{}/\n",
        word(&home.bin().join("autoresponder")),
        word(&places.text),
        word(&places.answered),
        user.maildir().display()
    )
}

/// A path as one word of a shell.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    if plain_word(&text) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Exit> {
    os::file::replace(path, content, FILE_MODE).map_err(|error| file(path, &error))
}

fn make(path: &Path) -> Result<(), Exit> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(file(path, &error)),
        _ => Ok(()),
    }
}

fn absent(path: &Path, removed: io::Result<()>) -> Result<(), Exit> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path, &error)),
        _ => Ok(()),
    }
}
