//! hostsync: tells a cluster what changed here while it was away.

use std::ffi::OsString;
use std::fs::OpenOptions;

use clap::Parser;
use directory::list::USER_HOSTS;
use directory::{Cell, Central, Directory, UID_IN_STEP, User};
use run::Exit;

use super::mcdinfo;
use crate::show::text;
use crate::site::{Site, file, permanent, refused};

/// States of a user in column `pw_uid` (virtual-domains.md §5.2).
const ADDED: i32 = 2;
const CHANGED: i32 = 3;
const DELETED: i32 = 4;

/// Brings the table of users of a cluster in step with what was changed here
/// while it could not be told. What another host says of a user is reported,
/// never replaced.
///
/// Exit codes: 0 done, 1 something is not in step, 100 refused or no cluster,
/// 111 temporary failure, or it runs already.
#[derive(Debug, Parser)]
#[command(name = "hostsync", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each change
    #[arg(short = 'v')]
    verbose: bool,
    /// Name of the domain
    #[arg(short = 'd', value_name = "DOMAIN")]
    domain: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (domain, _) = site.real_domain(&arguments.domain)?;
    let host = site.host_id()?;
    let records = mcdinfo::read(&site)?;
    site.become_owner()?;
    let central = site.cluster(Central::Changes)?;
    if !records
        .iter()
        .any(|record| record.domain == domain && record.distributed)
    {
        return Err(permanent(format!("domain {domain} is not distributed")));
    }
    let path = site.home.database().with_file_name("hostsync.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = lock
        .and_then(os::file::try_lock)
        .map_err(|error| file(&path, &error))?;
    let Some(_lock) = lock else {
        return Err(Exit::new(run::TEMPORARY, "hostsync runs already"));
    };
    let directory = site.directory()?;
    let mut waiting = Vec::new();
    directory
        .each_user(&domain, |user| {
            if user.uid_state != UID_IN_STEP {
                waiting.push(user);
            }
            Ok::<_, directory::Error>(())
        })
        .map_err(|error| refused(&error))?;
    let mut conflicts = 0;
    for user in waiting {
        let done = one(&directory, &central, &user, &host).map_err(|error| refused(&error))?;
        match done {
            true if arguments.verbose => println!("{}: in step", user.address()),
            true => {}
            false => conflicts += 1,
        }
    }
    match conflicts {
        0 => Ok(()),
        count => Err(Exit::new(
            1,
            format!("{count} users of {domain} are not in step"),
        )),
    }
}

/// One user; `false` when another host has it.
fn one(
    directory: &Directory,
    central: &Directory,
    user: &User,
    host: &str,
) -> Result<bool, directory::Error> {
    let key = [
        ("pw_name", Cell::from(&user.name)),
        ("pw_domain", Cell::from(&user.domain)),
    ];
    let there = central.rows(&USER_HOSTS, &key)?;
    let elsewhere = there
        .iter()
        .map(|row| text(&row[3]))
        .find(|other| other != host);
    if let Some(other) = elsewhere {
        eprintln!("{}: is on host {other}, and here on {host}", user.address());
        return Ok(false);
    }
    match user.uid_state {
        ADDED | CHANGED => {
            let row = [
                Cell::from(&user.name),
                Cell::from(&user.domain),
                Cell::from(&user.password_hash),
                host.into(),
            ];
            central.put_row(&USER_HOSTS, &row)?;
            let in_step = User {
                uid_state: UID_IN_STEP,
                ..user.clone()
            };
            directory.update_user(&in_step)
        }
        DELETED => {
            // An alias of the same name keeps its way.
            if there.iter().all(|row| text(&row[2]) != "alias") {
                central.delete_rows(&USER_HOSTS, &key)?;
            }
            directory
                .delete_user(&user.name, &user.domain, None)
                .map(|_| true)
        }
        _ => Ok(true),
    }
}
