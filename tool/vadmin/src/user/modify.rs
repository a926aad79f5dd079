//! vmoduser: changes quota, name, flags and state of a user.

use std::ffi::OsString;

use clap::Parser;
use directory::{Directory, Quota, User, flags, value};
use run::Exit;

use super::administrator;
use super::quota::write_quota;
use crate::notify::{LOOKUP, Notify};
use crate::secrets::PasswordOptions;
use crate::site::{Site, file, permanent, refused};
use crate::vacation::{Text, check_limit};

/// Changes a user. Flags are set; with -t each named flag is turned over.
///
/// Exit codes: 0 done, 1 no such user, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vmoduser", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Make an active user inactive, an inactive one active
    #[arg(short = 'n')]
    turn_active: bool,
    /// Quota: a new one, or +N or -N bytes more or less
    #[arg(short = 'q', value_name = "QUOTA", allow_hyphen_values = true)]
    quota: Option<String>,
    /// Full name
    #[arg(short = 'c', value_name = "GECOS")]
    gecos: Option<String>,
    /// New password; others can see it while this runs (see vpasswd)
    #[arg(short = 'P', value_name = "PASSWORD")]
    password: Option<String>,
    /// New password, encrypted already
    #[arg(short = 'e', value_name = "HASH", conflicts_with = "password")]
    encrypted: Option<String>,
    /// Deliver into folders by date (a strftime format); empty for not
    #[arg(short = 'D', value_name = "FORMAT")]
    date_folder: Option<String>,
    /// Answer mail with the text of this file; + takes it from standard
    /// input, - ends it
    #[arg(short = 'l', value_name = "FILE|-|+", allow_hyphen_values = true)]
    vacation: Option<String>,
    /// Turn the named flags over
    #[arg(short = 't')]
    toggle: bool,
    /// Clear all flags first
    #[arg(short = 'x')]
    clear: bool,
    /// No dial-up
    #[arg(short = 'u')]
    no_dialup: bool,
    /// The user may not change the password
    #[arg(short = 'd')]
    no_password_change: bool,
    /// No POP3
    #[arg(short = 'p')]
    no_pop: bool,
    /// No webmail
    #[arg(short = 'w')]
    no_webmail: bool,
    /// No SMTP AUTH
    #[arg(short = 's')]
    no_smtp: bool,
    /// No IMAP
    #[arg(short = 'i')]
    no_imap: bool,
    /// Hand its mail back
    #[arg(short = 'b')]
    bounce: bool,
    /// SMTP AUTH does not allow relaying
    #[arg(short = 'r')]
    no_relay: bool,
    /// Limits of the domain do not apply
    #[arg(short = 'o')]
    no_limits: bool,
    /// Administrator of the domain
    #[arg(short = 'a')]
    administrator: bool,
    /// Flag 0 of the site
    #[arg(short = '0')]
    user0: bool,
    /// Flag 1 of the site
    #[arg(short = '1')]
    user1: bool,
    /// Flag 2 of the site
    #[arg(short = '2')]
    user2: bool,
    /// Flag 3 of the site
    #[arg(short = '3')]
    user3: bool,
    /// Hash of a new password
    #[arg(short = 'h', value_name = "HASH")]
    hash: Option<String>,
    /// Address of the user
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    let vacation = arguments.vacation.as_deref().map(Text::open).transpose()?;
    let (_, entry) = site.real_domain(&domain)?;
    let is_limited = site.is_limited(&entry.dir)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let user = site.user(&directory, &name, &domain)?;
    if let Some(text) = &vacation {
        if is_limited && matches!(text, Text::New(_)) {
            check_limit(&directory, &user)?;
        }
        text.apply(&site.home, &user)?;
    }
    let changed = arguments.changed(&site, &user)?;
    arguments.write(&directory, &user, &changed)?;
    arguments.change_flags(&directory, &user)?;
    if arguments.quota.is_some() {
        let quota = Quota::parse(&changed.quota).map_err(|error| permanent(error.to_string()))?;
        write_quota(&changed, quota)?;
    }
    if let Some(format) = &arguments.date_folder {
        write_date_folder(&user, format)?;
    }
    notify.hup();
    if arguments.verbose {
        println!("{}: changed", user.address());
    }
    Ok(())
}

impl Arguments {
    /// The user as it is to be, flags apart.
    fn changed(&self, site: &Site, user: &User) -> Result<User, Exit> {
        let mut new = user.clone();
        let reserved = value::RESERVED.contains(&user.name.as_str());
        if self.turn_active && !(user.active && reserved) {
            new.active = !user.active;
        }
        if let Some(gecos) = &self.gecos {
            new.gecos = gecos.clone();
        }
        if let Some(text) = &self.quota {
            new.quota = changed_quota(&user.quota, text)?;
        }
        let stored = match (&self.password, &self.encrypted) {
            (Some(password), _) => {
                let options = self.password_options();
                let password = options.password(Some(password))?;
                Some(options.stored(site, &password)?)
            }
            (None, Some(hash)) => Some(PasswordOptions::encrypted(hash)?),
            (None, None) => None,
        };
        if let Some(stored) = stored {
            (new.password_hash, new.scram) = (stored.hash, stored.scram);
        }
        Ok(new)
    }

    fn write(&self, directory: &Directory, old: &User, new: &User) -> Result<(), Exit> {
        if old == new {
            return Ok(());
        }
        directory
            .update_user(new)
            .map_err(|error| refused(&error))?;
        let mut services = Vec::new();
        if old.active != new.active {
            services.push(if new.active { "ACTI" } else { "INAC" });
        }
        if old.password_hash != new.password_hash {
            services.push("pass");
        }
        for service in services {
            directory
                .record_auth(new, service, &administrator(), 0)
                .map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    fn change_flags(&self, directory: &Directory, user: &User) -> Result<(), Exit> {
        let named = self.named_flags();
        let before = if self.clear { 0 } else { user.gid_flags };
        let after = if self.toggle {
            before ^ named
        } else {
            before | named
        };
        let (set, clear) = (after & !user.gid_flags, user.gid_flags & !after);
        if set | clear == 0 {
            return Ok(());
        }
        if clear & flags::BOUNCE_MAIL != 0 {
            directory
                .clear_over_quota(user)
                .map_err(|error| refused(&error))?;
        }
        directory
            .change_flags(user, set, clear)
            .map_err(|error| refused(&error))?;
        Ok(())
    }

    fn named_flags(&self) -> u32 {
        [
            (self.no_dialup, flags::NO_DIALUP),
            (self.no_password_change, flags::NO_PASSWD_CHNG),
            (self.no_pop, flags::NO_POP),
            (self.no_webmail, flags::NO_WEBMAIL),
            (self.no_smtp, flags::NO_SMTP),
            (self.no_imap, flags::NO_IMAP),
            (self.bounce, flags::BOUNCE_MAIL),
            (self.no_relay, flags::NO_RELAY),
            (self.no_limits, flags::V_OVERRIDE),
            (self.administrator, flags::QA_ADMIN),
            (self.user0, flags::V_USER0),
            (self.user1, flags::V_USER1),
            (self.user2, flags::V_USER2),
            (self.user3, flags::V_USER3),
        ]
        .into_iter()
        .filter_map(|(named, flag)| named.then_some(flag))
        .sum()
    }

    fn password_options(&self) -> PasswordOptions {
        PasswordOptions {
            random: None,
            password_file: None,
            password_stdin: false,
            hash: self.hash.clone(),
            mechanism: "SCRAM-SHA-256".to_owned(),
            clear_text: false,
            salt: None,
            iterations: directory::secret::ITERATIONS_DEFAULT,
        }
    }
}

/// `+N` and `-N` change the bytes that were allowed; anything else is a quota
/// of its own.
fn changed_quota(old: &str, text: &str) -> Result<String, Exit> {
    let bad = |error: directory::BadQuota| permanent(format!("-q: {error}"));
    let difference = text.strip_prefix(['+', '-']);
    let Some(difference) = difference else {
        return Ok(Quota::parse(text).map_err(bad)?.to_string());
    };
    let old = Quota::parse(old).map_err(bad)?;
    let by = Quota::parse(difference).map_err(bad)?.bytes.unwrap_or(0);
    let bytes = old.bytes.unwrap_or(0);
    let bytes = if text.starts_with('+') {
        bytes.saturating_add(by)
    } else {
        match bytes.checked_sub(by).filter(|&bytes| 0 < bytes) {
            Some(bytes) => bytes,
            // Nothing left must not become "no limit".
            None => return Err(permanent("-q: nothing would be left")),
        }
    };
    let new = Quota {
        bytes: Some(bytes),
        messages: old.messages,
    };
    Ok(new.to_string())
}

fn write_date_folder(user: &User, format: &str) -> Result<(), Exit> {
    let path = user.maildir().join("folder.dateformat");
    let unsafe_text = format.contains('/') || format.contains("..") || format.contains('\n');
    if unsafe_text || format.chars().any(char::is_control) {
        return Err(permanent(
            "-D: a folder name without slashes and dots in a row",
        ));
    }
    let written = if format.is_empty() {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    } else {
        os::file::replace(&path, format!("{format}\n").as_bytes(), 0o600)
    };
    written.map_err(|error| file(&path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_grow_and_shrink() {
        assert_eq!(changed_quota("5000", "+1000").unwrap(), "6000");
        assert_eq!(changed_quota("5000S,7C", "-1k").unwrap(), "3976S,7C");
        assert_eq!(changed_quota("5000", "NOQUOTA").unwrap(), "NOQUOTA");
        assert_eq!(changed_quota("NOQUOTA", "10M").unwrap(), "10485760");
        assert!(changed_quota("5000", "-5000").is_err());
        assert!(changed_quota("5000", "much").is_err());
    }
}
