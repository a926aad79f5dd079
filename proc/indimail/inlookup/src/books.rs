//! What is written after a login, while the user works already: when it was,
//! an activated account, a better hash.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use directory::password::{self, Method};
use directory::secret::{self, Keep};
use directory::{Directory, Location, Quota, User, flags};
use run::{Home, Settings};
use zeroize::Zeroizing;

/// Entries that wait; more are dropped, with a warning.
const WAITING_MAX: usize = 1000;
/// A login of the same user and service is written once in this time: mail
/// programs open several connections at once.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);
/// Logins remembered for that.
const RECENT_MAX: usize = 10_000;
/// Most of a `maildirsize` file that is read.
const MAILDIRSIZE_BYTES_MAX: u64 = 64 * 1024;

/// Something to write.
pub enum Entry {
    /// A login.
    Login {
        /// Who.
        user: Box<User>,
        /// `imap` or `pop3`.
        service: &'static str,
        /// From where.
        remote_ip: String,
    },
    /// A password of a single program was used.
    AppPassword {
        /// Whose.
        user: Box<User>,
        /// Its name.
        name: String,
    },
    /// The password was right and its hash or secret is not of today.
    Rehash {
        /// Who.
        user: Box<User>,
        /// The password.
        password: Zeroizing<Vec<u8>>,
        /// The hash wanted.
        method: Method,
        /// The secret wanted.
        keep: Keep,
    },
}

/// The thread that writes.
pub struct Books(SyncSender<Entry>);

impl Books {
    /// Starts the thread, with a connection of its own: nobody waits for its
    /// syncs.
    pub fn start(home: &Home) -> io::Result<Self> {
        let (entries, queue) = mpsc::sync_channel(WAITING_MAX);
        let mut database = Database {
            home: home.clone(),
            server: None,
        };
        std::thread::Builder::new()
            .name("books".to_owned())
            .spawn(move || keep_books(&mut database, &queue))?;
        Ok(Self(entries))
    }

    /// Writes soon.
    pub fn write(&self, entry: Entry) {
        if self.0.try_send(entry).is_err() {
            run::warn(crate::PROGRAM, "too much to write; a login is not recorded");
        }
    }
}

/// The database, as this thread uses it. A file is opened for each entry: it
/// may be another one by now. Connections to a server are kept.
struct Database {
    home: Home,
    server: Option<(Location, Arc<Directory>)>,
}

impl Database {
    fn open(&mut self) -> Result<Arc<Directory>, directory::Error> {
        let location = Location::of(&self.home, &Settings::of_process(&self.home))?;
        if let Some((at, directory)) = &self.server
            && *at == location
        {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(Directory::open_at(&location)?);
        self.server =
            matches!(location, Location::Server(_)).then(|| (location, Arc::clone(&directory)));
        Ok(directory)
    }
}

fn keep_books(database: &mut Database, queue: &Receiver<Entry>) {
    let mut recent: HashMap<(String, &'static str, String), Instant> = HashMap::new();
    while let Ok(entry) = queue.recv() {
        if let Entry::Login {
            user,
            service,
            remote_ip,
        } = &entry
        {
            let key = (user.address(), *service, remote_ip.clone());
            if recent
                .get(&key)
                .is_some_and(|at| at.elapsed() < WRITE_INTERVAL)
            {
                continue;
            }
            if RECENT_MAX <= recent.len() {
                recent.clear();
            }
            recent.insert(key, Instant::now());
        }
        let written = database.open().and_then(|directory| match &entry {
            Entry::Login {
                user,
                service,
                remote_ip,
            } => record(&directory, user, service, remote_ip),
            Entry::AppPassword { user, name } => directory.record_app_password(user, name),
            Entry::Rehash {
                user,
                password,
                method,
                keep,
            } => rehash(&directory, user, password, *method, *keep),
        });
        if let Err(error) = written {
            run::warn(crate::PROGRAM, &format!("cannot record a login: {error}"));
        }
    }
}

fn record(
    directory: &Directory,
    user: &User,
    service: &str,
    remote_ip: &str,
) -> Result<(), directory::Error> {
    let (bytes, messages) = usage(&user.maildir());
    directory.record_auth(user, service, remote_ip, bytes)?;
    if user.has(flags::BOUNCE_MAIL) {
        let quota = Quota::parse(&user.quota).unwrap_or_default();
        let within = |limit: Option<u64>, used| limit.is_none_or(|limit| used <= limit);
        if within(quota.bytes, bytes) && within(quota.messages, messages) {
            directory.clear_over_quota(user)?;
        }
    }
    Ok(())
}

fn rehash(
    directory: &Directory,
    user: &User,
    password: &[u8],
    method: Method,
    keep: Keep,
) -> Result<(), directory::Error> {
    let hash = password::hash(password, method)?;
    let column = secret::column(password, None, secret::ITERATIONS_DEFAULT, keep)?;
    directory.replace_hash(user, &hash, Some(&column))?;
    Ok(())
}

/// Bytes and messages by the running totals in `maildirsize`; none when there
/// is no such file.
fn usage(maildir: &Path) -> (u64, u64) {
    let mut text = String::new();
    let read = std::fs::File::open(maildir.join("maildirsize"))
        .and_then(|file| file.take(MAILDIRSIZE_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() {
        return (0, 0);
    }
    let (mut bytes, mut messages) = (0i64, 0i64);
    for line in text.lines().skip(1) {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
        if let (Some(Ok(size)), Some(Ok(count))) = (numbers.next(), numbers.next()) {
            bytes = bytes.saturating_add(size);
            messages = messages.saturating_add(count);
        }
    }
    let positive = |sum: i64| u64::try_from(sum).unwrap_or(0);
    (positive(bytes), positive(messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_the_sum_of_the_lines_after_the_first() {
        let maildir = tempfile::tempdir().unwrap();
        assert_eq!(usage(maildir.path()), (0, 0));
        let content = "1000S,5C\n         300            2\n-100 -1\nodd line\n";
        std::fs::write(maildir.path().join("maildirsize"), content).unwrap();
        assert_eq!(usage(maildir.path()), (200, 1));
    }
}
