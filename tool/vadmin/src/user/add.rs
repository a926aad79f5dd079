//! vadduser: adds a user.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use directory::{Quota, UID_IN_STEP, User, value};
use run::Exit;
use settings::users;

use super::info;
use crate::notify::{LOOKUP, Notify};
use crate::secrets::PasswordOptions;
use crate::site::{Site, permanent, refused};

/// Adds a user to a virtual domain, with its home and Maildir.
///
/// The password is asked for when it is neither given nor generated. Exit
/// codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vadduser", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Show the new account in full
    #[arg(short = 'v')]
    verbose: bool,
    /// Quota, like 10M or 10000000S,1000C
    #[arg(short = 'q', value_name = "QUOTA")]
    quota: Option<String>,
    /// Users in one directory
    #[arg(short = 'l', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    users_per_level: Option<u32>,
    /// Full name; the user name without
    #[arg(short = 'c', value_name = "GECOS")]
    gecos: Option<String>,
    /// Create the home now; it always is
    #[arg(short = 'd')]
    create_home: bool,
    /// Create the account inactive
    #[arg(short = 'i')]
    inactive: bool,
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
    let allowed = site.text(&users::ALLOWCHARS)?;
    value::check_new_user(&name, &allowed).map_err(|error| refused(&error))?;
    let (_, entry) = site.real_domain(&domain)?;
    let quota = match &arguments.quota {
        Some(text) => text.clone(),
        None => site.text(&users::HARD_QUOTA)?,
    };
    let mut quota = Quota::parse(&quota).map_err(|error| permanent(error.to_string()))?;
    let is_limited = site.is_limited(&entry.dir)?;
    let reserved = value::RESERVED.contains(&name.as_str());
    let inactive = arguments.inactive || site.is_on(&users::CREATE_INACTIVE)?;
    let given = arguments.password.as_deref();
    let stored = arguments
        .options
        .of_new(&site, given, arguments.encrypted)?;
    site.become_owner()?;
    let directory = site.directory()?;
    if is_limited && arguments.quota.is_none() {
        let limits = directory.limits(&domain).map_err(|error| refused(&error))?;
        quota = limits.and_then(|limits| limits.quota()).unwrap_or(quota);
    }
    let user = User {
        gecos: arguments.gecos.clone().unwrap_or_else(|| name.clone()),
        name,
        domain,
        password_hash: stored.hash,
        gid_flags: 0,
        dir: PathBuf::new(),
        quota: quota.to_string(),
        scram: stored.scram,
        active: reserved || !inactive,
        uid_state: UID_IN_STEP,
    };
    let user = super::create(
        &site,
        &directory,
        &entry.dir,
        arguments.users_per_level,
        &user,
    )?;
    notify.hup();
    if arguments.verbose {
        info::print(&directory, &user)?;
    } else {
        println!("added {}", user.address());
    }
    Ok(())
}
