//! vpasswd: changes a password.

use std::ffi::OsString;

use clap::Parser;
use directory::{User, flags};
use run::Exit;

use super::administrator;
use crate::notify::{LOOKUP, Notify};
use crate::secrets::PasswordOptions;
use crate::site::{Site, permanent, refused};

/// Changes the password of a user; the old one does not hold any more at
/// once.
///
/// The password is asked for when it is neither given nor generated. Exit
/// codes: 0 done, 1 no such user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vpasswd", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// The password is encrypted already
    #[arg(short = 'e')]
    encrypted: bool,
    #[command(flatten)]
    options: PasswordOptions,
    /// Address of the user
    address: String,
    /// Password; others can see it while this runs
    password: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    let password = match (&arguments.password, arguments.encrypted) {
        (Some(_), true) => None,
        (None, true) => return Err(permanent("-e needs a password")),
        (given, false) => Some(arguments.options.password(given.as_deref())?),
    };
    site.become_owner()?;
    let directory = site.directory()?;
    let user = site.user(&directory, &name, &domain)?;
    if user.has(flags::NO_PASSWD_CHNG) && site.caller != 0 {
        return Err(permanent("password can not be changed by user"));
    }
    let stored = match &password {
        Some(password) => arguments.options.stored(&site, password)?,
        None => PasswordOptions::encrypted(arguments.password.as_deref().unwrap_or_default())?,
    };
    let user = User {
        password_hash: stored.hash,
        scram: stored.scram,
        ..user
    };
    directory
        .update_user(&user)
        .map_err(|error| refused(&error))?;
    directory
        .record_auth(&user, "pass", &administrator(), 0)
        .map_err(|error| refused(&error))?;
    notify.hup();
    if arguments.verbose {
        println!("{}: password changed", user.address());
    }
    Ok(())
}
