//! vdeloldusers: users that nobody uses any more, and mail nobody reads.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Parser;
use directory::{Directory, LastAuth, Placement, User, value};
use os::signal::{Signal, Signals};
use run::Exit;
use serde::Serialize;

use super::{administrator, placement};
use crate::notify::{LOOKUP, Notify};
use crate::show::json;
use crate::site::{Site, file, refused, temporary};

const DAY: i64 = 86_400;
const OFF: i64 = -1;

/// Makes users inactive, or deletes them, that have not logged in for long,
/// and removes old mail that nobody read.
///
/// Names every domain needs are left alone, and so is a user of whom nothing
/// is known. SIGUSR1 ends it after the user at hand. Exit codes: 0 done, 1 no
/// such domain, 100 refused, 111 temporary failure, or it runs already.
#[derive(Debug, Parser)]
#[command(name = "vdeloldusers", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each user
    #[arg(short = 'v')]
    verbose: bool,
    /// The domain; all without
    #[arg(short = 'd', value_name = "DOMAIN")]
    domain: Option<String>,
    /// Days without a login by POP3, IMAP or webmail; -1 leaves users alone
    #[arg(short = 'a', value_name = "DAYS", default_value_t = 60, allow_hyphen_values = true,
          value_parser = days())]
    age: i64,
    /// Make such users inactive (default)
    #[arg(short = 'i', conflicts_with = "purge")]
    inactivate: bool,
    /// Delete such users and their mail
    #[arg(short = 'p')]
    purge: bool,
    /// Remove unread mail of active users that is older than this; -1 none
    #[arg(short = 'u', value_name = "DAYS", default_value_t = 30, allow_hyphen_values = true,
          value_parser = days())]
    unread: i64,
    /// Empty the Trash of users that logged in within so many days; -1 of none
    #[arg(short = 't', value_name = "DAYS", default_value_t = OFF, allow_hyphen_values = true,
          value_parser = days())]
    trash: i64,
    /// The folder -t empties
    #[arg(short = 'm', value_name = "FOLDER", default_value = ".Trash")]
    folder: String,
    /// Only users with this gecos
    #[arg(short = 's', value_name = "GECOS")]
    gecos: Option<String>,
    /// Only remove mail
    #[arg(short = 'c')]
    mails_only: bool,
    /// Only report; nothing is changed
    #[arg(short = 'r')]
    report: bool,
    /// Do not look whether the mailbox was used all the same
    #[arg(short = 'f')]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn days() -> clap::builder::RangedI64ValueParser {
    clap::value_parser!(i64).range(OFF..=36_500)
}

/// A user that is stale.
#[derive(Serialize)]
struct Stale {
    user: String,
    days: i64,
    last: i64,
    what: &'static str,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    if arguments.folder.contains('/')
        || arguments.folder.contains("..")
        || !arguments.folder.starts_with('.')
    {
        return Err(crate::site::permanent("-m: a folder like .Trash"));
    }
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let domains = match &arguments.domain {
        Some(domain) => vec![site.real_domain(domain)?],
        None => real_domains(&site)?,
    };
    let mut signals = Signals::collect(&[Signal::SIGUSR1]).map_err(|error| temporary(&error))?;
    site.become_owner()?;
    let path = site.home.database().with_file_name("vdeloldusers.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = lock
        .and_then(os::file::try_lock)
        .map_err(|error| file(&path, &error))?;
    let Some(_lock) = lock else {
        return Err(Exit::new(run::TEMPORARY, "vdeloldusers runs already"));
    };
    let directory = site.directory()?;
    let mut found = Vec::new();
    'domains: for (domain, entry) in domains {
        let placement = placement(&site, &entry.dir, None)?;
        for user in directory.users(&domain).map_err(|error| refused(&error))? {
            if signals.take().is_some() {
                break 'domains;
            }
            found.extend(arguments.one(&directory, &entry.dir, &placement, &user)?);
        }
    }
    notify.hup();
    if arguments.json {
        return json(&found);
    }
    for one in found
        .iter()
        .filter(|_| arguments.report || arguments.verbose)
    {
        println!("{} {} days {}", one.user, one.days, one.what);
    }
    Ok(())
}

fn real_domains(site: &Site) -> Result<Vec<(String, directory::VirtualDomain)>, Exit> {
    let mut real = Vec::new();
    for (name, _) in site.domains.all().map_err(|error| refused(&error))? {
        let (domain, entry) = site.real_domain(&name)?;
        if domain == name {
            real.push((domain, entry));
        }
    }
    Ok(real)
}

impl Arguments {
    fn one(
        &self,
        directory: &Directory,
        domain_directory: &Path,
        placement: &Placement,
        user: &User,
    ) -> Result<Option<Stale>, Exit> {
        if self
            .gecos
            .as_ref()
            .is_some_and(|gecos| *gecos != user.gecos)
        {
            return Ok(None);
        }
        let events = directory.last_auth(user).map_err(|error| refused(&error))?;
        let now = os::clock::unix_seconds();
        if user.active && !self.report {
            self.remove_mail(user, &events, now)?;
        }
        let reserved = value::RESERVED.contains(&user.name.as_str());
        let Some(last) = last_use(&events).filter(|_| !reserved && !self.mails_only) else {
            return Ok(None);
        };
        let days = (now - last) / DAY;
        if self.age == OFF || days < self.age || (!user.active && !self.purge) {
            return Ok(None);
        }
        if !self.force && touched_within(&user.maildir().join("cur"), self.age) {
            return Ok(None);
        }
        let what = if self.purge { "deleted" } else { "inactivated" };
        if !self.report {
            if self.purge {
                super::delete::remove(directory, domain_directory, placement, user)?;
            } else {
                inactivate(directory, user)?;
            }
        }
        Ok(Some(Stale {
            user: user.address(),
            days,
            last,
            what,
        }))
    }

    fn remove_mail(&self, user: &User, events: &[LastAuth], now: i64) -> Result<(), Exit> {
        let maildir = user.maildir();
        if self.unread != OFF {
            remove_older(&maildir.join("new"), self.unread)?;
        }
        let login =
            last_login(events).is_some_and(|last| now - last <= self.trash.saturating_mul(DAY));
        if self.trash != OFF && login {
            for part in ["cur", "new"] {
                remove_older(&maildir.join(&self.folder).join(part), 0)?;
            }
            // Usage is counted again when it is asked for.
            let _ = std::fs::remove_file(maildir.join("maildirsize"));
        }
        Ok(())
    }
}

fn inactivate(directory: &Directory, user: &User) -> Result<(), Exit> {
    let inactive = User {
        active: false,
        ..user.clone()
    };
    directory
        .update_user(&inactive)
        .and_then(|_| directory.record_auth(&inactive, "INAC", &administrator(), 0))
        .map_err(|error| refused(&error))
}

fn last_login(events: &[LastAuth]) -> Option<i64> {
    let login = |event: &&LastAuth| matches!(event.service.as_str(), "imap" | "pop3" | "webm");
    events.iter().filter(login).map(|event| event.time).max()
}

/// The last login; of who never did, the day it was added. A user that was
/// activated since counts from then.
fn last_use(events: &[LastAuth]) -> Option<i64> {
    let time = |service| {
        events
            .iter()
            .find(|event| event.service == service)
            .map(|e| e.time)
    };
    last_login(events).or_else(|| time("add")).max(time("ACTI"))
}

fn touched_within(path: &Path, days: i64) -> bool {
    let age = Duration::from_secs(days.unsigned_abs().saturating_mul(DAY.unsigned_abs()));
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = modified
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok());
    since.is_some_and(|since| since < age)
}

/// Removes files of a directory that are at least so old. Links are removed,
/// not followed.
fn remove_older(directory: &Path, days: i64) -> Result<(), Exit> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file(directory, &error)),
    };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|metadata| metadata.modified());
        let age = old
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        let limit = Duration::from_secs(days.unsigned_abs().saturating_mul(DAY.unsigned_abs()));
        let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        if is_file && age.is_some_and(|age| limit <= age) {
            // Somebody may have moved it meanwhile.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
