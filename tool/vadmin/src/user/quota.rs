//! vsetuserquota: sets the quota of a user.

use std::ffi::OsString;

use clap::Parser;
use directory::{Quota, User};
use run::Exit;

use super::info::usage;
use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, permanent, refused};

/// Sets the quota of a user and shows its usage.
///
/// Exit codes: 0 done, 1 no such user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vsetuserquota", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Address of the user
    address: String,
    /// Quota, like 10M or 10000000S,1000C, or NOQUOTA
    quota: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let quota = Quota::parse(&arguments.quota).map_err(|error| permanent(error.to_string()))?;
    let (name, domain) = site.address(&arguments.address)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let old = site.user(&directory, &name, &domain)?;
    println!("usage {} bytes", usage(&old).0);
    let new = User {
        quota: quota.to_string(),
        ..old
    };
    directory
        .update_user(&new)
        .map_err(|error| refused(&error))?;
    write_quota(&new, quota)?;
    notify.hup();
    if arguments.verbose {
        println!("{}: quota {}", new.address(), new.quota);
    }
    Ok(())
}

/// Writes the first line of `maildirsize`, which other programs believe, and
/// leaves the sums as they are. Without the file it is made with the first
/// delivery. A sum that is added at this moment is lost; the next count from
/// disk finds it.
pub fn write_quota(user: &User, quota: Quota) -> Result<(), Exit> {
    let path = user.maildir().join("maildirsize");
    let old = match std::fs::read_to_string(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file(&path, &error)),
    };
    let count = quota.messages.map_or(String::new(), |n| format!(",{n}C"));
    let mut new = format!("{}S{count}\n", quota.bytes.unwrap_or(0));
    new.extend(old.split_inclusive('\n').skip(1));
    os::file::replace(&path, new.as_bytes(), 0o600).map_err(|error| file(&path, &error))
}
