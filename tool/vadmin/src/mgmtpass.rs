//! mgmtpass: operators of the remote administration and their passwords.

use std::ffi::OsString;

use clap::Parser;
use directory::list::OPERATORS;
use directory::password::{self, Method};
use directory::{Cell, Directory};
use run::Exit;
use serde::Serialize;
use settings::users;

use crate::secrets::read_password;
use crate::show::{json, text};
use crate::site::{Site, permanent, refused};

/// Adds operators of the remote administration, changes their passwords, lets
/// them in and keeps them out.
///
/// There is no operator, and no password, until this adds one. A password of
/// `-` is read from standard input, where nobody sees it. Exit codes: 0 done,
/// 1 no such operator, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "mgmtpass", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// The operator
    #[arg(short = 'u', value_name = "USER", required_unless_present = "list")]
    user: Option<String>,
    /// New password
    #[arg(short = 'p', value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,
    /// Add the operator with this password
    #[arg(
        short = 'a',
        value_name = "PASSWORD",
        conflicts_with = "password",
        allow_hyphen_values = true
    )]
    add: Option<String>,
    /// Keep an active operator out, let another one in
    #[arg(short = 'i')]
    turn_active: bool,
    /// Show an operator, or all
    #[arg(short = 'l', value_name = "USER", num_args = 0..=1, default_missing_value = "")]
    list: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An operator as it is shown.
#[derive(Serialize)]
struct Shown {
    user: String,
    active: bool,
    failed_attempts: i64,
    last_access: i64,
    last_update: i64,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    site.become_owner()?;
    let directory = site.operators()?;
    if let Some(user) = &arguments.list {
        return arguments.list(&directory, user);
    }
    let user = arguments.user.as_deref().unwrap_or_default();
    let key = [("user", Cell::from(user))];
    let now = os::clock::unix_seconds();
    if let Some(given) = &arguments.add {
        if user.is_empty() || user.contains(':') {
            return Err(permanent("-u: not a name"));
        }
        let row: Vec<Cell> = vec![
            user.into(),
            hash(&site, given)?.into(),
            0.into(),
            0.into(),
            0.into(),
            now.into(),
            "0".into(),
            0.into(),
            "0".into(),
        ];
        if !directory
            .add_row(&OPERATORS, &row)
            .map_err(|error| refused(&error))?
        {
            return Err(permanent(format!("{user} exists")));
        }
    } else {
        let rows = directory
            .rows(&OPERATORS, &key)
            .map_err(|error| refused(&error))?;
        let row = rows.first();
        let row = row.ok_or_else(|| Exit::new(1, format!("{user}: No such operator")))?;
        let mut change: Vec<(&str, Cell)> = vec![("lastupdate", now.into())];
        if let Some(given) = &arguments.password {
            change.push(("pass", hash(&site, given)?.into()));
            change.push(("attempts", 0.into()));
        }
        if arguments.turn_active {
            let status = if is_active(row) { "1" } else { "0" };
            change.push(("status", status.into()));
            change.push(("attempts", 0.into()));
            change.dedup_by(|one, other| one.0 == other.0);
        }
        if change.len() == 1 {
            return Err(permanent("what is to be changed? -p, -a or -i"));
        }
        directory
            .change_rows(&OPERATORS, &change, &key)
            .map_err(|error| refused(&error))?;
    }
    if arguments.verbose {
        println!("{user}: changed");
    }
    Ok(())
}

fn is_active(row: &[Cell]) -> bool {
    text(&row[8]) == "0"
}

/// What is stored for a password.
fn hash(site: &Site, given: &str) -> Result<String, Exit> {
    let password = match given {
        "-" => read_password()?,
        given => zeroize::Zeroizing::new(given.to_owned()),
    };
    password::check_new(password.as_bytes()).map_err(|error| refused(&error))?;
    let method = Method::parse(&site.text(&users::HASH_METHOD)?).unwrap_or_default();
    let hash = password::hash(password.as_bytes(), method).map_err(|error| refused(&error))?;
    Ok(hash.to_string())
}

impl Arguments {
    fn list(&self, directory: &Directory, user: &str) -> Result<(), Exit> {
        let wanted: Vec<_> = match user {
            "" => Vec::new(),
            user => vec![("user", Cell::from(user))],
        };
        let rows = directory
            .rows(&OPERATORS, &wanted)
            .map_err(|error| refused(&error))?;
        let number = |cell: &Cell| text(cell).parse().unwrap_or(0);
        let shown: Vec<Shown> = rows
            .iter()
            .map(|row| Shown {
                user: text(&row[0]),
                active: is_active(row),
                failed_attempts: number(&row[7]),
                last_access: number(&row[4]),
                last_update: number(&row[5]),
            })
            .collect();
        if self.json {
            json(&shown)?;
        } else {
            for one in &shown {
                println!("User            {}", one.user);
                println!(
                    "Status          {}",
                    if one.active { "Active" } else { "Inactive" }
                );
                println!("Failed Attempts {}", one.failed_attempts);
                println!("Last Access     {}", date(one.last_access));
                println!("Last Update     {}", date(one.last_update));
            }
        }
        if shown.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}

fn date(time: i64) -> String {
    match time {
        0 => "Never".to_owned(),
        time => tai::mbox_date(time),
    }
}
