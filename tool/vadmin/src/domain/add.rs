//! vadddomain: adds a virtual domain.
//!
//! Everything that mail needs is there before the first message can come:
//! directories, users and aliases first, then the tables that let mail in.
//! A step that fails undoes the steps before it.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use directory::{Quota, assign, home};
use run::Exit;
use settings::users;

use super::populate::{self, ADDING, Work};
use crate::lines::{Lines, RCPTHOSTS_MAX, rebuild_morercpthosts};
use crate::notify::{Notify, QUEUES};
use crate::secrets::PasswordOptions;
use crate::site::{Site, file, permanent, refused, value_domain};
use crate::undo::Undo;

const DOMAIN_MODE: u32 = 0o750;
const PARENT_MODE: u32 = 0o755;
const PRIVATE_MODE: u32 = 0o700;

/// Adds a virtual domain with its postmaster and the aliases abuse and
/// mailer-daemon, and lets mail for it in.
///
/// The password of postmaster is asked for when it is neither given nor
/// generated. Exit codes: 0 done, 100 refused, 111 temporary failure; nothing
/// is left behind when it fails.
#[derive(Debug, Parser)]
#[command(name = "vadddomain", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each step
    #[arg(short = 'v')]
    verbose: bool,
    /// Quota of postmaster
    #[arg(short = 'q', value_name = "QUOTA")]
    quota: Option<String>,
    /// Users in one directory
    #[arg(short = 'l', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    users_per_level: Option<u32>,
    /// Also list the domain in control/chkrcptdomains
    #[arg(short = 'R')]
    check_recipients: bool,
    /// Hand mail for unknown users back (default)
    #[arg(short = 'b', conflicts_with = "catch_all")]
    bounce: bool,
    /// Deliver mail for unknown users to this address or Maildir
    #[arg(short = 'E', value_name = "ADDRESS|MAILDIR")]
    catch_all: Option<String>,
    /// Deliver by the rules of vcfilter
    #[arg(short = 'f')]
    filters: bool,
    /// The password is encrypted already
    #[arg(short = 'e')]
    encrypted: bool,
    #[command(flatten)]
    options: PasswordOptions,
    /// Name of the domain
    domain: String,
    /// Password of postmaster; others can see it while this runs
    password: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let work = arguments.work(&site)?;
    add(&site, &work, &arguments)
}

impl Arguments {
    /// Everything that may be refused or asked for, before the first change.
    fn work(&self, site: &Site) -> Result<Work, Exit> {
        value_domain(&self.domain)?;
        let unknown = match self.catch_all.as_deref() {
            None => "bounce-no-mailbox",
            Some(text) if plain_word(text) => text,
            Some(_) => return Err(permanent("-E: neither an address nor a path of a Maildir")),
        };
        let quota = match &self.quota {
            Some(text) => text.clone(),
            None => site.text(&users::HARD_QUOTA)?,
        };
        let quota = Quota::parse(&quota).map_err(|error| permanent(error.to_string()))?;
        // Before anybody types a password in vain.
        if !is_aborted(site, &self.domain)? {
            refuse_existing(site, &self.domain)?;
        }
        let given = self.password.as_deref();
        let stored = self.options.of_new(site, given, self.encrypted)?;
        Ok(Work {
            domain: self.domain.clone(),
            default: default_line(site, self.filters, unknown)?,
            users_per_level: self.users_per_level,
            quota: quota.to_string(),
            stored,
        })
    }

    fn tell(&self, text: &str) {
        if self.verbose {
            println!("{text}");
        }
    }
}

/// Refuses a domain that `users/assign` has.
pub fn refuse_existing(site: &Site, domain: &str) -> Result<(), Exit> {
    match site.domains.find(domain).map_err(|error| refused(&error))? {
        Some(_) => Err(permanent(format!("domain {domain} exists"))),
        None => Ok(()),
    }
}

fn add(site: &Site, work: &Work, arguments: &Arguments) -> Result<(), Exit> {
    let (domain, control) = (work.domain.as_str(), site.home.control());
    let notify = Notify::open(&site.home, QUEUES);
    make_parents(site)?;
    // The lock covers all control files: commands change them one by one.
    let table = assign::Assign::lock(&site.home.users()).map_err(|error| refused(&error))?;
    take_back_aborted(site, &table, domain)?;
    refuse_existing(site, domain)?;
    let before = table.read().map_err(|error| refused(&error))?;
    let directory = site.home.domains().join(domain);
    let line = assign::domain_line(domain, site.owner.uid, site.owner.gid, &directory)
        .map_err(|error| refused(&error))?;
    let mut undo = Undo::default();

    arguments.tell(&format!("making {}", directory.display()));
    clear_aborted(site, &directory, domain)?;
    undo.push(|| report(home::remove(&directory, &[domain])));
    site.directory_of_owner(&directory, DOMAIN_MODE)?;

    arguments.tell("adding users and aliases");
    // It undoes its own part when it fails.
    populate::populate(site, work)?;
    undo.push(|| {
        let _ = populate::remove(site, domain);
    });

    arguments.tell("adding the domain to users/assign");
    undo.push(|| report(table.restore(&before)));
    table.add(&line).map_err(|error| refused(&error))?;

    arguments.tell("adding the domain to control files");
    let_mail_in(control, domain, &mut undo)?;
    if arguments.check_recipients {
        change(control, "chkrcptdomains", &mut undo, |lines| {
            lines.add(domain)
        })?;
    }
    let marker = directory.join(ADDING);
    std::fs::remove_file(&marker).map_err(|error| file(&marker, &error))?;
    undo.keep();
    notify.hup();
    Ok(())
}

/// Lists a domain in `rcpthosts` or `morercpthosts` and in `virtualdomains`,
/// and no more in `locals`.
pub fn let_mail_in<'a>(control: &'a Path, domain: &str, undo: &mut Undo<'a>) -> Result<(), Exit> {
    if Lines::read(control, "rcpthosts")?.count() < RCPTHOSTS_MAX {
        change(control, "rcpthosts", undo, |lines| lines.add(domain))?;
    } else {
        let more = Lines::read(control, "morercpthosts")?;
        undo.push(move || {
            more.restore();
            let _ = rebuild_morercpthosts(control);
        });
        Lines::read(control, "morercpthosts")?.add(domain)?;
        rebuild_morercpthosts(control)?;
    }
    change(control, "virtualdomains", undo, |lines| {
        lines.add(&format!("{domain}:{domain}"))
    })?;
    change(control, "locals", undo, |lines| {
        lines.remove(domain).map(|_| ())
    })
}

/// Changes a control file, and remembers how it was.
fn change<'a>(
    control: &Path,
    name: &str,
    undo: &mut Undo<'a>,
    body: impl FnOnce(&Lines) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let before = Lines::read(control, name)?;
    undo.push(move || before.restore());
    body(&Lines::read(control, name)?)
}

/// Says whether an addition was cut off before mail was let in: the mark is
/// there and `virtualdomains` does not have the domain. Once it has, the
/// domain exists, whatever mark is left.
fn is_aborted(site: &Site, domain: &str) -> Result<bool, Exit> {
    let marker = site.home.domains().join(domain).join(ADDING);
    let mapped = Lines::read(site.home.control(), "virtualdomains")?;
    Ok(marker.exists() && !mapped.contains(&format!("{domain}:{domain}")))
}

/// Takes a cut-off addition out of users/assign; the caller holds its lock,
/// so nobody is adding it now.
fn take_back_aborted(site: &Site, table: &assign::Assign, domain: &str) -> Result<(), Exit> {
    if is_aborted(site, domain)? {
        table
            .remove_domain(domain)
            .map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// The directories everything else is in; a bare ROOT is enough.
fn make_parents(site: &Site) -> Result<(), Exit> {
    for path in [site.home.users(), site.home.control().to_owned()] {
        home::directories(&path, PARENT_MODE).map_err(|error| file(&path, &error))?;
    }
    site.directory_of_owner(&site.home.domains(), PARENT_MODE)?;
    site.directory_of_owner(&site.home.mail(), DOMAIN_MODE)?;
    let database = site.home.database();
    match database.parent() {
        Some(parent) => site.directory_of_owner(parent, PRIVATE_MODE),
        None => Ok(()),
    }
}

/// A directory that is there already belongs to somebody, unless a run that
/// was killed in the middle left it: then it is removed.
fn clear_aborted(site: &Site, directory: &Path, domain: &str) -> Result<(), Exit> {
    // Only an empty directory can be removed this way.
    if std::fs::symlink_metadata(directory).is_err() || std::fs::remove_dir(directory).is_ok() {
        return Ok(());
    }
    if !directory.join(ADDING).exists() {
        return Err(permanent(format!(
            "{} exists, but users/assign does not have the domain; move it out of the way",
            directory.display()
        )));
    }
    populate::remove(site, domain)?;
    home::remove(directory, &[domain]).map_err(|error| refused(&error))?;
    Ok(())
}

/// What `.qmail-default` of a domain says.
pub fn default_line(site: &Site, filters: bool, unknown: &str) -> Result<String, Exit> {
    let name = if filters { "vfilter" } else { "vdelivermail" };
    let program = site.home.root().join("sbin").join(name);
    if !program.to_str().is_some_and(plain_word) {
        return Err(permanent(format!(
            "{}: a path that a shell does not take as it is",
            program.display()
        )));
    }
    Ok(format!("| {} '' {unknown}\n", program.display()))
}

/// Says whether a shell takes a text as one word and as nothing else: it
/// becomes part of a command line.
pub fn plain_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/@._+=%:,-".contains(&b);
    text.starts_with(|c: char| c == '/' || c.is_ascii_alphanumeric())
        && text.contains(['/', '@'])
        && text.bytes().all(plain)
}

/// Says when a step back failed.
pub fn report<T>(result: Result<T, directory::Error>) {
    if let Err(error) = result {
        eprintln!("cannot undo: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_get_into_a_command_line() {
        assert!(plain_word("/var/indimail/sbin/vdelivermail"));
        assert!(plain_word("all@example.com"));
        for text in [
            "",
            "delete; rm",
            "a@b'",
            "$(x)@y",
            "a b@c",
            "-x@y",
            "a@b\n| x",
            "word",
        ] {
            assert!(!plain_word(text), "{text:?}");
        }
    }
}
