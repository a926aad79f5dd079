//! What all connections share: the database, the domains, what is remembered
//! for a moment.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use directory::{Directory, Domains, Location, Mechanisms, User};
use run::{Home, Settings};
use settings::users;
use wire::lookup::Mailbox;
use zeroize::Zeroizing;

use crate::books::Books;
use crate::failures::{Failures, Limits};
use crate::pool::Pool;

/// How long a good answer about a recipient is repeated.
const RECIPIENT_LIFETIME: Duration = Duration::from_secs(2);
/// Recipients remembered at once.
const RECIPIENTS_MAX: usize = 10_000;
/// How long the list of mechanisms is repeated.
const MECHANISMS_LIFETIME: Duration = Duration::from_secs(30);
/// Bytes of the key behind false salts.
const KEY_BYTES: usize = 32;

/// Why a question has no answer now.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The database or the table of domains.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// A control file.
    #[error(transparent)]
    Setting(#[from] run::SettingError),
    /// Another file.
    #[error("cannot read {path}")]
    File {
        /// Which one.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Too many passwords are waiting to be checked.
    #[error("too many logins at once")]
    Busy,
}

/// What all connections share.
pub struct World {
    pub home: Home,
    pub pool: Pool,
    pub books: Books,
    pub failures: Failures,
    /// Behind the salts of users that do not exist.
    pub key: Zeroizing<[u8; KEY_BYTES]>,
    /// Users that deliveries run as.
    pub owners: Vec<u32>,
    /// Users that may forgive wrong passwords.
    pub operators: Vec<u32>,
    settings: RwLock<Arc<Rules>>,
    database: Mutex<Option<(Stamp, Arc<Directory>)>>,
    server: Mutex<Option<Arc<Directory>>>,
    recipients: Mutex<HashMap<Vec<u8>, (Instant, Mailbox)>>,
    mechanisms: Mutex<Option<(Instant, Mechanisms)>>,
}

/// Device and number of a file.
type Stamp = (u64, u64);

/// The settings, read once and after HUP.
#[derive(Debug)]
pub struct Rules {
    /// Where the users are.
    pub location: Location,
    /// CRAM-MD5 is allowed.
    pub cram_md5: bool,
    /// How many wrong passwords are too many.
    pub limits: Limits,
    /// Logins are recorded.
    pub last_auth: bool,
    /// For how long having read mail lets relay.
    pub relay_seconds: i64,
    /// How better hashes are made.
    pub hash: directory::password::Method,
    /// `user-ext` falls back to `user`.
    pub extensions: bool,
    /// Limits of domains count, whatever the domains say.
    pub limits_everywhere: bool,
    /// For how many minutes who reads mail may relay; `None`: not at all.
    pub relay_minutes: Option<u32>,
    /// File with the first message of a mailbox.
    pub welcome: String,
    /// File with the first message of who came back.
    pub activation: String,
    /// Domain of names without one.
    pub default_domain: String,
    /// Which domains are ours.
    pub domains: Domains,
}

impl World {
    /// Reads settings and the key, starts the workers.
    pub fn new(home: Home, owners: Vec<u32>, operators: Vec<u32>) -> io::Result<Self> {
        let database = home.database();
        let rules = Rules::read(&home).map_err(io::Error::other)?;
        Ok(Self {
            pool: Pool::start()?,
            books: Books::start(&home)?,
            owners,
            operators,
            failures: Failures::default(),
            key: key(&database.with_file_name("inlookup.key"))?,
            settings: RwLock::new(Arc::new(rules)),
            database: Mutex::new(None),
            server: Mutex::new(None),
            recipients: Mutex::new(HashMap::new()),
            mechanisms: Mutex::new(None),
            home,
        })
    }

    /// Forgets everything remembered and reads the settings again; keeps the
    /// old ones when that fails.
    pub fn reread(&self) {
        match Rules::read(&self.home) {
            Ok(rules) => {
                *self
                    .settings
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
            }
            Err(error) => run::warn(
                crate::PROGRAM,
                &format!("old settings stay: {}", run::chain(&error)),
            ),
        }
        *locked(&self.database) = None;
        *locked(&self.server) = None;
        locked(&self.recipients).clear();
        *locked(&self.mechanisms) = None;
        self.pool.forget();
    }

    /// The settings of now.
    pub fn rules(&self) -> Arc<Rules> {
        let rules = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&rules)
    }

    /// The database; opened again when it failed before or was replaced.
    pub fn directory(&self) -> Result<Arc<Directory>, directory::Error> {
        match &self.rules().location {
            Location::File(path) => self.file(path),
            location => {
                let mut open = locked(&self.server);
                if let Some(directory) = &*open {
                    return Ok(Arc::clone(directory));
                }
                let directory = Arc::new(Directory::open_at(location)?);
                *open = Some(Arc::clone(&directory));
                Ok(directory)
            }
        }
    }

    fn file(&self, path: &Path) -> Result<Arc<Directory>, directory::Error> {
        let mut open = locked(&self.database);
        let stamp = std::fs::metadata(path)
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .ok();
        if let Some((of, directory)) = &*open
            && Some(*of) == stamp
        {
            return Ok(Arc::clone(directory));
        }
        *open = None;
        let directory = Arc::new(Directory::open(path)?);
        *open = stamp.map(|stamp| (stamp, Arc::clone(&directory)));
        Ok(directory)
    }

    /// A good answer given a moment ago.
    pub fn remembered(&self, address: &[u8]) -> Option<Mailbox> {
        let (at, mailbox) = *locked(&self.recipients).get(address)?;
        (at.elapsed() < RECIPIENT_LIFETIME).then_some(mailbox)
    }

    /// Remembers an answer for a moment, only when it lets mail in: whoever
    /// was just created must not be refused.
    pub fn remember(&self, address: &[u8], mailbox: Mailbox) {
        if !matches!(mailbox, Mailbox::Fine | Mailbox::Alias) {
            return;
        }
        let mut recipients = locked(&self.recipients);
        if RECIPIENTS_MAX <= recipients.len() {
            recipients.retain(|_, (at, _)| at.elapsed() < RECIPIENT_LIFETIME);
            if RECIPIENTS_MAX <= recipients.len() {
                return;
            }
        }
        recipients.insert(address.to_vec(), (Instant::now(), mailbox));
    }

    /// Drops what is remembered of an address: it has changed.
    pub fn forget_recipient(&self, address: &str) {
        locked(&self.recipients).remove(address.as_bytes());
    }

    /// Which mechanisms the stored secrets allow.
    pub fn mechanisms(&self) -> Result<Mechanisms, directory::Error> {
        let mut known = locked(&self.mechanisms);
        if let Some((at, mechanisms)) = *known
            && at.elapsed() < MECHANISMS_LIFETIME
        {
            return Ok(mechanisms);
        }
        let mechanisms = self.directory()?.mechanisms()?;
        *known = Some((Instant::now(), mechanisms));
        Ok(mechanisms)
    }

    /// The user behind a login name, as the client wrote it.
    pub fn user(&self, name: &[u8]) -> Result<Option<User>, Trouble> {
        let Some((local, domain)) = self.names(name) else {
            return Ok(None);
        };
        let Some(domain) = self.rules().domains.real(&domain)? else {
            return Ok(None);
        };
        Ok(self.directory()?.find_user(&local, &domain)?)
    }

    /// The folded address of a login name: the key of what is remembered
    /// about it, whether it exists or not.
    pub fn address(&self, name: &[u8]) -> String {
        match self.names(name) {
            Some((local, domain)) => format!("{local}@{domain}"),
            None => text::log::printable(name, 100),
        }
    }

    /// User and domain; the first of three separators divides them.
    fn names(&self, name: &[u8]) -> Option<(String, String)> {
        let name = std::str::from_utf8(name).ok()?.trim().to_lowercase();
        if name.chars().any(char::is_control) {
            return None;
        }
        match name.split_once(['@', '%', ':']) {
            Some((local, domain)) => Some((local.to_owned(), domain.to_owned())),
            None => Some((name, self.rules().default_domain.clone())),
        }
    }
}

impl Rules {
    fn read(home: &Home) -> Result<Self, Trouble> {
        let settings = Settings::of_process(home);
        let text = |setting| -> Result<String, run::SettingError> {
            let line = settings.line(setting)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&line).into_owned())
        };
        let number = |setting| -> Result<u32, run::SettingError> {
            let number = settings.integer(setting)?;
            Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        };
        let mut default_domain = text(&users::DEFAULT_DOMAIN)?;
        if default_domain.is_empty() {
            default_domain = text(&settings::site::ME)?;
        }
        let method = text(&users::HASH_METHOD)?;
        Ok(Self {
            location: Location::of(home, &settings)?,
            cram_md5: settings.integer(&users::CRAM_MD5)? == 1,
            limits: Limits {
                account: number(&users::AUTHFAILURES_ACCOUNT)?,
                address: number(&users::AUTHFAILURES_ADDRESS)?,
                pause: Duration::from_secs(number(&users::AUTHFAILURES_PAUSE)?.max(1).into()),
            },
            last_auth: !settings.is_set(&users::NOLASTAUTH)?,
            relay_seconds: 60 * i64::from(number(&users::RELAY_CLEAR_MINUTES)?),
            hash: directory::password::Method::parse(&method).unwrap_or_default(),
            extensions: settings.variable("QMAIL_EXT").is_some(),
            limits_everywhere: settings.is_set(&users::DOMAIN_LIMITS)?,
            relay_minutes: match settings.integer(&users::OPEN_SMTP)? {
                1 => Some(number(&users::RELAY_CLEAR_MINUTES)?),
                _ => None,
            },
            welcome: text(&users::WELCOMEMAIL)?,
            activation: text(&users::ACTIVATEMAIL)?,
            default_domain: default_domain.to_lowercase(),
            domains: Domains::at(&home.users())
                .with_overrides(&text(&users::REAL_DOMAINS)?, &text(&users::ALIAS_DOMAINS)?),
        })
    }
}

/// The key behind false salts. It is kept, because salts that change when
/// this program starts again would give false users away.
fn key(path: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    match std::fs::read(path) {
        Ok(bytes) if bytes.len() == KEY_BYTES => {
            key.copy_from_slice(&bytes);
            return Ok(key);
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    os::clock::fill_random(key.as_mut_slice());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, key.as_slice())?;
    Ok(key)
}

/// What is behind these locks is whole at every moment.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
