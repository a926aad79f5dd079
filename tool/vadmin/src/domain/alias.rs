//! vaddaliasdomain: adds another name for a virtual domain.

use std::ffi::OsString;

use clap::Parser;
use directory::assign;
use run::Exit;

use super::add::{let_mail_in, refuse_existing, report};
use super::populate;
use crate::notify::{Notify, QUEUES};
use crate::site::{Site, permanent, refused, value_domain};
use crate::undo::Undo;

/// Adds another name for a virtual domain: its users get the mail of both.
/// `vdeldomain` removes the name again.
///
/// Exit codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure;
/// nothing is left behind when it fails.
#[derive(Debug, Parser)]
#[command(name = "vaddaliasdomain", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// The new name
    new: String,
    /// The domain it stands for
    old: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (new, old) = (arguments.new.as_str(), arguments.old.as_str());
    value_domain(new)?;
    let notify = Notify::open(&site.home, QUEUES);
    let (real, entry) = site.real_domain(old)?;
    if real != old {
        return Err(permanent(format!(
            "{old} is an alias of {real}; use {real}"
        )));
    }
    let table = assign::Assign::lock(&site.home.users()).map_err(|error| refused(&error))?;
    refuse_existing(&site, new)?;
    let before = table.read().map_err(|error| refused(&error))?;
    let line = assign::domain_line(new, entry.uid, entry.gid, &entry.dir)
        .map_err(|error| refused(&error))?;
    let mut undo = Undo::default();
    populate::link(&site, new, old)?;
    undo.push(|| {
        let _ = populate::unlink(&site, new, old);
    });
    undo.push(|| report(table.restore(&before)));
    table.add(&line).map_err(|error| refused(&error))?;
    let_mail_in(site.home.control(), new, &mut undo)?;
    undo.keep();
    notify.hup();
    if arguments.verbose {
        println!("{new} is another name for {old}");
    }
    Ok(())
}
