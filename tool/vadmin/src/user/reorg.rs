//! vreorg: spreads the homes of a domain over its directories again.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use directory::{Directory, Placement, User};
use run::Exit;

use super::move_home::{REMEMBERED, start_move};
use super::placement;
use crate::domain::populate::remember_suffix;
use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, refused};

/// Users between two lines of progress.
const TOLD_EVERY: usize = 1000;

/// Gives the users of a domain, in order, the next directory each, and moves
/// their homes there. Mail may arrive meanwhile.
///
/// Exit codes: 0 done, 1 no such domain or user, 100 refused, 111 temporary
/// failure; it can be repeated then.
#[derive(Debug, Parser)]
#[command(name = "vreorg", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each move
    #[arg(short = 'v')]
    verbose: bool,
    /// The domain
    #[arg(short = 'd', value_name = "DOMAIN")]
    domain: String,
    /// Begin with the first directory
    #[arg(short = 'r')]
    reset: bool,
    /// Do not count a moved user less where it was
    #[arg(short = 'R')]
    keep_count: bool,
    /// Users in one directory
    #[arg(short = 'l', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    users_per_level: Option<u32>,
    /// Only these users; all without
    users: Vec<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (domain, entry) = site.real_domain(&arguments.domain)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let to = placement(&site, &entry.dir, arguments.users_per_level)?;
    let users = arguments.users(&site, &directory, &domain)?;
    if arguments.reset {
        directory
            .reset_trees(&domain)
            .map_err(|error| refused(&error))?;
    }
    let mut old_homes = Vec::new();
    for (number, user) in users.iter().enumerate() {
        if let Some(old) = arguments.one(&directory, user, &to)? {
            old_homes.push(old);
        }
        remember_suffix(&entry.dir, &to, user)?;
        if (number + 1) % TOLD_EVERY == 0 {
            println!("{} users", number + 1);
        }
    }
    notify.hup();
    if !old_homes.is_empty() {
        // Once for all: until then both names of a home lead to it.
        std::thread::sleep(REMEMBERED);
    }
    for old in old_homes {
        std::fs::remove_file(&old).map_err(|error| file(&old, &error))?;
    }
    println!("done {} users", users.len());
    Ok(())
}

impl Arguments {
    fn users(&self, site: &Site, directory: &Directory, domain: &str) -> Result<Vec<User>, Exit> {
        if self.users.is_empty() {
            return directory.users(domain).map_err(|error| refused(&error));
        }
        let name = |text: &String| text.split('@').next().unwrap_or_default().to_owned();
        self.users
            .iter()
            .map(|text| site.user(directory, &name(text), domain))
            .collect()
    }

    /// Moves one home; returns the link that is left in the old place.
    fn one(
        &self,
        directory: &Directory,
        user: &User,
        to: &Placement,
    ) -> Result<Option<PathBuf>, Exit> {
        let frees = !self.reset && !self.keep_count;
        let new = directory
            .next_home(user, to, frees)
            .map_err(|error| refused(&error))?;
        let left = start_move(directory, user, &new)?;
        if self.verbose {
            println!(
                "{} {} -> {}",
                user.address(),
                user.dir.display(),
                new.display()
            );
        }
        Ok(left.then(|| user.dir.clone()))
    }
}
