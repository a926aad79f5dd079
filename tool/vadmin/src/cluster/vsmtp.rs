//! vsmtp: ports of the hosts of a cluster.

use std::ffi::OsString;

use clap::Parser;
use directory::list::PORTS;
use directory::{Cell, Central};
use run::Exit;

use crate::show::{json_rows, text};
use crate::site::{Site, permanent, refused, value_domain};

/// Shows and changes the SMTP ports on which the hosts of a cluster take mail
/// for a domain.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused or no cluster, 111
/// temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vsmtp", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Show the ports of a domain
    #[arg(short = 's', group = "what")]
    show: bool,
    /// Add a port; 0 is the usual one
    #[arg(short = 'i', value_name = "PORT", group = "what")]
    insert: Option<u16>,
    /// Change a port
    #[arg(short = 'u', value_name = "PORT", group = "what")]
    update: Option<u16>,
    /// Delete a port
    #[arg(short = 'd', group = "what")]
    delete: bool,
    /// Only for mail that this host sends; without it for all
    #[arg(short = 'm', value_name = "MTA", default_value = "*")]
    mta: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// HOSTID@DOMAIN, or a domain to show
    name: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (host, domain) = match arguments.name.split_once('@') {
        Some((host, domain)) => (Some(host), domain),
        None => (None, arguments.name.as_str()),
    };
    value_domain(domain)?;
    site.become_owner()?;
    let changes = arguments.insert.is_some() || arguments.update.is_some() || arguments.delete;
    if !changes {
        return arguments.list(&site, host, domain);
    }
    let host = host.filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| permanent("which host? HOSTID@DOMAIN"))?;
    let directory = site.cluster(Central::Changes)?;
    let key = [
        ("domain", domain.into()),
        ("host", host.into()),
        ("src_host", Cell::from(&arguments.mta)),
    ];
    if let Some(port) = arguments.insert {
        let row: Vec<Cell> = vec![
            domain.into(),
            host.into(),
            (&arguments.mta).into(),
            i32::from(port).into(),
        ];
        if !directory
            .add_row(&PORTS, &row)
            .map_err(|error| refused(&error))?
        {
            return Err(permanent(format!("{host}@{domain} has a port already")));
        }
    } else {
        let changed = match arguments.update {
            Some(port) => directory.change_rows(&PORTS, &[("port", i32::from(port).into())], &key),
            None => directory.delete_rows(&PORTS, &key),
        };
        if changed.map_err(|error| refused(&error))? == 0 {
            return Err(Exit::new(1, format!("{host}@{domain}: No such port")));
        }
    }
    if arguments.verbose {
        println!("{host}@{domain}: changed");
    }
    Ok(())
}

impl Arguments {
    fn list(&self, site: &Site, host: Option<&str>, domain: &str) -> Result<(), Exit> {
        let directory = site.cluster(Central::Queries)?;
        let mut wanted: Vec<(&str, Cell)> = vec![("domain", domain.into())];
        wanted.extend(host.map(|host| ("host", host.into())));
        let rows = directory
            .rows(&PORTS, &wanted)
            .map_err(|error| refused(&error))?;
        if self.json {
            json_rows(&["domain", "host", "src_host", "port"], &rows)?;
        } else {
            for row in &rows {
                let [domain, host, mta, port] = [0, 1, 2, 3].map(|column| text(&row[column]));
                println!("{mta:<15} {host}@{domain} {port}");
            }
        }
        if rows.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}
