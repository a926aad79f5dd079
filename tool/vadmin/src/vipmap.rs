//! vipmap: which domain is meant at which address of this host.

use std::ffi::OsString;
use std::net::IpAddr;

use clap::Parser;
use directory::Cell;
use directory::list::IP_MAP;
use run::Exit;

use crate::notify::{LOOKUP, Notify};
use crate::show::{json_rows, text};
use crate::site::{Site, permanent, refused};

/// Shows and changes which domain is meant when a client of an address of
/// this host names none.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vipmap", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Add: clients of this address mean the domain
    #[arg(short = 'i', value_name = "IP", group = "what")]
    insert: Option<IpAddr>,
    /// Change: clients of this address mean another domain
    #[arg(short = 'u', value_name = "IP", group = "what")]
    update: Option<IpAddr>,
    /// Delete
    #[arg(short = 'd', value_name = "IP", group = "what")]
    delete: Option<IpAddr>,
    /// Show; all, or those of a domain
    #[arg(short = 's', visible_short_alias = 'p', group = "what")]
    show: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The domain
    domain: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let domain = match &arguments.domain {
        Some(domain) => Some(site.real_domain(domain)?.0),
        None => None,
    };
    site.become_owner()?;
    let directory = site.directory()?;
    let domain_of = || domain.clone().ok_or_else(|| permanent("which domain?"));
    let (ip, done) = if let Some(ip) = arguments.insert {
        let row = [ip.to_string().into(), domain_of()?.into()];
        let added = directory.add_row(&IP_MAP, &row);
        if !added.map_err(|error| refused(&error))? {
            return Err(permanent(format!("{ip} has a domain already")));
        }
        (ip, "added")
    } else if let Some(ip) = arguments.update {
        let change = [("domain", domain_of()?.into())];
        let key = [("ipaddr", ip.to_string().into())];
        let changed = directory.change_rows(&IP_MAP, &change, &key);
        found(changed.map_err(|error| refused(&error))?, ip)?;
        (ip, "changed")
    } else if let Some(ip) = arguments.delete {
        let mut key: Vec<(&str, Cell)> = vec![("ipaddr", ip.to_string().into())];
        key.extend(domain.map(|domain| ("domain", domain.into())));
        let deleted = directory.delete_rows(&IP_MAP, &key);
        found(deleted.map_err(|error| refused(&error))?, ip)?;
        (ip, "deleted")
    } else {
        return arguments.list(&directory, domain);
    };
    notify.hup();
    if arguments.verbose {
        println!("{ip} {done}");
    }
    Ok(())
}

impl Arguments {
    fn list(&self, directory: &directory::Directory, domain: Option<String>) -> Result<(), Exit> {
        let wanted: Vec<_> = domain
            .map(|domain| ("domain", domain.into()))
            .into_iter()
            .collect();
        let rows = directory
            .rows(&IP_MAP, &wanted)
            .map_err(|error| refused(&error))?;
        if self.json {
            json_rows(&["ip", "domain"], &rows)?;
        } else {
            rows.iter()
                .for_each(|row| println!("{} {}", text(&row[0]), text(&row[1])));
        }
        if !rows.is_empty() {
            return Ok(());
        }
        let said = if self.verbose {
            "No IP Maps present"
        } else {
            ""
        };
        Err(Exit::new(1, said))
    }
}

fn found(rows: u64, ip: IpAddr) -> Result<(), Exit> {
    match rows {
        0 => Err(Exit::new(1, format!("{ip} has no domain"))),
        _ => Ok(()),
    }
}
