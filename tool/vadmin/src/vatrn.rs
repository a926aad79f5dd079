//! vatrn: whose mail a user may fetch with ATRN.

use std::ffi::OsString;

use clap::Parser;
use directory::Cell;
use directory::list::ATRN_MAP;
use run::Exit;

use crate::show::{json_rows, text};
use crate::site::{Site, permanent, refused, value_domain};

/// Shows and changes the domains whose waiting mail a user may fetch with
/// ATRN.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vatrn", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Add a domain
    #[arg(short = 'i', value_name = "DOMAIN")]
    insert: Option<String>,
    /// Delete a domain
    #[arg(short = 'd', value_name = "DOMAIN", conflicts_with_all = ["insert", "update"])]
    delete: Option<String>,
    /// Replace this domain by that of -i
    #[arg(short = 'u', value_name = "OLD", requires = "insert")]
    update: Option<String>,
    /// Show
    #[arg(short = 's')]
    show: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of the user; @DOMAIN shows all users of a domain
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (name, domain) = site.address(&arguments.address)?;
    for other in [&arguments.insert, &arguments.delete, &arguments.update] {
        other.as_deref().map_or(Ok(()), value_domain)?;
    }
    site.become_owner()?;
    let directory = site.directory()?;
    let row = |of: &str| [Cell::from(&name), Cell::from(&domain), Cell::from(of)];
    let key = |of: &str| {
        let [name, domain, of] = row(of);
        [
            ("pw_name", name),
            ("pw_domain", domain),
            ("domain_list", of),
        ]
    };
    let missing = |of: &str| Exit::new(1, format!("{name}@{domain} has no domain {of}"));
    let changes = arguments.insert.is_some() || arguments.delete.is_some();
    if changes && name.is_empty() {
        return Err(permanent("which user?"));
    }
    match (&arguments.insert, &arguments.update, &arguments.delete) {
        (Some(new), Some(old), _) => {
            let change = [("domain_list", Cell::from(new))];
            let changed = directory.change_rows(&ATRN_MAP, &change, &key(old));
            if changed.map_err(|error| refused(&error))? == 0 {
                return Err(missing(old));
            }
        }
        (Some(new), None, _) => {
            site.user(&directory, &name, &domain)?;
            let added = directory.add_row(&ATRN_MAP, &row(new));
            if !added.map_err(|error| refused(&error))? {
                return Err(permanent(format!("{name}@{domain} has {new} already")));
            }
        }
        (None, _, Some(old)) => {
            let deleted = directory.delete_rows(&ATRN_MAP, &key(old));
            if deleted.map_err(|error| refused(&error))? == 0 {
                return Err(missing(old));
            }
        }
        (None, _, None) => return arguments.list(&directory, &name, &domain),
    }
    if arguments.verbose {
        println!("{name}@{domain}: changed");
    }
    Ok(())
}

impl Arguments {
    fn list(&self, directory: &directory::Directory, name: &str, domain: &str) -> Result<(), Exit> {
        let mut wanted = vec![("pw_domain", Cell::from(domain))];
        if !name.is_empty() {
            wanted.push(("pw_name", name.into()));
        }
        let rows = directory
            .rows(&ATRN_MAP, &wanted)
            .map_err(|error| refused(&error))?;
        if self.json {
            json_rows(&["user", "domain", "fetches"], &rows)?;
        } else {
            for row in &rows {
                println!(
                    "{:<20} {:<20} {}",
                    text(&row[0]),
                    text(&row[1]),
                    text(&row[2])
                );
            }
        }
        if rows.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}
