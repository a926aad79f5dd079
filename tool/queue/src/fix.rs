//! queue-fix: makes a queue what it should be (queue-and-delivery.md §9.8).
//!
//! Directories, owners, modes, the lock directory; then every text whose name
//! is not its inode number, or that is in the wrong subdirectory, gets the
//! right name together with all files of its message; then files that belong
//! to no message go. With another split it moves everything there.
//!
//! A message is renamed in two steps, because its new number can be another
//! message's old one: first all its files get the new number and `.tmp`, the
//! text last; when no message is left to rename, `.tmp` goes, of the text
//! last. So in every state a crash can leave, a text without `.tmp` says which
//! of its files are not renamed yet, and a run begun again ends well: unlike
//! the original, which stops at what an earlier run left.
//!
//! Root works here in directories of others, who may change them meanwhile.
//! No link is followed, no file changed that has a name elsewhere, and the
//! sandbox, closed once all queues are open, knows nothing but them.

mod messages;
mod queue_run;
mod spare;
#[cfg(test)]
mod tests;
mod tree;
mod writers;

use std::path::{Path, PathBuf};

use os::account::{Account, Identity, group};
use queue::Owners;
use run::{Exit, Home};

use crate::options::Options;
use queue_run::Fix;

pub const USAGE: &str =
    "usage: queue-fix [-iNvrmt] [-b 0|1] [-s split] [-S tcptosize] [directory...]
Checks and mends queues; without a directory those of this installation.
Stop qmail-send and everything that queues mail first.
  -N  only say what is wrong    -i  ask before each kind of change
  -v  say what is looked at     -m  everything belongs to one user
  -r  make ratelimit            -t  make trash
  -b  1: todo and intd are split, 0: they are not (default: as they are)
  -s  number of subdirectories (default: as it is); moves all messages
  -S  size of lock/tcpto, 1024 or 2048 (default: as it is)
Exit codes: 0 the queue is good, 100 wrong use, 111 it is not.
";

/// Fewest and most subdirectories.
const SPLIT_MAX: u64 = 10_000;

/// What was asked for.
#[derive(Clone, Debug, Default)]
struct Wishes {
    dry_run: bool,
    ask: bool,
    verbose: bool,
    ratelimit: bool,
    trash: bool,
    split: Option<u64>,
    todo_is_split: Option<bool>,
    tcpto_bytes: Option<usize>,
}

/// What kind of change, for those who want to be asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Directories,
    Owners,
    Modes,
    Locks,
    Names,
    Strays,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Directories => "make and remove directories",
            Self::Owners => "change owners",
            Self::Modes => "change modes",
            Self::Locks => "mend the lock directory",
            Self::Names => "rename files to their inode numbers and subdirectories",
            Self::Strays => "remove files that belong to no message",
        }
    }
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "iNvrmtb:s:S:", USAGE)?;
    let wrong = || run::usage::misused(USAGE);
    let mut wishes = Wishes {
        dry_run: options.has('N'),
        ask: options.has('i'),
        verbose: options.has('v'),
        ratelimit: options.has('r'),
        trash: options.has('t'),
        ..Wishes::default()
    };
    for (letter, value) in &options.letters {
        let value = value.as_deref().unwrap_or_default();
        match letter {
            'b' => {
                wishes.todo_is_split = Some(match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(wrong()),
                });
            }
            's' => {
                let split = value.parse().ok().filter(|n| (1..=SPLIT_MAX).contains(n));
                wishes.split = Some(split.ok_or_else(wrong)?);
            }
            'S' => {
                let size = value.parse().ok().filter(|n| matches!(n, 1024 | 2048));
                wishes.tcpto_bytes = Some(size.ok_or_else(wrong)?);
            }
            _ => {}
        }
    }
    let owners = owners(options.has('m'))?;
    let roots: Vec<PathBuf> = match options.rest.is_empty() {
        true => crate::queues::directories(home)?,
        false => options.rest.iter().map(PathBuf::from).collect(),
    };
    // Whoever is in a sandbox cannot see what other processes have open.
    let ready = roots
        .into_iter()
        .map(|root| Fix::new(root, &wishes, owners)?.ready());
    let ready: Vec<_> = ready.collect::<Result<_, _>>()?;
    let places: Vec<_> = ready.iter().map(|fix| fix.place_on_disk()).collect();
    run::sandboxes::close(run::sandboxes::queued(&places), "queue-fix");
    let mut is_good = true;
    for fix in ready {
        is_good &= fix.everything()?;
    }
    match is_good {
        true => Ok(()),
        false => Err(Exit::new(
            run::TEMPORARY,
            "something is still wrong, see above",
        )),
    }
}

/// `None`: everything belongs to whoever calls.
fn owners(is_single_user: bool) -> Result<Option<Owners>, Exit> {
    if is_single_user || !os::account::is_root() {
        return Ok(None);
    }
    let fatal = |error: os::account::AccountError| Exit::new(run::TEMPORARY, error.to_string());
    let gid = group("qmail").map_err(fatal)?;
    let member = |name| {
        let uid = Account::by_name(name).map_err(fatal)?.identity.uid;
        Ok::<_, Exit>(Identity { uid, gid })
    };
    Ok(Some(Owners {
        qmailq: member("qmailq")?,
        qmails: member("qmails")?,
        qmailr: member("qmailr")?,
    }))
}

fn trouble(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Exit {
    let path = path.display();
    Exit::new(run::TEMPORARY, format!("unable to {verb} {path}: {error}"))
}
