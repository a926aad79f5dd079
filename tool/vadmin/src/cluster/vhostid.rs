//! vhostid: names and addresses of the hosts of a cluster.

use std::ffi::OsString;
use std::net::IpAddr;

use clap::Parser;
use directory::Central;
use directory::list::HOSTS;
use run::Exit;
use settings::users;

use crate::show::{json_rows, text};
use crate::site::{Site, file, permanent, refused};

const HOST_BYTES_MAX: usize = 64;

/// Shows the name of this host in tables of a cluster, and shows and changes
/// the addresses of its hosts.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused or no cluster, 111
/// temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vhostid", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Show the name of this host (default), or set it
    #[arg(short = 'S', value_name = "ID", num_args = 0..=1, default_missing_value = "", group = "what")]
    own: Option<String>,
    /// Show all hosts
    #[arg(short = 's', group = "what")]
    show: bool,
    /// Add a host with this address
    #[arg(short = 'i', value_name = "IP", group = "what")]
    insert: Option<IpAddr>,
    /// Change the address of a host
    #[arg(short = 'u', value_name = "IP", group = "what")]
    update: Option<IpAddr>,
    /// Delete a host
    #[arg(short = 'd', group = "what")]
    delete: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Name of the host
    id: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    if let Some(id) = arguments.own.as_deref().filter(|id| !id.is_empty()) {
        return set(&site, id);
    }
    let reads = arguments.show;
    if !reads && arguments.insert.is_none() && arguments.update.is_none() && !arguments.delete {
        println!("{}", site.host_id()?);
        return Ok(());
    }
    site.become_owner()?;
    if reads {
        return arguments.list(&site);
    }
    let id = arguments
        .id
        .as_deref()
        .ok_or_else(|| permanent("which host?"))?;
    check(id)?;
    let directory = site.cluster(Central::Changes)?;
    let key = [("host", id.into())];
    if let Some(ip) = arguments.insert {
        let added = directory.add_row(&HOSTS, &[id.into(), ip.to_string().into()]);
        if !added.map_err(|error| refused(&error))? {
            return Err(permanent(format!("{id} exists")));
        }
    } else {
        let changed = match arguments.update {
            Some(ip) => directory.change_rows(&HOSTS, &[("ipaddr", ip.to_string().into())], &key),
            None => directory.delete_rows(&HOSTS, &key),
        };
        if changed.map_err(|error| refused(&error))? == 0 {
            return Err(Exit::new(1, format!("{id}: No such host")));
        }
    }
    if arguments.verbose {
        println!("{id}: changed");
    }
    Ok(())
}

fn set(site: &Site, id: &str) -> Result<(), Exit> {
    check(id)?;
    let path = site.home.control().join(users::HOSTID.file);
    os::file::replace(&path, format!("{id}\n").as_bytes(), 0o644)
        .map_err(|error| file(&path, &error))?;
    println!("updated local hostid to {id}");
    Ok(())
}

fn check(id: &str) -> Result<(), Exit> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !id.is_empty() && id.len() <= HOST_BYTES_MAX && id.bytes().all(fine) {
        return Ok(());
    }
    Err(permanent(format!(
        "{}: not the name of a host",
        id.escape_debug()
    )))
}

impl Arguments {
    fn list(&self, site: &Site) -> Result<(), Exit> {
        let directory = site.cluster(Central::Queries)?;
        let wanted: Vec<_> = self.id.iter().map(|id| ("host", id.into())).collect();
        let rows = directory
            .rows(&HOSTS, &wanted)
            .map_err(|error| refused(&error))?;
        if self.json {
            json_rows(&["host", "ip"], &rows)?;
        } else {
            rows.iter()
                .for_each(|row| println!("{:<20} {}", text(&row[0]), text(&row[1])));
        }
        if rows.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}
