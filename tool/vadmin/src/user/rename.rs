//! vrenameuser: gives a user another name.

use std::ffi::OsString;

use clap::Parser;
use directory::value;
use run::Exit;
use settings::users;

use super::move_home::move_to;
use super::placement;
use crate::domain::populate::remember_suffix;
use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, permanent, refused};

/// Gives a user another name: password, quota, flags, mail, aliases, filters
/// and records move along, and lines of aliases that forward to the old name
/// then forward to the new one.
///
/// Exit codes: 0 done, 1 no such user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vrenameuser", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Address of the user
    old: String,
    /// New address
    new: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (old_name, old_domain) = site.address(&arguments.old)?;
    let (new_name, new_domain) = site.address(&arguments.new)?;
    let allowed = site.text(&users::ALLOWCHARS)?;
    value::check_new_user(&new_name, &allowed).map_err(|error| refused(&error))?;
    if value::RESERVED.contains(&old_name.as_str()) {
        return Err(permanent(format!("every domain needs {old_name}")));
    }
    let (_, old_entry) = site.real_domain(&old_domain)?;
    let (_, new_entry) = site.real_domain(&new_domain)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let old = site.user(&directory, &old_name, &old_domain)?;
    let from = placement(&site, &old_entry.dir, None)?;
    let to = placement(&site, &new_entry.dir, None)?;
    let (user, home) = directory
        .rename_user(&old, (&new_name, &new_domain), (&from, &to))
        .map_err(|error| refused(&error))?
        .ok_or_else(|| Exit::new(1, format!("{}: No such user", old.address())))?;
    // From here on mail for the new name arrives, wherever the home is.
    notify.hup();
    remember_suffix(&new_entry.dir, &to, &user)?;
    move_to(&directory, &user, &home)?;
    let marker = home.join("Maildir/domain");
    if marker.exists() && old_domain != new_domain {
        os::file::replace(&marker, format!("{new_domain}\n").as_bytes(), 0o600)
            .map_err(|error| file(&marker, &error))?;
    }
    println!("renamed {} to {}", old.address(), user.address());
    Ok(())
}
