//! hostcntrl: on which host of a cluster a user is.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::Parser;
use directory::list::{HOSTS, USER_HOSTS};
use directory::{Cell, Central, Directory};
use run::Exit;

use crate::show::{json_rows, text};
use crate::site::{Site, permanent, refused, value_domain};

/// What stands for the password of a row that was added by hand.
const MANUAL: &str = "manual";

/// Shows and changes on which host of a cluster users are. `*@DOMAIN` is where
/// users without a row are.
///
/// Exit codes: 0 done, 1 nothing found, or there already, 100 refused or no
/// cluster, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "hostcntrl", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Show all rows
    #[arg(short = 'l', group = "what")]
    list: bool,
    /// Show the row of a user
    #[arg(short = 's', group = "what")]
    show: bool,
    /// Add a user of this host
    #[arg(short = 'i', value_name = "HOSTID", group = "what")]
    insert: Option<String>,
    /// Say that a user is on this host now
    #[arg(short = 'm', value_name = "HOSTID", group = "what")]
    modify: Option<String>,
    /// Delete the row of a user
    #[arg(short = 'd', group = "what")]
    delete: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of the user
    address: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let address = match &arguments.address {
        Some(address) => Some(parse(address)?),
        None => None,
    };
    site.become_owner()?;
    if arguments.insert.is_none() && arguments.modify.is_none() && !arguments.delete {
        return arguments.print(&site, address);
    }
    let (user, domain) = address.ok_or_else(|| permanent("which user?"))?;
    let directory = site.cluster(Central::Changes)?;
    let key = [
        ("pw_name", user.clone().into()),
        ("pw_domain", domain.clone().into()),
    ];
    if let Some(host) = &arguments.insert {
        known(&directory, host)?;
        let row = [
            Cell::from(&user),
            Cell::from(&domain),
            MANUAL.into(),
            host.into(),
        ];
        if !directory
            .add_row(&USER_HOSTS, &row)
            .map_err(|error| refused(&error))?
        {
            return Err(Exit::new(1, format!("{user}@{domain} exists")));
        }
    } else {
        let changed = match &arguments.modify {
            Some(host) => {
                known(&directory, host)?;
                directory.change_rows(&USER_HOSTS, &[("host", host.into())], &key)
            }
            None => directory.delete_rows(&USER_HOSTS, &key),
        };
        if changed.map_err(|error| refused(&error))? == 0 {
            return Err(Exit::new(1, format!("{user}@{domain}: No such user")));
        }
    }
    if arguments.verbose {
        println!("{user}@{domain}: changed");
    }
    Ok(())
}

fn parse(address: &str) -> Result<(String, String), Exit> {
    if address.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(permanent(format!(
            "email [{address}] has an uppercase character"
        )));
    }
    let (user, domain) = address
        .split_once('@')
        .ok_or_else(|| permanent("USER@DOMAIN"))?;
    value_domain(domain)?;
    if user.is_empty() {
        return Err(permanent("which user?"));
    }
    Ok((user.to_owned(), domain.to_owned()))
}

/// A host nobody knows gets no mail.
fn known(directory: &Directory, host: &str) -> Result<(), Exit> {
    let rows = directory.rows(&HOSTS, &[("host", host.into())]);
    match rows.map_err(|error| refused(&error))?.is_empty() {
        true => Err(permanent(format!(
            "{host}: No such host; vhostid -i adds it"
        ))),
        false => Ok(()),
    }
}

impl Arguments {
    fn print(&self, site: &Site, address: Option<(String, String)>) -> Result<(), Exit> {
        let directory = site.cluster(Central::Queries)?;
        let wanted: Vec<(&str, Cell)> = match address {
            Some((user, domain)) => vec![("pw_name", user.into()), ("pw_domain", domain.into())],
            None => Vec::new(),
        };
        let rows = directory
            .rows(&USER_HOSTS, &wanted)
            .map_err(|error| refused(&error))?;
        let times = directory
            .times(&USER_HOSTS, &wanted)
            .map_err(|error| refused(&error))?;
        let hosts = directory
            .rows(&HOSTS, &[])
            .map_err(|error| refused(&error))?;
        let hosts: HashMap<String, String> = hosts
            .iter()
            .map(|row| (text(&row[0]), text(&row[1])))
            .collect();
        let rows: Vec<Vec<Cell>> = rows
            .iter()
            .zip(times)
            .map(|(row, time)| {
                let host = text(&row[3]);
                let ip = hosts.get(&host).map_or("????", String::as_str);
                vec![
                    row[0].clone(),
                    row[1].clone(),
                    host.clone().into(),
                    ip.into(),
                    time.into(),
                ]
            })
            .collect();
        if self.json {
            json_rows(&["user", "domain", "host", "ip", "added"], &rows)?;
        } else if !rows.is_empty() {
            println!(
                "{:<20} {:<20} {:<9} {:<15} Added on",
                "User", "Domain", "Host ID", "IP Address"
            );
        }
        for row in rows.iter().filter(|_| !self.json) {
            let [user, domain, host, ip] = [0, 1, 2, 3].map(|column| text(&row[column]));
            let added = match row[4] {
                Cell::Integer(time) => tai::mbox_date(time),
                _ => String::new(),
            };
            println!("{user:<20} {domain:<20} {host:<9} {ip:<15} {added}");
        }
        if rows.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}
