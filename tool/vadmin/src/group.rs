//! vgroup: groups, users whose mail goes to their members.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use directory::{Alias, Directory, Quota, UID_IN_STEP, User, value};
use run::Exit;
use serde::Serialize;
use settings::users;

use crate::notify::{LOOKUP, Notify};
use crate::secrets::PasswordOptions;
use crate::site::{Site, permanent, refused, temporary};
use crate::user;

/// What the name of a group begins with; delivery looks for it.
const MARK: &str = "MailGroup ";

/// Makes a group, or changes and shows its members. Mail for a group goes to
/// its members only.
///
/// Without an option the members are shown. Exit codes: 0 done, 1 no such
/// group or member, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vgroup", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Make the group
    #[arg(short = 'a', conflicts_with_all = ["insert", "delete", "update"])]
    add: bool,
    /// Full name of the group
    #[arg(short = 'c', value_name = "GECOS")]
    gecos: Option<String>,
    /// Quota
    #[arg(short = 'q', value_name = "QUOTA")]
    quota: Option<String>,
    /// The password is encrypted already
    #[arg(short = 'e')]
    encrypted: bool,
    /// Add this member: an address, /path/Maildir/ or | command
    #[arg(short = 'i', value_name = "MEMBER")]
    insert: Option<String>,
    /// Remove this member
    #[arg(short = 'd', value_name = "MEMBER", conflicts_with_all = ["insert", "update"])]
    delete: Option<String>,
    /// The new member in place of that of -o
    #[arg(short = 'u', value_name = "NEW", requires = "old")]
    update: Option<String>,
    /// The member that goes
    #[arg(short = 'o', value_name = "OLD", requires = "update")]
    old: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: PasswordOptions,
    /// Address of the group
    address: String,
    /// Password; others can see it while this runs
    password: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    if arguments.add {
        arguments.make(&site, name, domain)?;
        notify.hup();
        return Ok(());
    }
    site.become_owner()?;
    let directory = site.directory()?;
    let group = site.user(&directory, &name, &domain)?;
    if !group.gecos.starts_with(MARK) {
        return Err(permanent(format!("{} is not a group", group.address())));
    }
    if arguments.insert.is_none() && arguments.delete.is_none() && arguments.update.is_none() {
        return arguments.show(&directory, &group);
    }
    arguments.change(&directory, &group)?;
    notify.hup();
    Ok(())
}

impl Arguments {
    fn make(&self, site: &Site, name: String, domain: String) -> Result<(), Exit> {
        let allowed = site.text(&users::ALLOWCHARS)?;
        value::check_new_user(&name, &allowed).map_err(|error| refused(&error))?;
        let (_, entry) = site.real_domain(&domain)?;
        let quota = match &self.quota {
            Some(text) => text.clone(),
            None => site.text(&users::HARD_QUOTA)?,
        };
        let quota = Quota::parse(&quota).map_err(|error| permanent(error.to_string()))?;
        let given = self.password.as_deref();
        let stored = self.options.of_new(site, given, self.encrypted)?;
        site.become_owner()?;
        let directory = site.directory()?;
        let group = User {
            gecos: format!("{MARK}{}", self.gecos.as_deref().unwrap_or(&name)),
            name,
            domain,
            password_hash: stored.hash,
            gid_flags: 0,
            dir: PathBuf::new(),
            quota: quota.to_string(),
            scram: stored.scram,
            active: true,
            uid_state: UID_IN_STEP,
        };
        let group = user::create(site, &directory, &entry.dir, None, &group)?;
        println!("added group {}", group.address());
        Ok(())
    }

    fn change(&self, directory: &Directory, group: &User) -> Result<(), Exit> {
        let member = |text: &str| Alias {
            name: group.name.clone(),
            domain: group.domain.clone(),
            line: line(text),
        };
        let missing = |text: &str| {
            let address = group.address();
            Exit::new(1, format!("{address} has no member {text}"))
        };
        let (done, verb, who) = match (&self.insert, &self.delete, &self.update, &self.old) {
            (Some(new), ..) => {
                let added = directory.add_alias(&member(new));
                if !added.map_err(|error| refused(&error))? {
                    let address = group.address();
                    return Err(permanent(format!("{address} has this member already")));
                }
                (Ok(true), "added", new)
            }
            (None, Some(gone), ..) => (directory.delete_alias(&member(gone)), "removed", gone),
            (None, None, Some(new), Some(old)) => {
                let replaced = directory.replace_alias(&member(old), &line(new));
                (replaced, "replaced", old)
            }
            _ => return Ok(()),
        };
        if !done.map_err(|error| refused(&error))? {
            return Err(missing(who));
        }
        if self.verbose {
            println!("{}: {verb} {who}", group.address());
        }
        Ok(())
    }

    fn show(&self, directory: &Directory, group: &User) -> Result<(), Exit> {
        #[derive(Serialize)]
        struct Shown {
            group: String,
            name: String,
            members: Vec<String>,
        }
        let lines = directory
            .aliases(&group.name, &group.domain)
            .map_err(|error| refused(&error))?;
        let bare = |line: &String| line.strip_prefix('&').unwrap_or(line).to_owned();
        let shown = Shown {
            group: group.address(),
            name: group.gecos.trim_start_matches(MARK).to_owned(),
            members: lines.iter().map(bare).collect(),
        };
        if self.json {
            let text = serde_json::to_string_pretty(&shown).map_err(|error| temporary(&error))?;
            println!("{text}");
        } else {
            for member in &shown.members {
                println!("{} -> {member}", shown.group);
            }
        }
        Ok(())
    }
}

/// A member as a delivery line.
fn line(member: &str) -> String {
    let member = member.trim_start();
    match member.starts_with(['&', '/', '|', '.']) {
        true => member.to_owned(),
        false => format!("&{}", member.to_lowercase()),
    }
}
