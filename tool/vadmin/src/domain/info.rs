//! vdominfo: shows domains.

use std::ffi::OsString;

use clap::Parser;
use directory::{Directory, VirtualDomain};
use run::Exit;
use serde::Serialize;
use settings::users;

use crate::site::{Site, refused, value_domain};

/// Shows one virtual domain, or all. Without options everything; with options
/// only what they name, one value a line.
///
/// Exit codes: 0 done, 1 no such domain, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vdominfo", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Show everything
    #[arg(short = 'a')]
    all: bool,
    /// Name
    #[arg(short = 'n')]
    name: bool,
    /// User id of its files
    #[arg(short = 'u')]
    uid: bool,
    /// Group id of its files
    #[arg(short = 'g')]
    gid: bool,
    /// Directory of the domain
    #[arg(short = 'd')]
    directory: bool,
    /// Base directory of its users
    #[arg(short = 'b')]
    base: bool,
    /// Number of users
    #[arg(short = 't')]
    total: bool,
    /// Whether domain limits hold
    #[arg(short = 'l')]
    limits: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Name of the domain
    domain: Option<String>,
}

/// A domain as it is shown.
#[derive(Serialize)]
struct Shown {
    domain: String,
    real_domain: String,
    uid: u32,
    gid: u32,
    domain_dir: String,
    base_dir: String,
    crypt_hash: String,
    users: u64,
    vlimits: bool,
    alias_domains: Vec<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let all = site.domains.all().map_err(|error| refused(&error))?;
    let wanted: Vec<&(String, VirtualDomain)> = match &arguments.domain {
        None => all.iter().collect(),
        Some(name) => {
            value_domain(name)?;
            let found: Vec<_> = all.iter().filter(|(known, _)| known == name).collect();
            if found.is_empty() {
                return Err(Exit::new(1, format!("domain {name} does not exist")));
            }
            found
        }
    };
    site.become_owner()?;
    let directory = site.directory()?;
    let mut shown = Vec::new();
    for (name, entry) in wanted {
        shown.push(look(&site, &directory, &all, name, entry)?);
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&shown);
        println!("{}", text.map_err(|error| crate::site::temporary(&error))?);
    } else {
        shown.iter().for_each(|domain| arguments.print(domain));
    }
    Ok(())
}

fn look(
    site: &Site,
    directory: &Directory,
    all: &[(String, VirtualDomain)],
    name: &str,
    entry: &VirtualDomain,
) -> Result<Shown, Exit> {
    let real_of = |name: &str| {
        let real = site.domains.real(name).map_err(|error| refused(&error))?;
        Ok::<_, Exit>(real.unwrap_or_else(|| name.to_owned()))
    };
    let real = real_of(name)?;
    let mut aliases = Vec::new();
    for (other, _) in all {
        if *other != real && real == name && real_of(other)? == real {
            aliases.push(other.clone());
        }
    }
    Ok(Shown {
        users: directory
            .count_users(&real)
            .map_err(|error| refused(&error))?,
        vlimits: entry.dir.join(".domain_limits").exists(),
        domain: name.to_owned(),
        real_domain: real,
        uid: entry.uid,
        gid: entry.gid,
        domain_dir: entry.dir.display().to_string(),
        base_dir: site.home.mail().display().to_string(),
        crypt_hash: site.text(&users::HASH_METHOD)?,
        alias_domains: aliases,
    })
}

impl Arguments {
    fn print(&self, domain: &Shown) {
        let some = [
            (self.name, domain.domain.clone()),
            (self.uid, domain.uid.to_string()),
            (self.gid, domain.gid.to_string()),
            (self.directory, domain.domain_dir.clone()),
            (self.base, domain.base_dir.clone()),
            (self.total, domain.users.to_string()),
            (self.limits, enabled(domain.vlimits).to_owned()),
        ];
        if self.all || !some.iter().any(|(wanted, _)| *wanted) {
            return print_all(domain);
        }
        for (_, value) in some.iter().filter(|(wanted, _)| *wanted) {
            println!("{value}");
        }
    }
}

fn print_all(domain: &Shown) {
    println!("---- Domain {:<25} {}", domain.domain, "-".repeat(31));
    if domain.domain == domain.real_domain {
        println!("    domain: {}", domain.domain);
    } else {
        println!(
            "    domain: {} aliased to {}",
            domain.domain, domain.real_domain
        );
    }
    println!("       uid: {}", domain.uid);
    println!("       gid: {}", domain.gid);
    println!("Domain Dir: {}", domain.domain_dir);
    if domain.domain != domain.real_domain {
        return;
    }
    println!("  Base Dir: {}", domain.base_dir);
    println!("crypt Hash: {}", domain.crypt_hash);
    println!("     Users: {}", domain.users);
    println!("   vlimits: {}", enabled(domain.vlimits));
    if !domain.alias_domains.is_empty() {
        println!("AliasDomains:");
        for alias in &domain.alias_domains {
            println!("{alias}");
        }
    }
}

fn enabled(limits: bool) -> &'static str {
    if limits { "enabled" } else { "disabled" }
}
