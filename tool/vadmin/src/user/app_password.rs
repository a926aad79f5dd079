//! vapppasswd: passwords for single programs of a user.

use std::ffi::OsString;

use clap::Parser;
use directory::app_password::{AppPassword, Scope};
use run::Exit;
use serde::Serialize;

use crate::site::{Site, permanent, refused, temporary};

/// Makes, lists and takes back passwords for single programs of a user, like
/// a phone or a scanner. A new one is printed once and cannot be found out
/// again; the user's own password opens everything as before.
///
/// Without an option they are listed. Exit codes: 0 done, 1 no such user or
/// password, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vapppasswd", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Make one with this name
    #[arg(short = 'a', value_name = "NAME")]
    add: Option<String>,
    /// What it opens: smtp, imap, pop3, separated by commas; all without
    #[arg(short = 's', value_name = "SERVICES", requires = "add")]
    scope: Option<String>,
    /// Take back the one with this name
    #[arg(short = 'd', value_name = "NAME", conflicts_with = "add")]
    delete: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of the user
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let scope = match &arguments.scope {
        Some(text) => text
            .parse()
            .map_err(|error| permanent(format!("-s: {error}")))?,
        None => Scope::ALL,
    };
    let (name, domain) = site.address(&arguments.address)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let user = site.user(&directory, &name, &domain)?;
    if let Some(name) = &arguments.add {
        let (new, password) = AppPassword::generate(name, scope, os::clock::unix_seconds());
        let added = directory.add_app_password(&user, &new);
        if !added.map_err(|error| refused(&error))? {
            return Err(permanent(format!("{} has {name} already", user.address())));
        }
        println!("Password is {}", *password);
        return Ok(());
    }
    if let Some(name) = &arguments.delete {
        let deleted = directory.delete_app_password(&user, name);
        return match deleted.map_err(|error| refused(&error))? {
            true => Ok(()),
            false => Err(Exit::new(1, format!("{} has no {name}", user.address()))),
        };
    }
    let found = directory.app_passwords(&user);
    list(&found.map_err(|error| refused(&error))?, arguments.json)
}

fn list(passwords: &[AppPassword], json: bool) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        name: &'a str,
        services: String,
        created: i64,
        last_used: Option<i64>,
    }
    let shown: Vec<Shown<'_>> = passwords
        .iter()
        .map(|password| Shown {
            name: &password.name,
            services: password.scope.to_string(),
            created: password.created,
            last_used: password.last_used,
        })
        .collect();
    if json {
        let text = serde_json::to_string_pretty(&shown).map_err(|error| temporary(&error))?;
        println!("{text}");
        return Ok(());
    }
    for one in shown {
        let used = one.last_used.map_or("never".to_owned(), tai::mbox_date);
        println!("{:20} {:15} last used {used}", one.name, one.services);
    }
    Ok(())
}
