//! How much one mailbox takes in a day (virtual-domains.md §7.7).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use settings::local;
use tai::Civil;

use super::{Job, io_trouble, shown_path};
use crate::outcome::{Outcome, Step};
use crate::users::User;

/// Messages a day when only the other limit is set.
const DEFAULT_MESSAGES: u64 = 1500;
/// Bytes a day when only the other limit is set.
const DEFAULT_BYTES: u64 = 10_485_760;
/// Longest state file.
const STATE_BYTES_MAX: u64 = 256;

/// One line: when it was written, and what came since that day began.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Counters {
    messages: u64,
    bytes: u64,
}

/// Counts a message against the limits of the day, or refuses it. Without
/// limits nothing is read or written.
pub(super) fn check(job: &Job<'_>, maildir: &Path, user: Option<&User>, bytes: u64) -> Step {
    let limit = |setting| {
        let line = job.site.settings.line(setting).ok().flatten()?;
        text::control::integer(&line).and_then(|n| u64::try_from(n).ok())
    };
    let messages_max = limit(&local::MAILCOUNT_LIMIT);
    let bytes_max = limit(&local::MAILSIZE_LIMIT);
    if messages_max.is_none() && bytes_max.is_none() {
        return Ok(());
    }
    let messages_max = messages_max.unwrap_or(DEFAULT_MESSAGES);
    let bytes_max = bytes_max.unwrap_or(DEFAULT_BYTES);
    let trouble = |error| io_trouble("count messages of today", &error);
    let path = maildir.join("deliveryCount");
    let now = Civil::from_unix(os::clock::unix_seconds());
    let today = format!("{:02}-{:02}-{}", now.day, now.month, now.year);
    // Several deliveries to one mailbox count one after the other.
    let lock = lock(&path).map_err(trouble)?;
    let before = read(&lock, &today).map_err(trouble)?;
    let after = Counters {
        messages: before.messages + 1,
        bytes: before.bytes.saturating_add(bytes),
    };
    let too_many = messages_max != 0 && messages_max < after.messages;
    let too_large = bytes_max != 0 && bytes_max < after.bytes;
    if !too_many && !too_large {
        let line = format!(
            "{today}:{:02}:{:02}:{:02} {} {}\n",
            now.hour, now.minute, now.second, after.messages, after.bytes
        );
        return write(&lock, line.as_bytes()).map_err(trouble);
    }
    job.run_warning([
        user.map(User::address).unwrap_or_default(),
        bytes.to_string(),
        before.bytes.to_string(),
        before.messages.to_string(),
        format!("{bytes_max},{messages_max}"),
    ]);
    let (n, s) = (after.messages, after.bytes);
    let what = match (too_many, too_large) {
        (true, true) => format!("Mail count and size exceeded. {n}/{messages_max} {s}/{bytes_max}"),
        (true, false) => format!("Mail count exceeded. {n}/{messages_max}"),
        _ => format!("Mail size exceeded. {s}/{bytes_max}"),
    };
    Err(Outcome::permanent(format_args!(
        "{} has insufficient quota. {what}. indimail (#5.1.4)",
        shown_path(maildir)
    )))
}

fn lock(path: &Path) -> io::Result<os::file::Lock> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)?;
    os::file::lock(file)
}

fn read(file: &File, today: &str) -> io::Result<Counters> {
    let mut text = String::new();
    // Foreign bytes are as good as an empty file.
    let _ = file.take(STATE_BYTES_MAX).read_to_string(&mut text);
    Ok(parse(&text, today))
}

fn parse(line: &str, today: &str) -> Counters {
    let mut words = line.split_ascii_whitespace();
    let same_day = words.next().is_some_and(|date| date.starts_with(today));
    let mut number = || words.next().and_then(|word| word.parse().ok());
    match (same_day, number(), number()) {
        (true, Some(messages), Some(bytes)) => Counters { messages, bytes },
        _ => Counters {
            messages: 0,
            bytes: 0,
        },
    }
}

fn write(file: &File, line: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.write_all_at(line, 0)?;
    file.set_len(line.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_starts_from_zero() {
        let at = |messages, bytes| Counters { messages, bytes };
        assert_eq!(
            parse("22-11-2026:13:00:00 5 700\n", "22-11-2026"),
            at(5, 700)
        );
        assert_eq!(parse("21-11-2026:13:00:00 5 700\n", "22-11-2026"), at(0, 0));
        assert_eq!(parse("nonsense", "22-11-2026"), at(0, 0));
        assert_eq!(parse("", "22-11-2026"), at(0, 0));
    }
}
