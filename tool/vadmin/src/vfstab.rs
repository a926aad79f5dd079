//! vfstab: file systems with homes of users.

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use directory::list::FILE_SYSTEMS;
use directory::{Cell, Directory};
use run::Exit;
use serde::Serialize;
use settings::users;

use crate::show::{json, text};
use crate::site::{Site, permanent, refused, temporary};

const KIBIBYTE: i64 = 1024;

/// Shows and changes the file systems that new homes may go to.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vfstab", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Add a file system, with -n users and -q bytes
    #[arg(short = 'i', group = "what")]
    insert: bool,
    /// Change its -n users, -q bytes or -o state
    #[arg(short = 'u', group = "what")]
    update: bool,
    /// Delete it
    #[arg(short = 'd', group = "what")]
    delete: bool,
    /// 1: new homes may go there; 0: they may not
    #[arg(short = 'o', value_name = "0|1", value_parser = clap::value_parser!(i64).range(0..=1))]
    online: Option<i64>,
    /// Add a file system of this host as it is
    #[arg(short = 'l', group = "what")]
    local: bool,
    /// Most users
    #[arg(short = 'n', value_name = "USERS", value_parser = clap::value_parser!(i64).range(0..))]
    users: Option<i64>,
    /// Most bytes
    #[arg(short = 'q', value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
    bytes: Option<i64>,
    /// Name of the host; this one without
    #[arg(short = 'm', value_name = "HOST")]
    host: Option<String>,
    /// Show
    #[arg(short = 's', group = "what")]
    show: bool,
    /// Say where the next home would go
    #[arg(short = 'b', group = "what")]
    balance: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the file system is mounted
    file_system: Option<String>,
}

/// A file system as it is shown.
#[derive(Serialize)]
struct Shown {
    file_system: String,
    host: String,
    online: bool,
    max_users: i64,
    cur_users: i64,
    max_size: i64,
    cur_size: i64,
    load: f64,
}

impl Shown {
    fn of(row: &[Cell]) -> Self {
        let number = |column: usize| text(&row[column]).parse::<i64>().unwrap_or(0);
        let (cur_users, cur_size) = (number(4), number(6));
        Self {
            file_system: text(&row[0]),
            host: text(&row[1]),
            online: number(2) == 1,
            max_users: number(3),
            cur_users,
            max_size: number(5),
            cur_size,
            load: match (cur_users, cur_size) {
                (1.., 1..) => cur_users as f64 * 1_048_576.0 / cur_size as f64,
                _ => 0.1,
            },
        }
    }
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let host = match &arguments.host {
        Some(host) => host.clone(),
        None => site.host_id()?,
    };
    site.become_owner()?;
    let directory = site.directory()?;
    if arguments.balance {
        return balance(&directory, &host);
    }
    let changes = arguments.insert || arguments.update || arguments.delete || arguments.local;
    if !changes && arguments.online.is_none() {
        return arguments.list(&directory);
    }
    let file_system = arguments.file_system.as_deref();
    let file_system = file_system.ok_or_else(|| permanent("which file system?"))?;
    if !Path::new(file_system).is_absolute() {
        return Err(permanent(format!("{file_system}: not an absolute path")));
    }
    arguments.change(&site, &directory, file_system, &host)?;
    if arguments.verbose {
        println!("{file_system} on {host}: changed");
    }
    Ok(())
}

impl Arguments {
    fn change(
        &self,
        site: &Site,
        directory: &Directory,
        file_system: &str,
        host: &str,
    ) -> Result<(), Exit> {
        let key = [("filesystem", file_system.into()), ("host", host.into())];
        let missing = || Exit::new(1, format!("{file_system} on {host}: No such file system"));
        if self.delete {
            let deleted = directory.delete_rows(&FILE_SYSTEMS, &key);
            return match deleted.map_err(|error| refused(&error))? {
                0 => Err(missing()),
                _ => Ok(()),
            };
        }
        if self.insert || self.local {
            let (users, bytes) = self.size(site, file_system)?;
            let row: Vec<Cell> = vec![
                file_system.into(),
                host.into(),
                self.online.unwrap_or(1).into(),
                users.into(),
                0.into(),
                bytes.into(),
                0.into(),
            ];
            let added = directory.add_row(&FILE_SYSTEMS, &row);
            return match added.map_err(|error| refused(&error))? {
                true => Ok(()),
                false => Err(permanent(format!("{file_system} on {host} exists"))),
            };
        }
        let change: Vec<(&str, Cell)> = [
            ("status", self.online),
            ("max_users", self.users),
            ("max_size", self.bytes),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.into())))
        .collect();
        if change.is_empty() {
            return Err(permanent("what is to be changed? -n, -q or -o"));
        }
        let changed = directory.change_rows(&FILE_SYSTEMS, &change, &key);
        match changed.map_err(|error| refused(&error))? {
            0 => Err(missing()),
            _ => Ok(()),
        }
    }

    /// Users and bytes: as given, or as the file system has room for.
    fn size(&self, site: &Site, file_system: &str) -> Result<(i64, i64), Exit> {
        let bytes = match (self.bytes, self.local) {
            (Some(bytes), _) => bytes,
            (None, true) => {
                let free = os::file::bytes_available(Path::new(file_system))
                    .map_err(|error| permanent(format!("{file_system}: {error}")))?;
                i64::try_from(free).unwrap_or(i64::MAX)
            }
            (None, false) => return Err(permanent("how many bytes? -q")),
        };
        let average = site.settings.integer(&users::AVG_USER_QUOTA);
        let average = average.map_err(|error| temporary(&error))?.max(1);
        Ok((self.users.unwrap_or(bytes / average), bytes))
    }

    fn list(&self, directory: &Directory) -> Result<(), Exit> {
        let mut wanted: Vec<(&str, Cell)> = Vec::new();
        wanted.extend(self.host.iter().map(|host| ("host", Cell::from(host))));
        wanted.extend(
            self.file_system
                .iter()
                .map(|fs| ("filesystem", Cell::from(fs))),
        );
        let rows = directory
            .rows(&FILE_SYSTEMS, &wanted)
            .map_err(|error| refused(&error))?;
        let shown: Vec<Shown> = rows.iter().map(|row| Shown::of(row)).collect();
        if self.json {
            json(&shown)?;
        } else if !shown.is_empty() {
            println!(
                "{:<20} {:<20} {:<7} {:>10} {:>10} {:>14} {:>14} {:>8}",
                "File System",
                "Host",
                "Status",
                "Max Users",
                "Cur Users",
                "Max Size",
                "Cur Size",
                "Load"
            );
        }
        for one in shown.iter().filter(|_| !self.json) {
            println!(
                "{:<20} {:<20} {:<7} {:>10} {:>10} {:>11} Kb {:>11} Kb {:>8.4}",
                one.file_system,
                one.host,
                if one.online { "ONLINE" } else { "OFFLINE" },
                one.max_users,
                one.cur_users,
                one.max_size / KIBIBYTE,
                one.cur_size / KIBIBYTE,
                one.load
            );
        }
        if shown.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}

/// The file system with the lowest load.
fn balance(directory: &Directory, host: &str) -> Result<(), Exit> {
    let wanted = [("host", host.into()), ("status", 1.into())];
    let rows = directory
        .rows(&FILE_SYSTEMS, &wanted)
        .map_err(|error| refused(&error))?;
    let shown = rows.iter().map(|row| Shown::of(row));
    let room = shown.filter(|one| one.max_users == 0 || one.cur_users < one.max_users);
    match room.min_by(|one, other| one.load.total_cmp(&other.load)) {
        Some(lowest) => {
            println!("Filesystem Selected {}", lowest.file_system);
            Ok(())
        }
        None => Err(Exit::new(1, "no file system is on-line and has room")),
    }
}
