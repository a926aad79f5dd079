//! vdeluser: deletes a user and its mail.

use std::ffi::OsString;
use std::io::BufRead;

use clap::Parser;
use directory::{home, value};
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
    let user = directory
        .delete_user(&name, &domain, Some(&placement))
        .map_err(|error| refused(&error))?
        .ok_or_else(|| Exit::new(1, format!("{name}@{domain}: No such user")))?;
    notify.hup();
    home::remove(&user.dir, &[&domain, &name]).map_err(|error| refused(&error))?;
    if !name.contains('/') {
        let path = entry.dir.join(format!(".qmail-{}", name.replace('.', ":")));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file(&path, &error));
            }
            _ => {}
        }
    }
    if arguments.verbose {
        println!("removed {} and {}", user.address(), user.dir.display());
    }
    Ok(())
}

fn confirmed(name: &str) -> bool {
    println!("Are You sure removing RFC Id {name} (y/n)");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim_start().starts_with(['y', 'Y'])
}
