//! The site's directory as deliveries see it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directory::Domains;
use run::{Home, Settings};

use crate::rows::Rows;
use crate::users::{User, Users, UsersError};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(2);
/// Most answers kept; beyond that all are forgotten.
const ANSWERS_MAX: usize = 10_000;

type Answers<T> = Mutex<HashMap<(String, String), (Instant, T)>>;

/// A short memory of answers, shared by the threads of a process: a burst of
/// messages to one user asks once. An error is never remembered, nor is "no
/// such user", so that a new user gets mail at once.
#[derive(Default)]
pub struct Recent {
    users: Answers<User>,
    aliases: Answers<Vec<String>>,
    domains: Answers<String>,
}

/// The rows of users and the table of domains.
pub struct DirectoryUsers {
    rows: Rows,
    domains: Domains,
    recent: Arc<Recent>,
}

impl DirectoryUsers {
    /// Opens the database of an installation.
    pub fn open(home: &Home, settings: &Settings, recent: Arc<Recent>) -> Result<Self, UsersError> {
        let variable = |name| {
            let value = settings.variable(name).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let domains = Domains::at(&home.users())
            .with_overrides(&variable("REAL_DOMAINS"), &variable("ALIAS_DOMAINS"));
        Ok(Self {
            rows: Rows::open(home, settings)?,
            domains,
            recent,
        })
    }

    fn forget(&self, user: &User) {
        let key = (user.name.clone(), user.domain.clone());
        lock(&self.recent.users).remove(&key);
    }
}

impl Users for DirectoryUsers {
    fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError> {
        remembered(&self.recent.users, local, domain, || {
            self.rows.find_user(local, domain)
        })
    }

    fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError> {
        // "No alias" is remembered: it is asked for with every message to a
        // user, and an alias made this second need not count at once.
        let lines = remembered(&self.recent.aliases, local, domain, || {
            self.rows.aliases(local, domain).map(Some)
        });
        Ok(lines?.unwrap_or_default())
    }

    fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        self.rows.filters(local, domain)
    }

    fn real_domain(&self, domain: &str) -> Result<Option<String>, UsersError> {
        remembered(&self.recent.domains, "", domain, || {
            self.domains.real(domain).map_err(error)
        })
    }

    fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError> {
        self.forget(user);
        self.rows.set_over_quota(user, usage)
    }

    fn record_delivery(&self, user: &User) -> Result<(), UsersError> {
        self.rows.record_delivery(user)
    }
}

/// A directory opened at the first question, and again when that failed: most
/// deliveries of real users never ask.
pub struct LazyUsers<'a> {
    home: &'a Home,
    settings: &'a Settings,
    recent: Arc<Recent>,
    opened: OnceCell<DirectoryUsers>,
}

impl<'a> LazyUsers<'a> {
    /// The directory of an installation.
    pub fn new(home: &'a Home, settings: &'a Settings, recent: Arc<Recent>) -> Self {
        Self {
            home,
            settings,
            recent,
            opened: OnceCell::new(),
        }
    }

    fn open(&self) -> Result<&DirectoryUsers, UsersError> {
        if let Some(users) = self.opened.get() {
            return Ok(users);
        }
        let users = DirectoryUsers::open(self.home, self.settings, Arc::clone(&self.recent))?;
        Ok(self.opened.get_or_init(|| users))
    }
}

impl Users for LazyUsers<'_> {
    fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError> {
        self.open()?.find_user(local, domain)
    }

    fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError> {
        self.open()?.aliases(local, domain)
    }

    fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        self.open()?.filters(local, domain)
    }

    fn real_domain(&self, domain: &str) -> Result<Option<String>, UsersError> {
        self.open()?.real_domain(domain)
    }

    fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError> {
        self.open()?.set_over_quota(user, usage)
    }

    fn record_delivery(&self, user: &User) -> Result<(), UsersError> {
        self.open()?.record_delivery(user)
    }
}

fn remembered<T: Clone>(
    answers: &Answers<T>,
    local: &str,
    domain: &str,
    ask: impl FnOnce() -> Result<Option<T>, UsersError>,
) -> Result<Option<T>, UsersError> {
    let key = (local.to_owned(), domain.to_owned());
    if let Some((when, answer)) = lock(answers).get(&key)
        && when.elapsed() < FRESH
    {
        return Ok(Some(answer.clone()));
    }
    let answer = ask()?;
    let mut answers = lock(answers);
    if ANSWERS_MAX <= answers.len() {
        answers.clear();
    }
    match &answer {
        Some(new) => drop(answers.insert(key, (Instant::now(), new.clone()))),
        None => drop(answers.remove(&key)),
    }
    Ok(answer)
}

fn lock<T>(answers: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(error: directory::Error) -> UsersError {
    UsersError(error.to_string())
}
