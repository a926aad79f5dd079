//! What vfilter(8) does: delivery as the rules of the user and of the domain
//! say (virtual-domains.md §8).
//!
//! Differences from the original on purpose: the rules of the domain that
//! come last are asked also when the user has none; a message is forwarded
//! before it is stored, so that a forward that has to wait does not store it
//! again with every try.

use std::fmt::Arguments;
use std::os::unix::fs::FileExt;
use std::path::Path;

use settings::local;
use vfilter::{Action, Folder, HeaderList, Match, Numbering, Reader, Row, Rule, Rules, Values};

use super::{Job, Options, home, io_trouble};
use crate::outcome::{Outcome, Step};
use crate::program::{self, Ending, exit_code_of_program};
use crate::users::User;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// The line that says a message went through here.
const X_FILTER: &str = concat!(
    "X-Filter: xFilter/IndiMail Revision ",
    env!("CARGO_PKG_VERSION")
);

/// Names in a Maildir that say whether rules count: those on existing disks,
/// and those of the manual page.
const HAS_RULES: [&str; 2] = ["vfilter", ".vfilter"];
const NOT_BEFORE: [&str; 2] = ["noprefilt", ".noglobal"];
const NOT_AFTER: [&str; 2] = ["nopostfilt", ".nopostfilt"];

/// Delivers by the rules; the code is 0, 100 or 111. Where rules cannot be
/// had the message is delivered without.
pub fn deliver(job: &Job<'_>) -> Outcome {
    let options = Options {
        x_filter: Some(X_FILTER.as_bytes().to_vec()),
        ..job.options.clone()
    };
    let job = Job {
        options: &options,
        ..*job
    };
    match job.rule(|_| ()) {
        Ok(Some(rule)) => match job.follow(&rule) {
            Ok(outcome) | Err(outcome) => outcome,
        },
        Ok(None) | Err(_) => job.mda(),
    }
}

/// Says, a line each, what [`deliver`] would do, and does nothing. With
/// `rules` it also says why of each rule that is looked at.
pub fn explain(job: &Job<'_>, rules: bool, mut say: impl FnMut(&str)) -> Outcome {
    let decided = job.rule(|line| {
        if rules {
            say(&line.to_string());
        }
    });
    let rule = match decided {
        Ok(rule) => rule,
        Err(outcome) => return outcome,
    };
    let Some(rule) = rule else {
        say("no rule applies: delivered as usual");
        return Outcome::success();
    };
    if let Action::Forward(target) | Action::ForwardAndBounce(target) = &rule.action {
        say(&format!("passed on to {}", super::shown(target)));
    }
    match &rule.folder {
        Folder::Inbox => say("delivered as usual"),
        Folder::Named(name) => say(&format!("delivered to the folder {}", super::shown(name))),
        Folder::Nowhere => say("not delivered"),
    }
    if matches!(rule.action, Action::Bounce | Action::ForwardAndBounce(_)) {
        say("rejected");
    }
    Outcome::success()
}

impl Job<'_> {
    /// The rule that applies.
    fn rule(&self, say: impl FnMut(Arguments<'_>)) -> Step<Option<Rule>> {
        if self.message_bytes()? == 0 {
            return Ok(None);
        }
        let (name, domain) = self.recipient()?;
        let Some(user) = self.find(&name, &domain)? else {
            return Ok(None);
        };
        let lists = self.rules(&user)?;
        if lists.iter().all(|(_, rows)| rows.is_empty()) {
            return Ok(None);
        }
        let headers = self.headers()?;
        let values = self.values(&headers)?;
        let own = user.address();
        let lists: Vec<Rules<'_>> = lists
            .iter()
            .map(|(whose, rows)| Rules {
                whose,
                is_own: *whose == own,
                rows,
            })
            .collect();
        let with = Match {
            headers: &headers,
            numbering: self.numbering(),
            is_me: &|address| self.is_address_of(address, &user),
        };
        Ok(vfilter::decide(&lists, with, &values, say))
    }

    /// The rules that count for a user, in their order.
    fn rules(&self, user: &User) -> Step<Vec<(String, Vec<Row>)>> {
        if !home::is_clean(&user.dir) {
            return Ok(Vec::new());
        }
        let maildir = user.dir.join("Maildir");
        let mut names = Vec::new();
        if !has_any(&maildir, NOT_BEFORE) {
            names.push("prefilt");
        }
        if has_any(&maildir, HAS_RULES) {
            names.push(&user.name);
        }
        if !has_any(&maildir, NOT_AFTER) {
            names.push("postfilt");
        }
        let of = |name: &str| {
            let rows = self.users.filters(name, &user.domain);
            let rows = rows.map_err(super::directory_trouble)?;
            Ok((format!("{name}@{}", user.domain), rows))
        };
        names.into_iter().map(of).collect()
    }

    fn headers(&self) -> Step<HeaderList> {
        let listed = self.site.settings.file(local::HEADERLIST.file);
        let listed =
            listed.map_err(|error| Outcome::temporary(format_args!("{error}. (#4.3.0)")))?;
        Ok(HeaderList::of_file(listed.as_deref()))
    }

    fn numbering(&self) -> Numbering {
        let settings = &self.site.settings;
        Numbering::of_setting(settings.variable(local::VFILTER_NUMBERING.variable))
    }

    fn values(&self, headers: &HeaderList) -> Step<Values> {
        let mut reader = Reader::new(headers);
        let (mut buffer, mut offset) = (vec![0; CHUNK_BYTES], 0);
        loop {
            match self.message.read_at(&mut buffer, offset) {
                Ok(0) => return Ok(reader.finish()),
                Ok(length) => {
                    reader.push(&buffer[..length]);
                    offset += length as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_trouble("read message", &error)),
            }
        }
    }

    /// Says whether an address is the user's, under any name of the domain.
    fn is_address_of(&self, address: &str, user: &User) -> bool {
        let Some((name, domain)) = address.rsplit_once('@') else {
            return false;
        };
        name.eq_ignore_ascii_case(&user.name)
            && (domain.eq_ignore_ascii_case(&user.domain)
                || matches!(self.users.real_domain(domain), Ok(Some(real)) if real == user.domain))
    }

    fn follow(&self, rule: &Rule) -> Step<Outcome> {
        let mut output = Vec::new();
        if let Action::Forward(target) | Action::ForwardAndBounce(target) = &rule.action {
            let passed = match target.strip_prefix('|') {
                Some(command) => self.run_line(command.as_bytes()),
                None => self.deliver_address(target.as_bytes()),
            };
            output = passed?.output;
        }
        let stored = match &rule.folder {
            Folder::Nowhere => Outcome::with(0, "Mail BlackHoled"),
            Folder::Inbox => self.mda(),
            Folder::Named(name) => {
                let options = Options {
                    folder: Some(name.clone().into_bytes()),
                    ..self.options.clone()
                };
                let filed = self.with(&options).mda();
                // A rule that cannot be followed does not cost mail.
                match filed.code {
                    0 => filed,
                    _ => return Ok(self.mda().after(output)),
                }
            }
        };
        if stored.code != 0 || matches!(rule.action, Action::None | Action::Forward(_)) {
            return Ok(stored.after(output));
        }
        let options = Options {
            bounce: true,
            ..self.options.clone()
        };
        Ok(self.with(&options).mda().after(output))
    }

    fn with<'a>(&'a self, options: &'a Options) -> Job<'a> {
        Job { options, ..*self }
    }

    /// Delivers: here, or by the program the site names.
    fn mda(&self) -> Outcome {
        let command = self.site.settings.line(&local::MDA);
        match command.ok().flatten().filter(|command| !command.is_empty()) {
            None => super::deliver(self),
            Some(command) => self.run_mda(&command),
        }
    }

    fn run_mda(&self, command: &[u8]) -> Outcome {
        let Options {
            folder,
            bounce,
            x_filter,
            ..
        } = self.options;
        let told = [
            (local::MAILDIRFOLDER.variable, folder.clone()),
            (local::BOUNCE_MAIL.variable, bounce.then(|| b"1".to_vec())),
            (local::XFILTER.variable, x_filter.clone()),
        ];
        let told = told
            .into_iter()
            .filter_map(|(name, value)| Some((name.into(), value?)));
        let mut environment = self.environment(true);
        environment.extend(told);
        let trouble = |error: &std::io::Error| io_trouble("run MDA", error);
        let message = match crate::spool(&[], self.message) {
            Ok(message) => message,
            Err(error) => return trouble(&error),
        };
        let job = program::Job::of_line(command, self.facts.home.clone(), environment);
        match self.site.programs.run(&job, vec![(0, message.into())]) {
            Ok(finished) => Outcome {
                code: match finished.ending {
                    Ending::Code(code) => exit_code_of_program(code),
                    Ending::Crashed => run::TEMPORARY,
                },
                output: finished.output,
            },
            Err(error) => trouble(&error),
        }
    }
}

fn has_any(maildir: &Path, names: [&str; 2]) -> bool {
    names
        .iter()
        .any(|name| maildir.join(name).symlink_metadata().is_ok())
}
