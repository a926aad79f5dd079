//! vdeluser: deletes a user and its mail.

use std::ffi::OsString;
use std::io::BufRead;
use std::path::Path;

use clap::Parser;
use directory::{Directory, Placement, User, home, value};
use run::Exit;

use super::placement;
use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, refused};

/// Deletes a user with its mail, its aliases and the lines of other aliases
/// that forward to it. Names every domain needs are asked for first.
///
/// Exit codes: 0 done, 1 no such user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vdeluser", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was removed
    #[arg(short = 'v')]
    verbose: bool,
    /// Address of the user
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    let (_, entry) = site.real_domain(&domain)?;
    if value::RESERVED.contains(&name.as_str()) && !confirmed(&name) {
        return Err(Exit::new(run::PERMANENT, "not removed"));
    }
    site.become_owner()?;
    let directory = site.directory()?;
    let placement = placement(&site, &entry.dir, None)?;
    let user = site.user(&directory, &name, &domain)?;
    remove(&directory, &entry.dir, &placement, &user)?;
    notify.hup();
    if arguments.verbose {
        println!("removed {} and {}", user.address(), user.dir.display());
    }
    Ok(())
}

/// Deletes a user: first the row, so that no more mail comes, then the mail.
pub fn remove(
    directory: &Directory,
    domain_directory: &Path,
    placement: &Placement,
    user: &User,
) -> Result<(), Exit> {
    let deleted = directory.delete_user(&user.name, &user.domain, Some(placement));
    if deleted.map_err(|error| refused(&error))?.is_none() {
        return Err(Exit::new(1, format!("{}: No such user", user.address())));
    }
    home::remove(&user.dir, &[&user.domain, &user.name]).map_err(|error| refused(&error))?;
    if user.name.contains('/') {
        return Ok(());
    }
    let path = domain_directory.join(format!(".qmail-{}", user.name.replace('.', ":")));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file(&path, &error)),
        _ => Ok(()),
    }
}

fn confirmed(name: &str) -> bool {
    println!("Are You sure removing RFC Id {name} (y/n)");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim_start().starts_with(['y', 'Y'])
}
