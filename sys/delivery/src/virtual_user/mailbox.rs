//! Writing a message to a virtual user's maildir, within its limits
//! (virtual-domains.md §7.5 to §7.8).

use std::io::ErrorKind;
use std::path::Path;

use maildir::deliver::Error;
use maildir::quota::{self, Quota, Usage};
use settings::local;

use super::duplicates::Copy;
use super::{Job, daily, duplicates, home, io_trouble, shown, shown_path, warning};
use crate::outcome::{Outcome, Step};
use crate::program;
use crate::users::User;

const STICKY: u32 = 0o1000;

impl Job<'_> {
    /// Stores the message. A `user` is whose quota counts; a maildir without
    /// one has its own in its `maildirsize`.
    pub(super) fn store(&self, maildir: &Path, user: Option<&User>) -> Step<Outcome> {
        self.refuse_sticky(maildir)?;
        let prefix = self.mailbox_prefix();
        let bytes = prefix.len() as u64 + self.message_bytes()?;
        let inbox = match self.options.folder {
            Some(_) if user.is_some() => maildir.parent().unwrap_or(maildir),
            _ => maildir,
        };
        let quota = match user {
            Some(user) => Quota::parse(user.quota.as_bytes()),
            None => own_quota(inbox),
        };
        daily::check(self, inbox, user, bytes)?;
        self.check_quota(inbox, user, quota, bytes)?;
        let copy = duplicates::look_up(self, inbox)?;
        if matches!(copy, Copy::Seen) {
            return Ok(Outcome::success());
        }
        let deliver = || {
            let Self { site, message, .. } = *self;
            let group = site.group.as_ref();
            maildir::deliver::deliver(maildir, &site.host, &prefix, message, group)
        };
        let is_own = user.is_some_and(|user| maildir.starts_with(&user.dir));
        let result = match deliver() {
            // Somebody took a part of the mailbox away.
            Err(Error::Enter { source, .. }) if is_own && source.kind() == ErrorKind::NotFound => {
                home::create_maildir(maildir)
                    .map_err(|error| io_trouble("create mailbox", &error))?;
                deliver()
            }
            result => result,
        };
        let done = result.map_err(|error| crate::outcome::maildir_outcome(&error))?;
        let change = Usage {
            bytes: i64::try_from(done.bytes).unwrap_or(i64::MAX),
            messages: 1,
        };
        if let Copy::New(hash) = copy {
            duplicates::remember(self, inbox, &hash);
        }
        // The message is safe; a count that fails now is made later.
        let _ = quota::record(inbox, quota, change, self.trash());
        if let Some(user) = user {
            warning::check(self, inbox, user, quota);
        }
        Ok(Outcome::success())
    }

    fn mailbox_prefix(&self) -> Vec<u8> {
        let received = self.received(&format!(
            "indimail-virtual {} by host {} (invoked by uid {})",
            std::process::id(),
            self.site.me,
            os::account::real_uid()
        ));
        [
            self.facts.return_path_line(),
            self.facts.delivered_to_line(),
            self.facts.extra_lines(),
            self.x_filter(),
            received.into_bytes(),
        ]
        .concat()
    }

    fn refuse_sticky(&self, maildir: &Path) -> Step {
        use std::os::unix::fs::MetadataExt;
        match std::fs::metadata(maildir) {
            Ok(metadata) if metadata.mode() & STICKY != 0 => Err(Outcome::temporary(format_args!(
                "{} is sticky. indimail (#4.2.1)",
                shown_path(maildir)
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses, holds or lets pass a message for a mailbox that is full.
    fn check_quota(&self, maildir: &Path, user: Option<&User>, quota: Quota, bytes: u64) -> Step {
        if quota.is_unlimited() {
            return Ok(());
        }
        let trouble = |error| io_trouble("count mailbox", &error);
        let fast = self
            .site
            .settings
            .variable(local::FAST_QUOTA.variable)
            .is_some();
        let incoming = (!fast).then_some(bytes);
        let usage = quota::usage(maildir, quota, incoming, self.trash()).map_err(trouble)?;
        if !quota.is_exceeded_by(usage.with_message(bytes)) {
            return Ok(());
        }
        if let Some(user) = user {
            self.run_over_quota_command(user, bytes, usage);
        }
        let text = insufficient(user, maildir, bytes, quota, usage);
        if self.is_held(maildir)? {
            return Err(Outcome::temporary(text));
        }
        if let Some(user) = user
            && quota.is_exceeded_by(usage)
            && user.gid_flags & User::BOUNCE_MAIL == 0
        {
            let used = u64::try_from(usage.bytes).unwrap_or(0);
            self.users
                .set_over_quota(user, Some(used))
                .map_err(super::directory_trouble)?;
        }
        let small = self.site.settings.integer(&local::OVERQUOTA_MAILSIZE);
        if u64::try_from(small.unwrap_or(0)).unwrap_or(0) < bytes {
            return Err(Outcome::permanent(text));
        }
        Ok(())
    }

    /// Says whether mail for a full mailbox waits in the queue.
    pub(super) fn is_held(&self, maildir: &Path) -> Step<bool> {
        use std::os::unix::ffi::OsStrExt;
        let name = match self.site.settings.variable(local::HOLDOVERQUOTA.variable) {
            Some(b"" | b"1" | b"yes") => return Ok(true),
            Some(name) => std::ffi::OsStr::from_bytes(name),
            None => "holdoverquota".as_ref(),
        };
        let exists = maildir.join(name).try_exists();
        exists.map_err(|error| io_trouble("look for holdoverquota", &error))
    }

    /// Tells the site's program; its result does not matter.
    pub(super) fn run_over_quota_command(&self, user: &User, bytes: u64, usage: Usage) {
        self.run_warning([
            user.address(),
            bytes.to_string(),
            usage.bytes.to_string(),
            usage.messages.to_string(),
            user.quota.clone(),
            "dummy".to_owned(),
        ]);
    }

    /// Runs `OVERQUOTA_CMD` without a shell: an address is an argument.
    pub(super) fn run_warning<const N: usize>(&self, arguments: [String; N]) {
        let Ok(Some(command)) = self.site.settings.line(&local::OVERQUOTA_CMD) else {
            return;
        };
        let mut words = command
            .split(|&b| b == b' ' || b == b'\t')
            .filter(|word| !word.is_empty());
        let Some(program) = words.next().filter(|program| program.starts_with(b"/")) else {
            return;
        };
        let job = program::Job {
            program: program.to_vec(),
            arguments: words
                .map(<[u8]>::to_vec)
                .chain(arguments.into_iter().map(String::into_bytes))
                .collect(),
            directory: b"/".to_vec(),
            environment: self.site.clean.clone(),
            captured: program::Captured::OutputAndErrors,
        };
        let _ = self.site.programs.run(&job, Vec::new());
    }
}

/// The quota in the first line of a maildir's own `maildirsize`.
fn own_quota(maildir: &Path) -> Quota {
    use std::io::{BufRead, BufReader, Read};
    let mut line = Vec::new();
    if let Ok(file) = std::fs::File::open(maildir.join("maildirsize")) {
        let _ = BufReader::new(file.take(256)).read_until(b'\n', &mut line);
    }
    Quota::parse(line.trim_ascii_end())
}

fn insufficient(
    user: Option<&User>,
    maildir: &Path,
    bytes: u64,
    quota: Quota,
    usage: Usage,
) -> String {
    let who = user.map_or_else(|| shown_path(maildir), |user| shown(&user.address()));
    format!(
        "{who} has insufficient quota. {bytes}/{}:{}/{}:{}. indimail (#5.1.4)",
        usage.bytes,
        usage.messages,
        quota.messages.unwrap_or(0),
        quota.bytes.unwrap_or(0)
    )
}
