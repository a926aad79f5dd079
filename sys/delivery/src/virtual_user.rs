//! What vdelivermail(8) does: delivery to a user of a virtual domain
//! (virtual-domains.md §7).
//!
//! Differences from the original on purpose: `PWSTRUCT` is ignored, for it
//! would bypass the directory; every forward gets our `Delivered-To` line, so
//! that a circle of aliases ends at the first address that sees it twice.

mod daily;
mod duplicates;
mod filter;
mod home;
mod lines;
mod mailbox;
mod remote;
mod warning;

use std::fs::File;
use std::path::Path;

use dotqmail::Facts;
use run::Settings;
use settings::local;
use wire::trace::TraceId;

use crate::outcome::{Outcome, Step};
use crate::site::Site;
use crate::users::{User, Users, UsersError};

pub use filter::{deliver as filter, explain as explain_filter};

/// The user an empty extension means.
const POSTMASTER: &str = "postmaster";
/// A mailbox refusing mail takes it again when this much is free.
const ROOM_BYTES: u64 = 1_024_000;

/// What vfilter or the site wants for one delivery.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Deliver to this folder (`MAILDIRFOLDER`).
    pub folder: Option<Vec<u8>>,
    /// Reject (`BOUNCE_MAIL`).
    pub bounce: bool,
    /// Ignore aliases (`NOALIAS`).
    pub no_alias: bool,
    /// The `X-Filter` line (`XFILTER`).
    pub x_filter: Option<Vec<u8>>,
}

impl Options {
    /// What the variables of the process say.
    pub fn from_settings(settings: &Settings) -> Self {
        let variable = |name| settings.variable(name).map(<[u8]>::to_vec);
        Self {
            folder: variable(local::MAILDIRFOLDER.variable).filter(|name| !name.is_empty()),
            bounce: variable(local::BOUNCE_MAIL.variable).is_some(),
            no_alias: variable(local::NOALIAS.variable).is_some(),
            x_filter: variable(local::XFILTER.variable),
        }
    }
}

/// One delivery.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The installation.
    pub site: &'a Site,
    /// Its users.
    pub users: &'a dyn Users,
    /// Recipient (`ext` is the user, `domain` the domain) and sender.
    pub facts: &'a Facts,
    /// What to do with mail for unknown users.
    pub default: &'a [u8],
    /// What vfilter wants.
    pub options: &'a Options,
    /// The message; must be seekable.
    pub message: &'a File,
    /// Its trace.
    pub trace: TraceId,
}

/// Why mail is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reject {
    Inactive,
    Unknown,
    Filter,
}

/// Delivers; the code is 0, 100 or 111.
pub fn deliver(job: &Job<'_>) -> Outcome {
    let mut outcome = match job.order_of_work() {
        Ok(outcome) | Err(outcome) => outcome,
    };
    let discard = job.site.settings.is_set(&local::DISCARD_BOUNCE);
    if outcome.code == run::PERMANENT && discard.unwrap_or(false) {
        outcome.code = 0;
    }
    outcome
}

impl Job<'_> {
    fn order_of_work(&self) -> Step<Outcome> {
        let metadata = self.message.metadata();
        if metadata
            .map_err(|error| io_trouble("read message", &error))?
            .len()
            == 0
        {
            return Ok(Outcome::with(0, "Discarding 0 size message"));
        }
        if self.is_blackholed()? {
            return Ok(Outcome::success());
        }
        let (name, domain) = self.recipient()?;
        let Some(user) = self.find(&name, &domain)? else {
            return self.without_user(&name, &domain);
        };
        let allow = self.site.settings.variable(local::ALLOW_INACTIVE.variable);
        if self.options.bounce {
            self.reject(Reject::Filter, &user.name, &domain)
        } else if !user.active && allow.is_none() {
            self.reject(Reject::Inactive, &user.name, &domain)
        } else {
            self.deliver_user(&user)
        }
    }

    /// User and real domain, in lower case.
    fn recipient(&self) -> Step<(String, String)> {
        let text = |bytes: &[u8]| {
            let lower = bytes.to_ascii_lowercase();
            String::from_utf8(lower)
                .map_err(|_| Outcome::permanent("address is not text. indimail (#5.1.3)"))
        };
        let name = match &self.facts.ext[..] {
            b"" => POSTMASTER.to_owned(),
            ext => text(ext)?,
        };
        let domain = text(&self.facts.domain)?;
        match self.users.real_domain(&domain).map_err(directory_trouble)? {
            Some(real) => Ok((name, real)),
            None => Err(Outcome::permanent(format_args!(
                "{} is not a virtual domain here. indimail (#5.1.2)",
                shown(&domain)
            ))),
        }
    }

    /// The user of that name, else of the part before its first dash.
    fn find(&self, name: &str, domain: &str) -> Step<Option<User>> {
        let find = |name: &str| {
            self.users
                .find_user(name, domain)
                .map_err(directory_trouble)
        };
        if let Some(user) = find(name)? {
            return Ok(Some(user));
        }
        // An alias of the whole name is nearer than a user of its beginning.
        let extensions = self.site.settings.integer(&local::QMAIL_EXT);
        let base = name.split_once('-').map(|(base, _)| base);
        match base.filter(|base| !base.is_empty() && extensions.unwrap_or(1) != 0) {
            Some(base) if self.aliases(name, domain)?.is_empty() => find(base),
            _ => Ok(None),
        }
    }

    fn aliases(&self, name: &str, domain: &str) -> Step<Vec<String>> {
        self.users.aliases(name, domain).map_err(directory_trouble)
    }

    fn without_user(&self, name: &str, domain: &str) -> Step<Outcome> {
        let aliases = self.aliases(name, domain)?;
        if aliases.is_empty() {
            return self.reject(Reject::Unknown, name, domain);
        }
        self.deliver_lines(&aliases, None)
    }

    /// virtual-domains.md §7.3.
    fn deliver_user(&self, user: &User) -> Step<Outcome> {
        if user.gid_flags & User::BOUNCE_MAIL != 0 {
            self.try_to_unlock(user)?;
        }
        if !self.facts.ext.is_empty() && !self.options.no_alias {
            let aliases = self.aliases(&user.name, &user.domain)?;
            if !aliases.is_empty() {
                return self.deliver_lines(&aliases, Some(user));
            }
            if let Some(lines) = lines::of_home(user)? {
                return self.deliver_lines(&lines, Some(user));
            }
        }
        if user.gecos.starts_with("MailGroup ") {
            self.users
                .record_delivery(user)
                .map_err(directory_trouble)?;
            return Ok(Outcome::success());
        }
        let folder = self.options.folder.as_deref();
        let maildir = home::maildir(user, folder)?;
        self.store(&maildir, Some(user))
    }

    /// Takes the mark "over quota" from a mailbox that has room again.
    fn try_to_unlock(&self, user: &User) -> Step {
        let maildir = home::maildir(user, None)?;
        let quota = maildir::quota::Quota::parse(user.quota.as_bytes());
        let usage = maildir::quota::count(&maildir, quota, self.trash())
            .map_err(|error| io_trouble("count mailbox", &error))?;
        let with_room = maildir::quota::Usage {
            bytes: usage.bytes.saturating_add_unsigned(ROOM_BYTES),
            ..usage
        };
        if !quota.is_unlimited() && !quota.is_exceeded_by(with_room) {
            return self
                .users
                .set_over_quota(user, None)
                .map_err(directory_trouble);
        }
        let bytes = self.message_bytes()?;
        self.run_over_quota_command(user, bytes, usage);
        let text = format!(
            "account {} locked/overquota {}/{}. indimail (#5.1.1)",
            user.address(),
            usage.bytes,
            shown(&user.quota)
        );
        Err(match self.is_held(&maildir)? {
            true => Outcome::temporary(text),
            false => Outcome::permanent(text),
        })
    }

    /// What the domain wants done with mail nobody gets.
    fn reject(&self, why: Reject, name: &str, domain: &str) -> Step<Outcome> {
        let address = shown(&format!("{name}@{domain}"));
        let default = self.default;
        match default {
            b"delete" => return Ok(Outcome::success()),
            b"bounce-no-mailbox" => {
                return Err(match why {
                    Reject::Inactive => Outcome::permanent(format_args!(
                        "account {address} is inactive. indimail(#5.1.3)"
                    )),
                    Reject::Unknown => Outcome::permanent(format_args!(
                        "no account {address} here by that name. indimail (#5.1.5)"
                    )),
                    Reject::Filter => Outcome {
                        code: run::PERMANENT,
                        output: Vec::new(),
                    },
                });
            }
            _ => {}
        }
        let to = text::log::printable(default, 200);
        let line = match why {
            Reject::Unknown => {
                format!("no account {address} - delivering to {to}. indimail (#5.1.6)\n")
            }
            Reject::Inactive => {
                format!("no account {address} - delivering to {to}. indimail (#5.1.7)\n")
            }
            Reject::Filter => format!("vfilter bounce {address} - delivering to {to}\n"),
        };
        let outcome = match default {
            [b'/', ..] => self.store(&home::catch_all(default)?, None),
            _ if default.contains(&b':') => self.deliver_route(why),
            _ => self.deliver_address(default),
        };
        Ok(outcome
            .unwrap_or_else(|outcome| outcome)
            .after(line.into_bytes()))
    }

    fn deliver_route(&self, why: Reject) -> Step<Outcome> {
        let colons = self.default.iter().filter(|&&b| b == b':').count();
        if colons != 2 {
            return Err(Outcome::temporary(
                "invalid route for unknown users. indimail (#5.1.8)",
            ));
        }
        if why == Reject::Inactive {
            return Err(Outcome::permanent("account is inactive. indimail(#5.1.3)"));
        }
        remote::deliver(self, self.default)
    }

    /// Senders a site does not want to hear of, not even in a bounce.
    fn is_blackholed(&self) -> Step<bool> {
        let file = |name| {
            let content = self.site.settings.file(name);
            content.map_err(|error| Outcome::temporary(format_args!("{error}. (#4.3.0)")))
        };
        let sender = &self.facts.sender[..];
        if let Some(listed) = file("blackholedsender")? {
            let at = sender.iter().rposition(|&b| b == b'@');
            let host = at.map(|at| &sender[at..]);
            return Ok(text::control::list(&listed).any(|line| {
                line.eq_ignore_ascii_case(sender)
                    || host.is_some_and(|host| line.eq_ignore_ascii_case(host))
            }));
        }
        let patterns = file("blackholedpatterns")?.unwrap_or_default();
        let mut verdict = false;
        for line in text::control::list(&patterns) {
            match line.strip_prefix(b"!") {
                Some(pattern) if text::wildmat::matches(pattern, sender) => verdict = false,
                None if text::wildmat::matches(line, sender) => verdict = true,
                _ => {}
            }
        }
        Ok(verdict)
    }

    fn message_bytes(&self) -> Step<u64> {
        let metadata = self.message.metadata();
        Ok(metadata
            .map_err(|error| io_trouble("read message", &error))?
            .len())
    }

    fn trash(&self) -> maildir::quota::Trash {
        match self.site.settings.variable(local::INCLUDE_TRASH.variable) {
            Some(_) => maildir::quota::Trash::Included,
            None => maildir::quota::Trash::Excluded,
        }
    }

    /// A line that says where the message was accepted, with a date.
    fn received(&self, form: &str) -> String {
        let date = tai::header_date(os::clock::unix_seconds());
        format!("Received: {form}; {date}\n")
    }

    fn x_filter(&self) -> Vec<u8> {
        let line = self
            .options
            .x_filter
            .as_deref()
            .unwrap_or(b"X-Filter: None");
        let one: Vec<u8> = line.iter().copied().filter(|&b| b != b'\n').collect();
        [&one[..], b"\n"].concat()
    }
}

/// The directory is out of order: later.
fn directory_trouble(error: UsersError) -> Outcome {
    Outcome::temporary(format_args!(
        "unable to look up user: {}. indimail (#4.3.0)",
        shown(&error.0)
    ))
}

/// The machine is out of order: later.
fn io_trouble(what: &str, error: &std::io::Error) -> Outcome {
    Outcome::temporary(format_args!(
        "unable to {what}: {}. indimail (#4.3.0)",
        crate::outcome::reason(error)
    ))
}

fn shown(text: &str) -> String {
    text::log::printable(text.as_bytes(), 1000)
}

fn shown_path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    text::log::printable(path.as_os_str().as_bytes(), 1000)
}

#[cfg(test)]
mod tests;
