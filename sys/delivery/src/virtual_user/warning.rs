//! Telling a user in time that the mailbox fills up (virtual-domains.md §7.8).

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use maildir::quota::{self, Quota, Usage};

use super::Job;
use crate::users::User;

/// How often one mailbox is warned at most.
const PAUSE_SECONDS: i64 = 7 * 24 * 60 * 60;
/// `QUOTAWARN1` to this.
const LEVELS: usize = 10;

/// Runs the site's program when a percentage is reached. The message is
/// delivered already, so nothing here can fail the delivery.
pub(super) fn check(job: &Job<'_>, maildir: &Path, user: &User, quota: Quota) {
    let levels: Vec<u64> = (1..=LEVELS)
        .rev()
        .filter_map(|n| {
            let value = job.site.settings.variable(&format!("QUOTAWARN{n}"))?;
            u64::try_from(text::control::integer(value)?).ok()
        })
        .collect();
    if levels.is_empty() || quota.is_unlimited() {
        return;
    }
    let Ok(usage) = quota::usage(maildir, quota, None, job.trash()) else {
        return;
    };
    let percent = percent(quota, usage);
    if levels.iter().any(|&level| level <= percent) && is_due(maildir) {
        job.run_warning([
            user.address(),
            maildir.display().to_string(),
            usage.bytes.to_string(),
            usage.messages.to_string(),
            quota.bytes.unwrap_or(0).to_string(),
            quota.messages.unwrap_or(0).to_string(),
            percent.to_string(),
        ]);
    }
}

/// The fuller of the two limits.
fn percent(quota: Quota, usage: Usage) -> u64 {
    let of = |limit: Option<u64>, used: i64| {
        let used = u64::try_from(used).unwrap_or(0);
        limit.map_or(0, |limit| used.saturating_mul(100) / limit.max(1))
    };
    of(quota.bytes, usage.bytes).max(of(quota.messages, usage.messages))
}

/// Says whether the last warning is long enough ago, and notes this one: the
/// time of the file `QuotaWarn` is when that was.
fn is_due(maildir: &Path) -> bool {
    let path = maildir.join("QuotaWarn");
    let now = os::clock::unix_seconds();
    let before = std::fs::symlink_metadata(&path).map(|metadata| metadata.mtime());
    if before.is_ok_and(|before| now - before < PAUSE_SECONDS) {
        return false;
    }
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(&path);
    opened.is_ok_and(|file| file.set_modified(std::time::SystemTime::now()).is_ok())
}
