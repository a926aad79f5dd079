//! vlimit: what a domain may have, and what its users may do.

use std::ffi::OsString;

use clap::Parser;
use directory::limits::{Limits, UNLIMITED};
use directory::{Quota, flags};
use run::Exit;

mod show;

use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, permanent, refused};

const DAY: i64 = 86_400;
/// Of the dates of -e and -t.
const DATE_FORMAT: &str = "%d%m%Y%H%M%S";
const DENY_CREATE: i64 = 1;
const DENY_MODIFY: i64 = 2;
const DENY_DELETE: i64 = 4;

/// Shows and changes the limits of a domain, or of one of its users; a row of
/// a user goes before that of the domain.
///
/// They count where `vmoddomain -l 1` says so, or DOMAIN_LIMITS is set. Exit
/// codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vlimit", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Show
    #[arg(short = 's')]
    show: bool,
    /// Delete: nothing is limited any more
    #[arg(short = 'D', conflicts_with = "show")]
    delete: bool,
    /// When the domain ends, ddmmYYYYHHMMSS; -1 never
    #[arg(short = 'e', value_name = "DATE", allow_hyphen_values = true)]
    domain_expiry: Option<String>,
    /// When its passwords end, ddmmYYYYHHMMSS; -1 never
    #[arg(short = 't', value_name = "DATE", allow_hyphen_values = true)]
    password_expiry: Option<String>,
    /// In how many days the domain ends
    #[arg(
        short = 'n',
        value_name = "DAYS",
        conflicts_with = "domain_expiry",
        allow_hyphen_values = true
    )]
    domain_days: Option<i64>,
    /// In how many days its passwords end
    #[arg(
        short = 'N',
        value_name = "DAYS",
        conflicts_with = "password_expiry",
        allow_hyphen_values = true
    )]
    password_days: Option<i64>,
    /// Bytes of all users together, like 10G
    #[arg(short = 'Q', value_name = "BYTES")]
    disk_quota: Option<String>,
    /// Messages of all users together
    #[arg(short = 'M', value_name = "N")]
    messages: Option<u32>,
    /// Bytes of a user created without a quota, like 10M
    #[arg(short = 'q', value_name = "BYTES")]
    default_quota: Option<String>,
    /// Messages of such a user
    #[arg(short = 'm', value_name = "N")]
    default_messages: Option<u32>,
    /// Most users; -1 unlimited, here and below
    #[arg(short = 'P', value_name = "N", allow_hyphen_values = true, value_parser = number())]
    accounts: Option<i64>,
    /// Most aliases
    #[arg(short = 'A', value_name = "N", allow_hyphen_values = true, value_parser = number())]
    aliases: Option<i64>,
    /// Most forwards
    #[arg(short = 'F', value_name = "N", allow_hyphen_values = true, value_parser = number())]
    forwards: Option<i64>,
    /// Most autoresponders
    #[arg(short = 'R', value_name = "N", allow_hyphen_values = true, value_parser = number())]
    autoresponders: Option<i64>,
    /// Most mailing lists
    #[arg(short = 'L', value_name = "N", allow_hyphen_values = true, value_parser = number())]
    mailing_lists: Option<i64>,
    /// What nobody may: u dial-up, d changing passwords, s SMTP, i IMAP, p
    /// POP3, w webmail, r relaying; x clears all
    #[arg(short = 'g', value_name = "FLAGS")]
    flags: Option<String>,
    /// Turn the flags of -g over
    #[arg(short = 'T', requires = "flags")]
    toggle: bool,
    /// What administrators of the domain may not do with users: 0 nothing is
    /// denied, a all, c create, m modify, d delete
    #[arg(short = 'p', value_name = "LETTERS")]
    account_rights: Option<String>,
    /// The same with aliases
    #[arg(short = 'a', value_name = "LETTERS")]
    alias_rights: Option<String>,
    /// The same with forwards
    #[arg(short = 'f', value_name = "LETTERS")]
    forward_rights: Option<String>,
    /// The same with autoresponders
    #[arg(short = 'r', value_name = "LETTERS")]
    autoresponder_rights: Option<String>,
    /// The same with mailing lists
    #[arg(short = 'l', value_name = "LETTERS")]
    list_rights: Option<String>,
    /// The same with users of mailing lists
    #[arg(short = 'u', value_name = "LETTERS")]
    list_user_rights: Option<String>,
    /// The same with moderators of mailing lists
    #[arg(short = 'o', value_name = "LETTERS")]
    list_moderator_rights: Option<String>,
    /// The same with the quota of the domain
    #[arg(short = 'x', value_name = "LETTERS")]
    quota_rights: Option<String>,
    /// The same with the quota of new users
    #[arg(short = 'z', value_name = "LETTERS")]
    default_quota_rights: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A domain, or the address of a user
    name: String,
}

/// A number of something, or -1.
fn number() -> clap::builder::RangedI64ValueParser {
    clap::value_parser!(i64).range(UNLIMITED..=i64::from(i32::MAX))
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let user = match arguments.name.contains('@') {
        true => Some(site.address(&arguments.name)?),
        false => None,
    };
    let (key, domain) = match &user {
        Some((name, domain)) => (format!("{name}@{domain}"), domain.clone()),
        None => {
            let (domain, _) = site.real_domain(&arguments.name)?;
            (domain.clone(), domain)
        }
    };
    site.become_owner()?;
    let directory = site.directory()?;
    let missing = || Exit::new(1, format!("No records found for {}", arguments.name));
    if arguments.delete {
        let deleted = directory
            .delete_limits(&key)
            .map_err(|error| refused(&error))?;
        if !deleted {
            return Err(missing());
        }
        notify.hup();
        println!("Limits deleted");
        return Ok(());
    }
    let found = directory.limits(&key).map_err(|error| refused(&error))?;
    let changed = arguments.changed(found.clone().unwrap_or_default())?;
    if let Some(changed) = &changed {
        if let Some((name, _)) = &user {
            site.user(&directory, name, &domain)?;
        }
        directory
            .set_limits(&key, changed)
            .map_err(|error| refused(&error))?;
        notify.hup();
    }
    if changed.is_some() && !arguments.show {
        if arguments.verbose {
            println!("{key}: changed");
        }
        return Ok(());
    }
    let shown = match (changed, found) {
        (None, None) => directory.limits(&domain).map_err(|error| refused(&error))?,
        (changed, found) => changed.or(found),
    };
    let shown = shown.ok_or_else(missing)?;
    if arguments.json {
        return show::print_json(&key, &shown);
    }
    show::print(&shown);
    Ok(())
}

impl Arguments {
    /// The limits as they are to be; `None` when nothing is said.
    fn changed(&self, old: Limits) -> Result<Option<Limits>, Exit> {
        let mut new = old.clone();
        let mut said = false;
        let mut set = |field: &mut i64, value: Option<i64>| {
            if let Some(value) = value {
                *field = value;
                said = true;
            }
        };
        set(
            &mut new.domain_expiry,
            expiry(self.domain_expiry.as_deref(), self.domain_days)?,
        );
        set(
            &mut new.password_expiry,
            expiry(self.password_expiry.as_deref(), self.password_days)?,
        );
        set(&mut new.disk_quota, bytes(self.disk_quota.as_deref())?);
        set(&mut new.messages, self.messages.map(i64::from));
        set(
            &mut new.default_quota,
            bytes(self.default_quota.as_deref())?,
        );
        set(
            &mut new.default_messages,
            self.default_messages.map(i64::from),
        );
        set(&mut new.accounts, self.accounts);
        set(&mut new.aliases, self.aliases);
        set(&mut new.forwards, self.forwards);
        set(&mut new.autoresponders, self.autoresponders);
        set(&mut new.mailing_lists, self.mailing_lists);
        let rights = [
            (0, 0, &self.account_rights),
            (1, 0, &self.alias_rights),
            (2, 0, &self.forward_rights),
            (3, 0, &self.autoresponder_rights),
            (4, 0, &self.list_rights),
            (4, 3, &self.list_user_rights),
            (4, 6, &self.list_moderator_rights),
            (5, 0, &self.quota_rights),
            (6, 0, &self.default_quota_rights),
        ];
        for (column, shift, letters) in rights {
            if let Some(letters) = letters {
                let others = new.permissions[column] & !(7 << shift);
                let value = others | denied(letters)? << shift;
                set(&mut new.permissions[column], Some(value));
            }
        }
        if let Some(letters) = &self.flags {
            let named = named_flags(letters)?;
            let set = match (named, self.toggle) {
                (None, _) => 0,
                (Some(named), true) => old.flags() ^ named,
                (Some(named), false) => old.flags() | named,
            };
            new.set_flags(set);
            said = true;
        }
        Ok(said.then_some(new))
    }
}

fn expiry(date: Option<&str>, days: Option<i64>) -> Result<Option<i64>, Exit> {
    match (date, days) {
        (Some("-1"), _) | (None, Some(UNLIMITED)) => Ok(Some(UNLIMITED)),
        (Some(text), _) => {
            let digits = text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit());
            let time = digits
                .then(|| os::clock::parse(text, DATE_FORMAT))
                .flatten();
            let fits = time.filter(|time| (0..=i64::from(i32::MAX)).contains(time));
            let bad = || permanent(format!("{text}: not a date like 31122026235959"));
            fits.map(Some).ok_or_else(bad)
        }
        (None, Some(days)) => {
            let time = days
                .checked_mul(DAY)
                .and_then(|seconds| seconds.checked_add(os::clock::unix_seconds()))
                .filter(|time| 0 <= days && *time <= i64::from(i32::MAX));
            time.map(Some)
                .ok_or_else(|| permanent(format!("{days}: too many days, or less than none")))
        }
        (None, None) => Ok(None),
    }
}

fn bytes(text: Option<&str>) -> Result<Option<i64>, Exit> {
    let Some(text) = text else { return Ok(None) };
    let quota = Quota::parse(text).map_err(|error| permanent(error.to_string()))?;
    let bytes = i64::try_from(quota.bytes.unwrap_or(0));
    match (bytes, quota.messages) {
        (Ok(bytes), None) => Ok(Some(bytes)),
        _ => Err(permanent(format!("{text}: not a number of bytes"))),
    }
}

fn denied(letters: &str) -> Result<i64, Exit> {
    letters.chars().try_fold(0, |denied, letter| match letter {
        '0' => Ok(0),
        'a' => Ok(DENY_CREATE | DENY_MODIFY | DENY_DELETE),
        'c' => Ok(denied | DENY_CREATE),
        'm' => Ok(denied | DENY_MODIFY),
        'd' => Ok(denied | DENY_DELETE),
        _ => Err(permanent(format!("{letters}: the letters are 0 a c m d"))),
    })
}

/// Flags of letters; `None` clears all.
fn named_flags(letters: &str) -> Result<Option<u32>, Exit> {
    let mut named = Some(0);
    for letter in letters.chars() {
        let flag = match letter {
            'u' => flags::NO_DIALUP,
            'd' => flags::NO_PASSWD_CHNG,
            's' => flags::NO_SMTP,
            'i' => flags::NO_IMAP,
            'p' => flags::NO_POP,
            'w' => flags::NO_WEBMAIL,
            'r' => flags::NO_RELAY,
            'x' => {
                named = None;
                continue;
            }
            _ => {
                return Err(permanent(format!(
                    "-g {letters}: the letters are u d s i p w r x"
                )));
            }
        };
        named = Some(named.unwrap_or(0) | flag);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_rights_and_flags() {
        assert_eq!(denied("cd").unwrap(), 5);
        assert_eq!(denied("a0m").unwrap(), 2);
        assert!(denied("q").is_err());
        assert_eq!(named_flags("px").unwrap(), None);
        assert_eq!(
            named_flags("pi").unwrap(),
            Some(flags::NO_POP | flags::NO_IMAP)
        );
        assert!(named_flags("z").is_err());
    }

    #[test]
    fn dates_are_dates() {
        assert_eq!(expiry(Some("-1"), None).unwrap(), Some(-1));
        assert_eq!(expiry(None, Some(-1)).unwrap(), Some(-1));
        assert!(expiry(Some("31122026235959"), None).unwrap().is_some());
        for text in [
            "",
            "31132026235959",
            "tomorrow",
            "1'; DROP",
            "99999999999999",
        ] {
            assert!(expiry(Some(text), None).is_err(), "{text}");
        }
        assert!(expiry(None, Some(i64::MAX)).is_err());
        assert!(expiry(None, Some(-7)).is_err());
    }
}
