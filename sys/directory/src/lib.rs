//! Domains and users in SQL, and how their passwords are checked.
//!
//! [`Directory`] answers questions about users and changes them; [`Domains`]
//! knows which domains are ours; [`assign`] writes the table that knows it.
//! The database stands behind the trait [`Store`]: SQLite for one host.
//!
//! A question that cannot be answered is an [`Error`], never "no such user":
//! the one turns mail away for good, the other only for now.
//!
//! Nothing here decides who may ask; secrets leave this crate only inside
//! [`User`], whose `Debug` leaves them out.

pub mod assign;
mod domains;
mod error;
pub mod home;
pub mod password;
mod placement;
mod quota;
mod schema;
pub mod secret;
mod sqlite;
mod store;
pub mod tree;
mod user;
pub mod value;

use std::path::Path;

pub use domains::{Domains, VirtualDomain};
pub use error::Error;
pub use placement::{MountTag, Placement};
pub use quota::{BadQuota, Quota};
pub use sqlite::Sqlite;
pub use store::Store;
pub use user::{Alias, LastAuth, Mechanisms, UID_IN_STEP, User, flags};

/// The users of this installation. May be shared between threads.
pub struct Directory {
    store: Box<dyn Store>,
}

/// Reads all of a user database and says what is wrong with it, if anything.
pub fn quick_check(path: &Path) -> Result<(), Error> {
    Sqlite::quick_check(path)
}

impl Directory {
    /// Opens an existing database for reading and writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(Sqlite::open(path)?))
    }

    /// Opens an existing database for reading.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(Sqlite::open_read_only(path)?))
    }

    /// Makes an empty database when there is none, and opens it. Its
    /// directory must exist.
    pub fn create(path: &Path) -> Result<Self, Error> {
        Sqlite::create(path)?;
        Self::open(path)
    }

    /// Wraps any database.
    pub fn of(store: impl Store + 'static) -> Self {
        Self {
            store: Box::new(store),
        }
    }

    /// One user of a real domain, active or not. Names are folded to lower
    /// case; a name that does not fit its column is nobody's.
    pub fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.store.find_user(&name, &domain),
            None => Ok(None),
        }
    }

    /// The users of a domain in the order of their names.
    pub fn users(&self, domain: &str) -> Result<Vec<User>, Error> {
        self.store.users(&domain.to_lowercase())
    }

    /// How many users a domain has.
    pub fn count_users(&self, domain: &str) -> Result<u64, Error> {
        self.store.count_users(&domain.to_lowercase())
    }

    /// The real domain behind a name: itself, or what it is an alias of;
    /// `None` when it is no virtual domain of ours.
    pub fn real_domain(&self, domains: &Domains, domain: &str) -> Result<Option<String>, Error> {
        domains.real(domain)
    }

    /// Adds a user; returns it with its home directory, which does not exist
    /// yet on disk. Check the name with [`value::check_new_user`] before.
    pub fn add_user(&self, user: &User, placement: &Placement) -> Result<User, Error> {
        value::check_user(user)?;
        self.store
            .add_user(user, placement, os::clock::unix_seconds())
    }

    /// Writes everything about a user but its name and home; `false` when
    /// there is no such user. Use [`Directory::change_flags`] for flags alone.
    pub fn update_user(&self, user: &User) -> Result<bool, Error> {
        value::check_user(user)?;
        self.store.update_user(user, os::clock::unix_seconds())
    }

    /// Sets and clears account flags in one step.
    pub fn change_flags(&self, user: &User, set: u32, clear: u32) -> Result<bool, Error> {
        self.store
            .change_flags(&user.name, &user.domain, set, clear)
    }

    /// Replaces a password hash of an obsolete kind, unless the password was
    /// changed in the meantime.
    pub fn replace_hash(
        &self,
        user: &User,
        hash: &str,
        scram: Option<&str>,
    ) -> Result<bool, Error> {
        let mut new = user.clone();
        new.password_hash = hash.to_owned();
        new.scram = scram.map(str::to_owned);
        value::check_user(&new)?;
        self.store.replace_hash(user, hash, scram)
    }

    /// Deletes a user with aliases to and from it, filters and marks; returns
    /// what it was. With the placement its directory becomes free for others.
    /// The files are the caller's.
    pub fn delete_user(
        &self,
        local: &str,
        domain: &str,
        placement: Option<&Placement>,
    ) -> Result<Option<User>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.store.delete_user(&name, &domain, placement),
            None => Ok(None),
        }
    }

    /// Deletes every row of a domain.
    pub fn delete_domain(&self, domain: &str) -> Result<(), Error> {
        self.store.delete_domain(&domain.to_lowercase())
    }

    /// The delivery lines of an alias, oldest first; empty when there is none.
    pub fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.store.aliases(&name, &domain),
            None => Ok(Vec::new()),
        }
    }

    /// All alias lines of a domain.
    pub fn domain_aliases(&self, domain: &str) -> Result<Vec<Alias>, Error> {
        self.store.domain_aliases(&domain.to_lowercase())
    }

    /// The alias lines that forward to an address.
    pub fn aliases_to(&self, address: &str) -> Result<Vec<Alias>, Error> {
        let address = address.to_lowercase();
        self.store
            .aliases_with_line(&[&format!("&{address}"), &address])
    }

    /// Adds a delivery line; `false` when it is there already.
    pub fn add_alias(&self, alias: &Alias) -> Result<bool, Error> {
        check_alias(alias)?;
        self.store.add_alias(alias, os::clock::unix_seconds())
    }

    /// Deletes a delivery line; `false` when there is none.
    pub fn delete_alias(&self, alias: &Alias) -> Result<bool, Error> {
        self.store.delete_alias(alias)
    }

    /// Replaces a delivery line; `false` when there is none.
    pub fn replace_alias(&self, old: &Alias, new_line: &str) -> Result<bool, Error> {
        value::check_line(new_line)?;
        self.store
            .replace_alias(old, new_line, os::clock::unix_seconds())
    }

    /// Records a login or another event, now.
    pub fn record_auth(
        &self,
        user: &User,
        service: &str,
        remote_ip: &str,
        usage: u64,
    ) -> Result<(), Error> {
        let auth = LastAuth {
            service: service.to_owned(),
            remote_ip: remote_ip
                .chars()
                .filter(|c| !c.is_control())
                .take(46)
                .collect(),
            usage: i64::try_from(usage).unwrap_or(i64::MAX),
            time: os::clock::unix_seconds(),
        };
        self.store.record_auth(user, &auth)
    }

    /// What was recorded for a user, one entry a service.
    pub fn last_auth(&self, user: &User) -> Result<Vec<LastAuth>, Error> {
        self.store.last_auth(&user.name, &user.domain)
    }

    /// Marks a mailbox over quota: its mail is refused until
    /// [`Directory::clear_over_quota`].
    pub fn mark_over_quota(&self, user: &User, usage: u64) -> Result<(), Error> {
        let now = os::clock::unix_seconds();
        self.store
            .mark_over_quota(&user.name, &user.domain, usage, now)
    }

    /// Takes that mark away.
    pub fn clear_over_quota(&self, user: &User) -> Result<(), Error> {
        self.store.clear_over_quota(&user.name, &user.domain)
    }

    /// Which mechanisms the secrets of active users allow. Reads the whole
    /// table when nobody has one: keep the answer for a while.
    pub fn mechanisms(&self) -> Result<Mechanisms, Error> {
        self.store.mechanisms()
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

/// Both names as the tables have them.
fn folded(local: &str, domain: &str) -> Option<(String, String)> {
    Some((
        value::fold(local, value::USER_BYTES_MAX)?,
        value::fold(domain, value::DOMAIN_BYTES_MAX)?,
    ))
}

fn check_alias(alias: &Alias) -> Result<(), Error> {
    let key = folded(&alias.name, &alias.domain);
    if key != Some((alias.name.clone(), alias.domain.clone())) {
        return Err(Error::Value {
            field: "alias",
            problem: "is not a lower-case name of at most 40 bytes".to_owned(),
        });
    }
    value::check_line(&alias.line)
}

#[cfg(test)]
mod tests;
