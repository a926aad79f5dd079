//! vrenamedomain: gives a virtual domain another name.
//!
//! While it runs the domain has a mark; whoever asks about one of its users
//! meets it and is told to come back, so nobody is called absent halfway.
//! 1. The owner of the mail sets the mark, moves the homes (a link to the new
//!    place stays in the old one), changes every table at once, and moves the
//!    directory of the domain.
//! 2. Root changes `users/assign` and the control files.
//! 3. The owner removes the links, and the mark at last.
//!
//! Cut off anywhere, the same command again goes on.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;
use directory::{assign, domains::RENAMING, tree::PREFIXES};
use run::Exit;

use super::add::refuse_existing;
use super::delete::LISTS;
use super::populate::as_owner;
use crate::lines::{Lines, rebuild_morercpthosts};
use crate::notify::{Notify, QUEUES};
use crate::site::{Site, file, permanent, refused, value_domain};
use crate::user::move_home::REMEMBERED;

/// Hidden name of the first part.
pub const MOVE: &str = "vrenamedomain-move-as-owner";
/// Hidden name of the last part.
pub const FINISH: &str = "vrenamedomain-finish-as-owner";
const MARK_MODE: u32 = 0o640;
const DOMAIN_FILE_MODE: u32 = 0o600;

/// Gives a virtual domain another name: users with their mail and passwords,
/// aliases, filters and alias domains move along.
///
/// Mail for the domain waits meanwhile. The old name is nobody's afterwards;
/// `vaddaliasdomain OLD NEW` keeps its addresses. Exit codes: 0 done, 1 no
/// such domain, 100 refused, 111 temporary failure; it can be repeated then.
#[derive(Debug, Parser)]
#[command(name = "vrenamedomain", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each step
    #[arg(short = 'v')]
    verbose: bool,
    /// The domain
    old: String,
    /// Its new name
    new: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (old, new) = (arguments.old.as_str(), arguments.new.as_str());
    value_domain(old)?;
    value_domain(new)?;
    if old == new {
        return Err(permanent("that is its name"));
    }
    let notify = Notify::open(&site.home, QUEUES);
    let table = assign::Assign::lock(&site.home.users()).map_err(|error| refused(&error))?;
    check(&site, old, new)?;
    let tell = |text: &str| {
        if arguments.verbose {
            println!("{text}");
        }
    };
    let names = [OsString::from(old), OsString::from(new)];
    let part = |name: &str| [OsString::from(name), names[0].clone(), names[1].clone()];
    tell("moving homes and rows");
    if os::account::is_root() {
        as_owner(&site, &part(MOVE), b"")?;
    } else {
        move_all(&site, old, new)?;
    }
    tell("changing users/assign and control files");
    change_assign(&site, &table, old, new)?;
    change_lists(site.home.control(), old, new)?;
    notify.hup();
    // Who looked before that may still be delivering.
    std::thread::sleep(REMEMBERED);
    tell("clearing up");
    if os::account::is_root() {
        as_owner(&site, &part(FINISH), b"")?;
    } else {
        finish(&site, old, new)?;
    }
    Notify::open(&site.home, QUEUES).hup();
    Ok(())
}

/// Entry of the hidden first part.
pub fn move_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let (old, new) = two_names(&arguments)?;
    move_all(&Site::find()?, &old, &new)
}

/// Entry of the hidden last part.
pub fn finish_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let (old, new) = two_names(&arguments)?;
    finish(&Site::find()?, &old, &new)
}

fn two_names(arguments: &[OsString]) -> Result<(String, String), Exit> {
    let name = |number: usize| {
        let name = arguments.get(number).and_then(|name| name.to_str());
        let name = name.ok_or_else(|| permanent("which domains?"))?;
        value_domain(name)?;
        Ok::<_, Exit>(name.to_owned())
    };
    Ok((name(1)?, name(2)?))
}

/// Refuses what cannot be renamed. A run that was cut off goes on.
fn check(site: &Site, old: &str, new: &str) -> Result<(), Exit> {
    let domains = site.home.domains();
    let is_ours = |domain: &str| {
        let mark = std::fs::read_to_string(domains.join(domain).join(RENAMING));
        mark.is_ok_and(|text| text == format!("{old} {new}\n"))
    };
    if is_ours(old) || is_ours(new) {
        return Ok(());
    }
    let (real, _) = site.real_domain(old)?;
    if real != old {
        return Err(permanent(format!(
            "{old} is an alias of {real}; use {real}"
        )));
    }
    refuse_existing(site, new)?;
    let directory = domains.join(new);
    let there = std::iter::once(directory).chain(trees(site, new));
    for path in there {
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(permanent(format!(
                "{} exists; move it out of the way",
                path.display()
            )));
        }
    }
    Ok(())
}

fn move_all(site: &Site, old: &str, new: &str) -> Result<(), Exit> {
    let domains = site.home.domains();
    let (from, to) = (domains.join(old), domains.join(new));
    let mark = if is_directory(&to) { &to } else { &from }.join(RENAMING);
    os::file::replace(&mark, format!("{old} {new}\n").as_bytes(), MARK_MODE)
        .map_err(|error| file(&mark, &error))?;
    // Deliveries and logins that are beyond the mark are soon done.
    std::thread::sleep(REMEMBERED);
    let pairs: Vec<(PathBuf, PathBuf)> = trees(site, old).zip(trees(site, new)).collect();
    for (from, to) in &pairs {
        exchange(from, to)?;
    }
    let moved = |home: &Path| {
        pairs
            .iter()
            .find_map(|(from, to)| Some(to.join(home.strip_prefix(from).ok()?)))
    };
    let directory = site.directory()?;
    directory
        .rename_domain(old, new, moved)
        .map_err(|error| refused(&error))?;
    directory.each_user(new, |user| {
        write_name(&user.maildir(), new).map_err(Failed::Exit)
    })?;
    exchange(&from, &to)?;
    relink(&domains, &to, old, new)
}

/// Either side of a walk over users.
enum Failed {
    Exit(Exit),
    Directory(directory::Error),
}

impl From<directory::Error> for Failed {
    fn from(error: directory::Error) -> Self {
        Self::Directory(error)
    }
}

impl From<Failed> for Exit {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Exit(exit) => exit,
            Failed::Directory(error) => refused(&error),
        }
    }
}

/// File `domain` of a Maildir says whose it is.
fn write_name(maildir: &Path, domain: &str) -> Result<(), Exit> {
    if !maildir.is_dir() {
        return Ok(());
    }
    let path = maildir.join("domain");
    os::file::replace(&path, format!("{domain}\n").as_bytes(), DOMAIN_FILE_MODE)
        .map_err(|error| file(&path, &error))
}

/// A directory gets its new name, and a link to it the old one, at one
/// moment. Done before, nothing happens.
fn exchange(from: &Path, to: &Path) -> Result<(), Exit> {
    if !is_directory(from) {
        return Ok(());
    }
    let name = to.file_name().unwrap_or(to.as_os_str());
    match std::os::unix::fs::symlink(name, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_directory(to) => {}
        linked => linked.map_err(|error| file(to, &error))?,
    }
    os::file::exchange(from, to).map_err(|error| file(to, &error))?;
    match to.parent() {
        Some(parent) => os::file::sync_directory(parent).map_err(|error| file(parent, &error)),
        None => Ok(()),
    }
}

/// Lets alias domains lead to the new name.
fn relink(domains: &Path, to: &Path, old: &str, new: &str) -> Result<(), Exit> {
    for alias in Lines::read(to, ".aliasdomains")?.all() {
        let link = domains.join(&alias);
        let leads = std::fs::read_link(&link).ok();
        if leads.as_deref().and_then(Path::file_name) != Some(old.as_ref()) {
            continue;
        }
        let beside = domains.join(format!(".{alias}.new"));
        let _ = std::fs::remove_file(&beside);
        std::os::unix::fs::symlink(new, &beside)
            .and_then(|()| std::fs::rename(&beside, &link))
            .map_err(|error| file(&link, &error))?;
    }
    Ok(())
}

fn change_assign(site: &Site, table: &assign::Assign, old: &str, new: &str) -> Result<(), Exit> {
    let before = table.read().map_err(|error| refused(&error))?;
    let domains = site.home.domains();
    let field = |domain: &str| format!(":{}:", domains.join(domain).display());
    let (head, renamed) = (format!("+{old}-:{old}:"), format!("+{new}-:{new}:"));
    let lines: Vec<String> = before
        .lines()
        .map(|line| {
            line.replace(&head, &renamed)
                .replace(&field(old), &field(new))
        })
        .collect();
    table
        .restore(&lines.join("\n"))
        .map_err(|error| refused(&error))
}

fn change_lists(control: &Path, old: &str, new: &str) -> Result<(), Exit> {
    for name in LISTS {
        Lines::read(control, name)?.replace(old, new)?;
    }
    rebuild_morercpthosts(control)?;
    let lines = Lines::read(control, "virtualdomains")?;
    lines.replace(&format!("{old}:{old}"), &format!("{new}:{new}"))?;
    Lines::read(control, "locals")?.remove(new).map(drop)
}

fn finish(site: &Site, old: &str, new: &str) -> Result<(), Exit> {
    let links = trees(site, old).chain(std::iter::once(site.home.domains().join(old)));
    for link in links {
        if std::fs::symlink_metadata(&link).is_ok_and(|metadata| metadata.is_symlink()) {
            std::fs::remove_file(&link).map_err(|error| file(&link, &error))?;
        }
    }
    let mark = site.home.domains().join(new).join(RENAMING);
    match std::fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(&mark, &error)),
        _ => Ok(()),
    }
}

fn trees(site: &Site, domain: &str) -> impl Iterator<Item = PathBuf> {
    let base = site.home.mail();
    let domain = domain.to_owned();
    PREFIXES
        .iter()
        .map(move |prefix| base.join(prefix.directory).join(&domain))
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
