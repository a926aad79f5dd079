//! What operators hold: a file for each below `hold` in the queue.
//!
//! `hold/7` holds message 7, `hold/remote` and `hold/local` a channel,
//! `hold/@example.org` recipients of a domain and `hold/@.example.org` those
//! of all domains below it. The content is one line: why. The file's mtime is
//! since when. Tools write and remove these files, then tell qmail-send to
//! read them; it reads them when it starts, too, so a hold survives whatever
//! happens to either.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use os::beneath::{Access, Directory};

use crate::Layout;

/// Most holds of a queue.
const HOLDS_MAX: usize = 100_000;
/// Longest reason that is kept.
const REASON_BYTES_MAX: usize = 500;
const FILE_MODE: u32 = 0o600;

/// What is held.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum HoldTarget {
    /// All local recipients.
    Local,
    /// All remote recipients.
    Remote,
    /// Recipients of this domain, in lower case; with a dot in front those of
    /// all domains below it.
    Domain(String),
    /// One message.
    Message(u64),
}

/// A hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// What is held.
    pub target: HoldTarget,
    /// Since when, Unix time.
    pub since: i64,
    /// Why, printable; empty when nobody said.
    pub reason: String,
}

/// The words do not name something that can be held.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} is neither a message number, nor local or remote, nor a domain like @example.org")]
pub struct HoldError(pub String);

impl HoldTarget {
    /// Reads what an operator wrote, or the name of a file.
    pub fn parse(text: &str) -> Result<Self, HoldError> {
        let wrong = || HoldError(text::log::printable(text.as_bytes(), 100));
        if let Some(domain) = text.strip_prefix('@') {
            let plain = domain.strip_prefix('.').unwrap_or(domain);
            let is_valid = (1..=253).contains(&plain.len())
                && plain.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
                && !plain.split('.').any(str::is_empty);
            return match is_valid {
                true => Ok(Self::Domain(domain.to_ascii_lowercase())),
                false => Err(wrong()),
            };
        }
        match text {
            "local" => Ok(Self::Local),
            "remote" => Ok(Self::Remote),
            number => number.parse().map(Self::Message).map_err(|_| wrong()),
        }
    }
}

impl std::fmt::Display for HoldTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Remote => f.write_str("remote"),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Message(id) => write!(f, "{id}"),
        }
    }
}

/// Below the queue's directory.
const NAME: &str = "hold";

fn directory(layout: &Layout) -> io::Result<Directory> {
    layout.open()?.directory(NAME)
}

/// Reads all holds; a queue without the directory has none. Files that are
/// no hold are passed over.
pub fn holds(layout: &Layout) -> io::Result<Vec<Hold>> {
    let directory = match directory(layout) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        directory => directory?,
    };
    let mut holds = Vec::new();
    for name in directory.names("")?.iter().take(HOLDS_MAX) {
        // What was being written when somebody was killed is no hold.
        let name = name.to_str().filter(|name| !name.ends_with(".tmp"));
        let Some(Ok(target)) = name.map(HoldTarget::parse) else {
            continue;
        };
        let file = match directory.file(target.to_string(), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let since = file.metadata()?.mtime();
        let mut reason = Vec::new();
        file.take(REASON_BYTES_MAX as u64)
            .read_to_end(&mut reason)?;
        holds.push(Hold {
            target,
            since,
            reason: text::log::printable(reason.trim_ascii(), REASON_BYTES_MAX),
        });
    }
    holds.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(holds)
}

/// Holds something, durably; a hold that is there already keeps its time.
/// The file belongs to the owner of the directory. Says whether it is new.
pub fn put_hold(layout: &Layout, target: &HoldTarget, reason: &str) -> io::Result<bool> {
    let directory = directory(layout)?;
    let name = target.to_string();
    if directory.find(&name)?.is_some() {
        return Ok(false);
    }
    let mut line = text::log::printable(reason.as_bytes(), REASON_BYTES_MAX - 1);
    line.push('\n');
    let owner = directory.entry("")?.owner();
    let owner = os::account::is_root().then_some(owner);
    directory.replace(&name, line.as_bytes(), FILE_MODE, owner)?;
    Ok(true)
}

/// Lets something go, durably; says whether it was held.
pub fn release_hold(layout: &Layout, target: &HoldTarget) -> io::Result<bool> {
    let remove = || {
        let directory = directory(layout)?;
        directory.remove_file(target.to_string())?;
        directory.sync("")
    };
    match remove() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes holds of messages that are gone, so that they do not hold others
/// that get their numbers; what is left.
pub fn settle_holds(layout: &Layout, holds: Vec<Hold>) -> Vec<Hold> {
    let is_of_its_message = |hold: &Hold| {
        let HoldTarget::Message(id) = hold.target else {
            return true;
        };
        // A text that is younger than the hold is another message's. Only its
        // content counts: links and owners change later.
        match std::fs::metadata(layout.mess(id)) {
            Ok(text) => text.mtime() <= hold.since,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    };
    let (kept, stale): (Vec<_>, Vec<_>) = holds.into_iter().partition(is_of_its_message);
    for hold in stale {
        // When it cannot be removed it is not heeded either.
        let _ = release_hold(layout, &hold.target);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        crate::create(&root, None).unwrap();
        (directory, Layout::detect(root).unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["local", "remote", "@example.org", "@.example.org", "7"] {
            assert_eq!(HoldTarget::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "@", "@.", "@a/b", "@../x", "@a..b", "-7", "socket", "x"] {
            assert!(HoldTarget::parse(wrong).is_err(), "{wrong}");
        }
        let long = format!("@{}", "a".repeat(254));
        assert!(HoldTarget::parse(&long).is_err());
    }

    #[test]
    fn a_hold_lasts_until_it_is_released() {
        let (_directory, layout) = queue();
        let target = HoldTarget::parse("@Example.ORG").unwrap();
        assert!(put_hold(&layout, &target, "they\nasked").unwrap());
        assert!(!put_hold(&layout, &target, "again").unwrap());
        std::fs::write(layout.root().join("hold/socket"), "").unwrap();
        let found = holds(&layout).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].target, HoldTarget::Domain("example.org".into()));
        assert_eq!(found[0].reason, "they?asked");
        assert!(release_hold(&layout, &target).unwrap());
        assert!(!release_hold(&layout, &target).unwrap());
        assert_eq!(holds(&layout).unwrap(), []);
    }

    #[test]
    fn a_message_that_gets_a_number_again_is_not_held() {
        let (_directory, layout) = queue();
        for id in [7, 8, 9] {
            put_hold(&layout, &HoldTarget::Message(id), "").unwrap();
        }
        for (id, mtime) in [(7, 1000), (8, i64::from(u32::MAX))] {
            std::fs::write(layout.mess(id), "").unwrap();
            let file = std::fs::File::open(layout.mess(id)).unwrap();
            os::file::set_mtime(&file, mtime).unwrap();
        }
        let kept = settle_holds(&layout, holds(&layout).unwrap());
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].target, HoldTarget::Message(7));
        assert_eq!(holds(&layout).unwrap(), kept);
    }

    #[test]
    fn holds_are_put_nowhere_else() {
        let (directory, layout) = queue();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let target = HoldTarget::parse("local").unwrap();
        let path = layout.root().join("hold");
        // A link in place of the hold: what it leads to is neither written
        // nor taken for a hold.
        std::os::unix::fs::symlink(elsewhere.join("new"), path.join("local.tmp")).unwrap();
        assert!(put_hold(&layout, &target, "why").unwrap());
        assert!(!elsewhere.join("new").exists());
        std::fs::write(elsewhere.join("local"), "").unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let other = HoldTarget::parse("@example.org").unwrap();
        assert!(put_hold(&layout, &other, "why").is_err());
        assert!(release_hold(&layout, &target).is_err() && holds(&layout).is_err());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
    }

    #[test]
    fn any_name_that_is_a_hold_is_one_file_and_comes_back() {
        property::holds(|u| {
            let mut text: String = u.arbitrary()?;
            if u.arbitrary()? {
                text.insert(0, '@');
            }
            if let Ok(target) = HoldTarget::parse(&text) {
                let name = target.to_string();
                assert!(!name.contains(['/', '\0']) && name != "." && name != "..");
                assert_eq!(HoldTarget::parse(&name), Ok(target));
            }
            Ok(())
        });
    }

    #[test]
    fn what_is_held_and_why_comes_back() {
        let (_directory, layout) = queue();
        property::holds(|u| {
            let domain = format!("d{:x}.example", u.arbitrary::<u32>()?);
            let target = match u.int_in_range(0..=3)? {
                0 => HoldTarget::Local,
                1 => HoldTarget::Remote,
                2 => HoldTarget::Domain(domain),
                _ => HoldTarget::Message(u.arbitrary()?),
            };
            let mut reason: String = u.arbitrary()?;
            reason.retain(|c| c.is_ascii_graphic());
            reason.truncate(REASON_BYTES_MAX - 1);
            assert!(put_hold(&layout, &target, &reason).unwrap());
            let read = holds(&layout).unwrap();
            assert_eq!(
                (read[0].target.clone(), read[0].reason.clone()),
                (target.clone(), reason)
            );
            assert!(release_hold(&layout, &target).unwrap());
            Ok(())
        });
    }
}
