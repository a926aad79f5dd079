//! valias: shows and changes aliases.

use std::ffi::OsString;

use clap::Parser;
use directory::{Alias, value};
use run::Exit;
use serde::Serialize;
use settings::users;

use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, permanent, refused, temporary};

/// Shows and changes the delivery lines of an alias: `&address` forwards,
/// `/path/Maildir/` stores, `| command` runs. Lines of an alias with the name
/// of a user replace delivery to its mailbox.
///
/// Without an option the lines are shown; `@DOMAIN` means all aliases of a
/// domain. Exit codes: 0 done, 1 none found, 100 refused, 111 temporary
/// failure.
#[derive(Debug, Parser)]
#[command(name = "valias", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Do not ask where a target is in a cluster; nothing here does
    #[arg(short = 'm')]
    any_target: bool,
    /// Show the lines
    #[arg(short = 's')]
    show: bool,
    /// Show which aliases deliver to the address
    #[arg(short = 'S', conflicts_with_all = ["insert", "delete", "update"])]
    track: bool,
    /// Add a line
    #[arg(short = 'i', value_name = "LINE", allow_hyphen_values = true)]
    insert: Option<String>,
    /// Delete a line
    #[arg(short = 'd', value_name = "LINE", conflicts_with_all = ["insert", "update"])]
    delete: Option<String>,
    /// Replace this line by that of -i
    #[arg(short = 'u', value_name = "OLD", requires = "insert")]
    update: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of the alias, or a domain
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let changes = arguments.insert.is_some() || arguments.delete.is_some();
    if !changes {
        return arguments.list(&site);
    }
    let (name, domain) = site.address(&arguments.address)?;
    if name.is_empty() {
        return Err(permanent("which alias?"));
    }
    let allowed = site.text(&users::ALLOWCHARS)?;
    if arguments.delete.is_none() && arguments.update.is_none() {
        value::check_new_user(&name, &allowed).map_err(|error| refused(&error))?;
    }
    let (_, entry) = site.real_domain(&domain)?;
    let is_limited = arguments.update.is_none() && site.is_limited(&entry.dir)?;
    site.become_owner()?;
    if let Some(line) = arguments.insert.as_deref().filter(|_| is_limited) {
        check_limits(&site, &name, &domain, line)?;
    }
    arguments.change(&site, &name, &domain)?;
    notify.hup();
    Ok(())
}

impl Arguments {
    fn change(&self, site: &Site, name: &str, domain: &str) -> Result<(), Exit> {
        let directory = site.directory()?;
        let alias = |line: &str| Alias {
            name: name.to_owned(),
            domain: domain.to_owned(),
            line: line.trim_start().to_owned(),
        };
        let missing = |line: &str| Exit::new(1, format!("{name}@{domain} has no line {line}"));
        match (&self.insert, &self.update, &self.delete) {
            (Some(new), None, _) => {
                let new = alias(new);
                let added = directory.add_alias(&new).map_err(|error| refused(&error))?;
                if !added {
                    return Err(permanent(format!("{name}@{domain} has this line already")));
                }
                self.tell(&new);
            }
            (Some(new), Some(old), _) => {
                let (old, new) = (alias(old), alias(new));
                if !directory
                    .replace_alias(&old, &new.line)
                    .map_err(|error| refused(&error))?
                {
                    return Err(missing(&old.line));
                }
                self.tell(&new);
            }
            (None, _, Some(line)) => {
                let line = alias(line);
                if !directory
                    .delete_alias(&line)
                    .map_err(|error| refused(&error))?
                {
                    return Err(missing(&line.line));
                }
            }
            (None, _, None) => {}
        }
        Ok(())
    }

    fn list(&self, site: &Site) -> Result<(), Exit> {
        let whole_domain = self.address.strip_prefix('@').or_else(|| {
            (!self.address.contains('@') && self.is_domain(site)).then_some(&self.address)
        });
        let found = match whole_domain {
            Some(domain) => {
                let (domain, _) = site.real_domain(domain)?;
                site.become_owner()?;
                site.directory()?.domain_aliases(&domain)
            }
            None => {
                let (name, domain) = site.address(&self.address)?;
                site.become_owner()?;
                let directory = site.directory()?;
                if self.track {
                    directory.aliases_to(&format!("{name}@{domain}"))
                } else {
                    directory.aliases(&name, &domain).map(|lines| {
                        let alias = |line| Alias {
                            name: name.clone(),
                            domain: domain.clone(),
                            line,
                        };
                        lines.into_iter().map(alias).collect()
                    })
                }
            }
        };
        let found = found.map_err(|error| refused(&error))?;
        if self.json {
            print_json(&found)?;
        } else {
            found.iter().for_each(print);
        }
        if found.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }

    fn is_domain(&self, site: &Site) -> bool {
        site.domains
            .find(&self.address)
            .is_ok_and(|found| found.is_some())
    }

    fn tell(&self, alias: &Alias) {
        if self.verbose {
            print(alias);
        }
    }
}

/// Refuses one name more than the domain may have: of those that lead
/// elsewhere, and of the others. Names every domain needs do not count.
fn check_limits(site: &Site, name: &str, domain: &str, line: &str) -> Result<(), Exit> {
    let directory = site.directory()?;
    let limits = directory.limits(domain).map_err(|error| refused(&error))?;
    let Some(limits) = limits else { return Ok(()) };
    let is_forward = |line: &str| {
        let line = line.trim_start();
        let target = line.strip_prefix('&').unwrap_or(line).rsplit_once('@');
        !line.starts_with(['|', '/'])
            && target.is_some_and(|(_, of)| !of.eq_ignore_ascii_case(domain))
    };
    let (what, allowed) = match is_forward(line) {
        true => ("forwards", limits.forwards),
        false => ("aliases", limits.aliases),
    };
    let Ok(allowed) = u64::try_from(allowed) else {
        return Ok(());
    };
    let mut names: Vec<String> = directory
        .domain_aliases(domain)
        .map_err(|error| refused(&error))?
        .into_iter()
        .filter(|alias| is_forward(&alias.line) == is_forward(line))
        .map(|alias| alias.name)
        .filter(|other| !value::RESERVED.contains(&other.as_str()))
        .collect();
    names.sort();
    names.dedup();
    if names.iter().any(|other| other == name) || (names.len() as u64) < allowed {
        return Ok(());
    }
    Err(refused(&directory::Error::Limit {
        domain: domain.to_owned(),
        what,
        allowed,
    }))
}

fn print_json(aliases: &[Alias]) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        alias: String,
        line: &'a str,
    }
    let shown: Vec<Shown<'_>> = aliases
        .iter()
        .map(|alias| Shown {
            alias: format!("{}@{}", alias.name, alias.domain),
            line: &alias.line,
        })
        .collect();
    let text = serde_json::to_string_pretty(&shown).map_err(|error| temporary(&error))?;
    println!("{text}");
    Ok(())
}

fn print(alias: &Alias) {
    println!("{}@{} -> {}", alias.name, alias.domain, alias.line);
}
