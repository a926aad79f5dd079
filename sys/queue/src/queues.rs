//! Which queues an installation has, and which one a message goes to
//! (queue-and-delivery.md §2.1).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use run::{Home, SettingError, Settings};
use settings::queue::{QUEUE_BASE, QUEUE_COUNT, QUEUE_START, QUEUEDIR};

/// Queues beside the numbered ones.
const SPECIAL: [&str; 3] = ["nqueue", "slowq", "qmta"];
/// Most queues of one installation.
const QUEUE_COUNT_MAX: u64 = 10_000;

/// The queues of an installation, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queues {
    directories: Vec<PathBuf>,
}

/// The settings do not name a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueuesError {
    /// A control file cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingError),
    /// `QUEUE_COUNT` or `QUEUE_START` make no sense.
    #[error("QUEUE_START {start} and QUEUE_COUNT {count} name no queue; see queue_count")]
    Count {
        /// First number.
        start: i64,
        /// How many.
        count: i64,
    },
}

impl Queues {
    /// What the settings say: `QUEUEDIR` names one queue; else `QUEUE_COUNT`
    /// queues from number `QUEUE_START` below `QUEUE_BASE`.
    pub fn configured(home: &Home, settings: &Settings) -> Result<Self, QueuesError> {
        let path = |bytes: &[u8]| home.root().join(std::ffi::OsStr::from_bytes(bytes));
        if let Some(directory) = settings.line(&QUEUEDIR)?.filter(|value| !value.is_empty()) {
            return Ok(Self::one(path(&directory)));
        }
        let base = match settings
            .line(&QUEUE_BASE)?
            .filter(|value| !value.is_empty())
        {
            Some(base) => path(&base),
            None => home.queues(),
        };
        Self::numbered(
            &base,
            settings.integer(&QUEUE_START)?,
            settings.integer(&QUEUE_COUNT)?,
        )
    }

    /// One queue.
    pub fn one(directory: impl Into<PathBuf>) -> Self {
        Self {
            directories: vec![directory.into()],
        }
    }

    /// `base/queue<start>` and those after it.
    pub fn numbered(base: &Path, start: i64, count: i64) -> Result<Self, QueuesError> {
        let valid = (u64::try_from(start), u64::try_from(count));
        let (Ok(first), Ok(number @ 1..=QUEUE_COUNT_MAX)) = valid else {
            return Err(QueuesError::Count { start, count });
        };
        let directories =
            (first..first.saturating_add(number)).map(|n| base.join(format!("queue{n}")));
        Ok(Self {
            directories: directories.collect(),
        })
    }

    /// All of them.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Those that exist, for tools that look at all of them: with those that
    /// stand beside the numbered ones.
    pub fn existing(&self, settings: &Settings) -> Vec<PathBuf> {
        let mut directories = self.directories.clone();
        if settings.variable("QUEUEDIR").is_none_or(<[u8]>::is_empty) {
            let base = self.first().parent().unwrap_or(Path::new("."));
            directories.extend(SPECIAL.map(|name| base.join(name)));
        }
        directories.retain(|directory| directory.is_dir());
        directories
    }

    /// The first one: the only one for programs that work on one queue.
    pub fn first(&self) -> &Path {
        &self.directories[0]
    }

    /// One of them by a random number, so that a burst spreads over all.
    pub fn choose(&self, random: u64) -> &Path {
        let index = random % self.directories.len() as u64;
        &self.directories[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(variables: &[(&str, &str)]) -> Result<Queues, QueuesError> {
        let home = Home::at("/nowhere");
        let changes = variables
            .iter()
            .map(|(name, value)| (*name, Some(value.as_bytes())));
        Queues::configured(&home, &Settings::of_files(&home).overlaid(changes))
    }

    #[test]
    fn queuedir_wins_over_the_collection() {
        let queues = configured(&[("QUEUEDIR", "queue/slowq"), ("QUEUE_COUNT", "5")]).unwrap();
        assert_eq!(
            queues.directories(),
            [PathBuf::from("/nowhere/queue/slowq")]
        );
    }

    #[test]
    fn a_collection_is_numbered_from_its_start() {
        let variables = [
            ("QUEUE_BASE", "/q"),
            ("QUEUE_START", "3"),
            ("QUEUE_COUNT", "2"),
        ];
        let queues = configured(&variables).unwrap();
        assert_eq!(
            queues.directories(),
            [PathBuf::from("/q/queue3"), "/q/queue4".into()]
        );
        assert_ne!(queues.choose(0), queues.choose(1));
        assert_eq!(
            configured(&[]).unwrap().first(),
            Path::new("/nowhere/queue/queue1")
        );
    }

    #[test]
    fn no_queue_at_all_is_an_error() {
        assert!(configured(&[("QUEUE_COUNT", "0")]).is_err());
        assert!(configured(&[("QUEUE_START", "-1")]).is_err());
    }
}
