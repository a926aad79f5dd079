//! vpriv: what operators of the remote administration may run.

use std::ffi::OsString;

use clap::Parser;
use directory::Cell;
use directory::list::PRIVILEGES;
use run::Exit;
use wire::admin::NUMBERED;

use crate::show::{json_rows, text};
use crate::site::{Site, permanent, refused};

/// Shows and changes which programs operators may run, and with which
/// arguments: `*`, or a pattern for them.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vpriv", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Show; all, or those of one operator
    #[arg(short = 's', group = "what")]
    show: bool,
    /// Let the operator run a program
    #[arg(short = 'i', value_name = "PROGRAM", group = "what")]
    insert: Option<String>,
    /// Change the arguments of a program
    #[arg(short = 'm', value_name = "PROGRAM", group = "what")]
    modify: Option<String>,
    /// No more let the operator run a program
    #[arg(short = 'd', value_name = "PROGRAM", group = "what")]
    delete: Option<String>,
    /// Let an operator run everything
    #[arg(short = 'a', value_name = "USER", group = "what")]
    all: Option<String>,
    /// No more let an operator run anything
    #[arg(short = 'D', value_name = "USER", group = "what")]
    nothing: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The operator
    user: Option<String>,
    /// The arguments: *, or a pattern
    #[arg(allow_hyphen_values = true)]
    switches: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    site.become_owner()?;
    let directory = site.operators()?;
    let user = || {
        arguments
            .user
            .as_deref()
            .ok_or_else(|| permanent("which operator?"))
    };
    let switches = || arguments.switches.as_deref().unwrap_or("*");
    let said = if let Some(program) = &arguments.insert {
        check(program)?;
        let row = [user()?.into(), program.into(), switches().into()];
        if !directory
            .add_row(&PRIVILEGES, &row)
            .map_err(|error| refused(&error))?
        {
            return Err(permanent(format!("{} may run {program} already", user()?)));
        }
        program
    } else if let Some(program) = &arguments.modify {
        let change = [("cmdswitches", switches().into())];
        let changed = directory.change_rows(&PRIVILEGES, &change, &key(user()?, program));
        found(changed.map_err(|error| refused(&error))?, user()?)?;
        program
    } else if let Some(program) = &arguments.delete {
        let deleted = directory.delete_rows(&PRIVILEGES, &key(user()?, program));
        found(deleted.map_err(|error| refused(&error))?, user()?)?;
        program
    } else if let Some(user) = &arguments.all {
        for program in NUMBERED {
            let row = [user.into(), program.into(), "*".into()];
            directory
                .put_row(&PRIVILEGES, &row)
                .map_err(|error| refused(&error))?;
        }
        user
    } else if let Some(user) = &arguments.nothing {
        let deleted = directory.delete_rows(&PRIVILEGES, &[("user", user.into())]);
        found(deleted.map_err(|error| refused(&error))?, user)?;
        user
    } else {
        return arguments.list(&directory);
    };
    if arguments.verbose {
        println!("{said}: changed");
    }
    Ok(())
}

impl Arguments {
    fn list(&self, directory: &directory::Directory) -> Result<(), Exit> {
        let wanted: Vec<_> = self
            .user
            .iter()
            .map(|user| ("user", Cell::from(user)))
            .collect();
        let rows = directory
            .rows(&PRIVILEGES, &wanted)
            .map_err(|error| refused(&error))?;
        if self.json {
            json_rows(&["user", "program", "switches"], &rows)?;
        } else {
            for row in &rows {
                println!(
                    "{:<20} --> {:<20} {}",
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

fn key<'a>(user: &str, program: &str) -> [(&'a str, Cell); 2] {
    [("user", user.into()), ("program", program.into())]
}

fn check(program: &str) -> Result<(), Exit> {
    if NUMBERED.contains(&program) {
        return Ok(());
    }
    Err(permanent(format!(
        "{program} is no program of the remote administration"
    )))
}

fn found(rows: u64, user: &str) -> Result<(), Exit> {
    match rows {
        0 => Err(Exit::new(1, format!("{user} may not run that anyway"))),
        _ => Ok(()),
    }
}
