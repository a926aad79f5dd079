//! vbulletin: mail to the users of a domain, without the queue.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Parser;
use directory::bulletin::{self, Bulletins, FOR_ALL};
use directory::list::BULLETINS;
use directory::{Cell, Directory, User, home};
use run::Exit;

use crate::site::{Site, file, permanent, refused};

/// Longest bulletin, and longest list.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const FILE_MODE: u32 = 0o640;

/// Puts a message into the mailboxes of domains or of single users.
///
/// The file is a whole message: header, empty line, text. Exit codes: 0 done,
/// 1 no such domain or user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vbulletin", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The message, an absolute path
    #[arg(short = 'f', value_name = "FILE")]
    message: PathBuf,
    /// File with addresses, one a line, that do not get it
    #[arg(short = 'e', value_name = "FILE")]
    exclude: Option<PathBuf>,
    /// Tell each mailbox
    #[arg(short = 'v')]
    verbose: bool,
    /// Only say which mailboxes that would be
    #[arg(short = 'n')]
    dry_run: bool,
    /// A copy for each mailbox, now (default)
    #[arg(short = 'c', group = "how")]
    copy: bool,
    /// One copy, and a hard link for each mailbox, now
    #[arg(short = 'h', group = "how")]
    hard_link: bool,
    /// A symbolic link to the file for each mailbox, now
    #[arg(short = 's', group = "how")]
    symbolic_link: bool,
    /// At their next login, for the addresses in this file, one a line
    #[arg(short = 'S', value_name = "LIST", group = "how")]
    list: Option<PathBuf>,
    /// At their next login, for all users of the domain
    #[arg(short = 'a', group = "how")]
    all: bool,
    /// Domains, or addresses of users
    #[arg(required = true)]
    names: Vec<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    if !arguments.message.is_absolute() {
        return Err(permanent("-f: an absolute path"));
    }
    // As whoever called us: they are their files.
    let message = read(&arguments.message)?;
    if message.is_empty() {
        return Err(permanent(format!(
            "{}: is empty",
            arguments.message.display()
        )));
    }
    let name = arguments.message.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| bulletin::is_name(name));
    let name = name
        .ok_or_else(|| permanent("-f: not a name for a bulletin"))?
        .to_owned();
    let excluded = addresses(arguments.exclude.as_deref())?;
    let listed = addresses(arguments.list.as_deref())?;
    let mut wanted = Vec::new();
    for text in &arguments.names {
        wanted.push(match text.contains('@') {
            true => {
                let (user, domain) = site.address(text)?;
                let (_, entry) = site.real_domain(&domain)?;
                (Some(user), domain, entry.dir)
            }
            false => {
                let (domain, entry) = site.real_domain(text)?;
                (None, domain, entry.dir)
            }
        });
    }
    site.become_owner()?;
    let directory = site.directory()?;
    for (user, domain, domain_directory) in wanted {
        let bulletins = Bulletins::of(&domain_directory, &site.home.mail(), &domain);
        let round = Round {
            arguments: &arguments,
            directory: &directory,
            bulletins: &bulletins,
            message: &message,
            name: &name,
        };
        if arguments.all {
            round.later_for_all(&domain)?;
        } else if arguments.list.is_some() {
            round.later(&domain, &listed, &excluded)?;
        } else if let Some(user) = user {
            let user = site.user(&directory, &user, &domain)?;
            round.now(&user)?;
        } else {
            for user in directory.users(&domain).map_err(|error| refused(&error))? {
                if user.active && !excluded.contains(&user.address()) {
                    round.now(&user)?;
                }
            }
        }
    }
    Ok(())
}

/// One domain.
struct Round<'a> {
    arguments: &'a Arguments,
    directory: &'a Directory,
    bulletins: &'a Bulletins,
    message: &'a [u8],
    name: &'a str,
}

impl Round<'_> {
    fn tell(&self, who: &str) {
        if self.arguments.verbose || self.arguments.dry_run {
            println!("{who}");
        }
    }

    /// Into a mailbox.
    fn now(&self, user: &User) -> Result<(), Exit> {
        self.tell(&user.address());
        if self.arguments.dry_run {
            return Ok(());
        }
        home::create(user).map_err(|error| refused(&error))?;
        let done = if self.arguments.hard_link {
            self.store(self.name)?;
            self.bulletins.bring(self.name, user).map(drop)
        } else if self.arguments.symbolic_link {
            let place = user.maildir().join("new").join(format!(
                "{}.{}.{}",
                os::clock::unix_seconds(),
                std::process::id(),
                self.name.replace([':', ','], "_")
            ));
            match std::os::unix::fs::symlink(&self.arguments.message, place) {
                // Twice within a second is once.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        } else {
            bulletin::put(user, &addressed(self.message, &user.address()))
        };
        done.map_err(|error| file(&user.maildir(), &error))
    }

    /// For everybody, at the next login.
    fn later_for_all(&self, domain: &str) -> Result<(), Exit> {
        self.tell(domain);
        if self.arguments.dry_run {
            return Ok(());
        }
        let name = match self.name.contains(FOR_ALL) {
            true => self.name.to_owned(),
            false => format!("{}{FOR_ALL}", self.name),
        };
        self.store(&name)
    }

    /// For the users of a list, at their next login.
    fn later(
        &self,
        domain: &str,
        listed: &HashSet<String>,
        excluded: &HashSet<String>,
    ) -> Result<(), Exit> {
        if !self.arguments.dry_run {
            self.store(self.name)?;
        }
        let mut listed: Vec<&String> = listed.difference(excluded).collect();
        listed.sort();
        for address in listed {
            let Some((user, of)) = address.split_once('@') else {
                return Err(permanent(format!("{address}: not an address")));
            };
            if of != domain {
                continue;
            }
            let found = self
                .directory
                .find_user(user, domain)
                .map_err(|error| refused(&error))?;
            if found.is_none() {
                eprintln!("{address}: No such user");
                continue;
            }
            self.tell(address);
            if !self.arguments.dry_run {
                let row = [Cell::from(address), self.name.into()];
                self.directory
                    .put_row(&BULLETINS, &row)
                    .map_err(|error| refused(&error))?;
            }
        }
        Ok(())
    }

    /// The text among those of the domain. The same text keeps its time.
    fn store(&self, name: &str) -> Result<(), Exit> {
        let texts = self.bulletins.texts();
        home::directories(texts, 0o750).map_err(|error| file(texts, &error))?;
        let path = texts.join(name);
        if std::fs::read(&path).is_ok_and(|content| content == self.message) {
            return Ok(());
        }
        os::file::replace(&path, self.message, FILE_MODE).map_err(|error| file(&path, &error))
    }
}

/// The message as one user gets it: the author's fields stay as they are.
fn addressed(message: &[u8], address: &str) -> Vec<u8> {
    let header_end = message
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .unwrap_or(message.len());
    let has_to = message[..header_end].split(|&b| b == b'\n').any(|line| {
        line.get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"to:"))
    });
    let mut all = format!("Delivered-To: {address}\n").into_bytes();
    if !has_to {
        all.extend(format!("To: {address}\n").bytes());
    }
    all.extend(message);
    all
}

fn read(path: &Path) -> Result<Vec<u8>, Exit> {
    let mut content = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content));
    read.map_err(|error| file(path, &error))?;
    if FILE_BYTES_MAX < content.len() as u64 {
        return Err(permanent(format!("{}: too large", path.display())));
    }
    Ok(content)
}

fn addresses(path: Option<&Path>) -> Result<HashSet<String>, Exit> {
    let Some(path) = path else {
        return Ok(HashSet::new());
    };
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let lines = text.lines().map(|line| line.trim().to_lowercase());
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_its_author_wrote() {
        let message = b"From: a@b\nSubject: s\n\nto: you\n";
        let text = String::from_utf8(addressed(message, "joe@x.org")).unwrap();
        assert_eq!(
            text,
            "Delivered-To: joe@x.org\nTo: joe@x.org\nFrom: a@b\nSubject: s\n\nto: you\n"
        );
        let text = String::from_utf8(addressed(b"TO: all\n\nx", "joe@x.org")).unwrap();
        assert_eq!(text, "Delivered-To: joe@x.org\nTO: all\n\nx");
    }
}
