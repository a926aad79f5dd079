//! The site's directory as deliveries see it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directory::{Domains, Location};
use run::{Home, Settings};

use crate::rows::Rows;
use crate::users::{User, Users, UsersError};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(2);
/// Most open directories kept while nobody asks them; each costs memory.
const IDLE_MAX: usize = 4;
/// Most answers kept; beyond that all are forgotten.
const ANSWERS_MAX: usize = 10_000;

type Answers<T> = Mutex<HashMap<(String, String), (Instant, T)>>;

/// What the threads of a process share: a short memory of answers, so that a
/// burst of messages to one user asks once, and open directories nobody asks
/// at the moment. An error is never remembered, nor is "no such user", so that
/// a new user gets mail at once.
#[derive(Default)]
pub struct Recent {
    users: Answers<User>,
    aliases: Answers<Vec<String>>,
    domains: Answers<String>,
    idle: Mutex<Vec<Opened>>,
}

/// The rows of users and the table of domains.
struct Opened {
    /// Where the users were when it was opened.
    location: Location,
    rows: Rows,
    domains: Domains,
}

impl Opened {
    fn open(home: &Home, settings: &Settings, location: Location) -> Result<Self, UsersError> {
        let variable = |name| {
            let value = settings.variable(name).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let domains = Domains::at(&home.users())
            .with_overrides(&variable("REAL_DOMAINS"), &variable("ALIAS_DOMAINS"));
        Ok(Self {
            rows: Rows::open(home, &location)?,
            location,
            domains,
        })
    }
}

/// The directory of an installation, opened when a question is not answered
/// from memory: most deliveries of real users never ask.
pub struct DirectoryUsers<'a> {
    home: &'a Home,
    settings: &'a Settings,
    recent: Arc<Recent>,
}

impl<'a> DirectoryUsers<'a> {
    /// The directory of an installation.
    pub fn new(home: &'a Home, settings: &'a Settings, recent: Arc<Recent>) -> Self {
        Self {
            home,
            settings,
            recent,
        }
    }

    /// Asks an open directory. One that had trouble is not asked again.
    fn ask<T>(
        &self,
        question: impl FnOnce(&Opened) -> Result<T, UsersError>,
    ) -> Result<T, UsersError> {
        // A site that moved its users has them nowhere else: who is asked
        // where they were would turn new ones away.
        let location = Location::of(self.home, self.settings).map_err(error)?;
        let idle = lock(&self.recent.idle).pop();
        let opened = match idle.filter(|opened| opened.location == location) {
            Some(opened) => opened,
            None => Opened::open(self.home, self.settings, location)?,
        };
        let answer = question(&opened)?;
        let mut idle = lock(&self.recent.idle);
        if idle.len() < IDLE_MAX {
            idle.push(opened);
        }
        Ok(answer)
    }
}

impl Users for DirectoryUsers<'_> {
    fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError> {
        remembered(&self.recent.users, local, domain, || {
            self.ask(|opened| opened.rows.find_user(local, domain))
        })
    }

    fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError> {
        // "No alias" is remembered: it is asked for with every message to a
        // user, and an alias made this second need not count at once.
        let lines = remembered(&self.recent.aliases, local, domain, || {
            self.ask(|opened| opened.rows.aliases(local, domain).map(Some))
        });
        Ok(lines?.unwrap_or_default())
    }

    fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        self.ask(|opened| opened.rows.filters(local, domain))
    }

    fn real_domain(&self, domain: &str) -> Result<Option<String>, UsersError> {
        remembered(&self.recent.domains, "", domain, || {
            self.ask(|opened| opened.domains.real(domain).map_err(error))
        })
    }

    fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError> {
        let key = (user.name.clone(), user.domain.clone());
        lock(&self.recent.users).remove(&key);
        self.ask(|opened| opened.rows.set_over_quota(user, usage))
    }

    fn record_delivery(&self, user: &User) -> Result<(), UsersError> {
        self.ask(|opened| opened.rows.record_delivery(user))
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
