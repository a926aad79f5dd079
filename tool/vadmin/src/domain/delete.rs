//! vdeldomain: deletes a virtual domain with all its users and their mail.

use std::ffi::OsString;

use clap::Parser;
use directory::{assign, home};
use run::Exit;

use super::populate;
use crate::lines::{Lines, rebuild_morercpthosts};
use crate::notify::{Notify, QUEUES};
use crate::site::{Site, refused, value_domain};

/// Control files with one domain a line.
pub const LISTS: [&str; 4] = ["rcpthosts", "morercpthosts", "etrnhosts", "chkrcptdomains"];

/// Deletes a virtual domain with all its users and their mail, and its alias
/// domains. An alias domain alone loses only its own traces.
///
/// Exit codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure;
/// it can be repeated then.
#[derive(Debug, Parser)]
#[command(name = "vdeldomain", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each step
    #[arg(short = 'v')]
    verbose: bool,
    /// Name of the domain
    domain: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    value_domain(&arguments.domain)?;
    let tell = |text: &str| {
        if arguments.verbose {
            println!("{text}");
        }
    };
    let notify = Notify::open(&site.home, QUEUES);
    let (real, _) = site.real_domain(&arguments.domain)?;
    if real != arguments.domain {
        remove_name(&site, &arguments.domain, &real)?;
        notify.hup();
        return Ok(());
    }
    // First nobody can send to it any more, then everything goes.
    for (alias, _) in site.domains.all().map_err(|error| refused(&error))? {
        let behind = site.domains.real(&alias).map_err(|error| refused(&error))?;
        if alias != real && behind.as_deref() == Some(real.as_str()) {
            tell(&format!("deleting alias domain {alias}"));
            remove_name(&site, &alias, &real)?;
        }
    }
    tell("removing the domain from control files");
    remove_lines(&site, &real)?;
    notify.hup();
    tell("removing users and their mail");
    populate::remove(&site, &real)?;
    home::remove(&site.home.domains().join(&real), &[&real]).map_err(|error| refused(&error))?;
    // The last thing that tells of the domain, so that this can be repeated.
    remove_from_assign(&site, &real)?;
    Notify::open(&site.home, QUEUES).hup();
    Ok(())
}

/// Removes an alias domain: its lines and its link.
fn remove_name(site: &Site, name: &str, real: &str) -> Result<(), Exit> {
    remove_lines(site, name)?;
    populate::unlink(site, name, real)?;
    remove_from_assign(site, name)
}

fn remove_lines(site: &Site, domain: &str) -> Result<(), Exit> {
    let control = site.home.control();
    let _lock = assign::Assign::lock(&site.home.users()).map_err(|error| refused(&error))?;
    for name in LISTS {
        Lines::read(control, name)?.remove(domain)?;
    }
    rebuild_morercpthosts(control)?;
    Lines::read(control, "virtualdomains")?.remove(&format!("{domain}:{domain}"))?;
    Ok(())
}

fn remove_from_assign(site: &Site, domain: &str) -> Result<(), Exit> {
    assign::Assign::lock(&site.home.users())
        .and_then(|table| table.remove_domain(domain))
        .map_err(|error| refused(&error))?;
    Ok(())
}
