//! Domains and users in SQL, and how their passwords are checked.
//!
//! [`Directory`] answers questions about users and changes them; [`Domains`]
//! knows which domains are ours; [`assign`] writes the table that knows it.
//! The database is SQLite for one host, or MySQL/MariaDB for many; the
//! statements are the same ([`Location`] says which).
//!
//! A question that cannot be answered is an [`Error`], never "no such user":
//! the one turns mail away for good, the other only for now.
//!
//! Nothing here decides who may ask; secrets leave this crate only inside
//! [`User`], whose `Debug` leaves them out.

pub mod administrator;
pub mod app_password;
pub mod assign;
pub mod bulletin;
pub mod copy;
pub mod domains;
mod error;
pub mod home;
pub mod limits;
pub mod list;
mod location;
mod moving;
mod mysql;
pub mod password;
mod placement;
mod quota;
mod schema;
pub mod secret;
mod sql;
mod sqlite;
mod tables;
pub mod tree;
mod user;
pub mod value;

use std::path::{Path, PathBuf};

use administrator::{Administrator, Privilege, Token};
use app_password::AppPassword;
pub use domains::{Domains, VirtualDomain};
pub use error::Error;
pub use limits::Limits;
pub use location::{Central, Location};
pub use moving::Moving;
use mysql::Mysql;
pub use mysql::{BadServer, Fallback, Server, Tls};
pub use placement::{MountTag, Placement};
pub use quota::{BadQuota, Quota};
use sql::{Database, Dialect, Failed, Session};
pub use sql::{Source, Value as Cell};
use sqlite::Sqlite;
pub use tables::counters::State as TreeState;
use tables::counters::{self, Tree};
use tables::{
    administrator as administrator_rows, alias as alias_rows, app_password as app_rows,
    auth as auth_rows, domain as domain_rows, filter as filter_rows, user as user_rows,
};
pub use user::{Alias, LastAuth, Mechanisms, UID_IN_STEP, User, flags};

/// The users of this installation. May be shared between threads.
pub struct Directory {
    database: Box<dyn Database>,
    dialect: Dialect,
}

/// Reads all of a user database and says what is wrong with it, if anything.
pub fn quick_check(path: &Path) -> Result<(), Error> {
    Sqlite::quick_check(path)
}

/// Users that are read at once.
const PAGE_USERS: u32 = 1000;

impl Directory {
    /// Opens an existing database for reading and writing. A server is
    /// connected to at the first question.
    pub fn open_at(location: &Location) -> Result<Self, Error> {
        match location {
            Location::File(path) => Self::open(path),
            Location::Server(server) => Ok(Self {
                database: Box::new(Mysql::at(server.clone())),
                dialect: Dialect::Mysql,
            }),
        }
    }

    /// Makes an empty database when there is none, and opens it.
    pub fn create_at(location: &Location) -> Result<Self, Error> {
        match location {
            Location::File(path) => Self::create(path),
            Location::Server(server) => Ok(Self {
                database: Box::new(Mysql::create(server.clone())?),
                dialect: Dialect::Mysql,
            }),
        }
    }

    /// Opens the database that the hosts of a cluster share; tables it lacks
    /// are made, but none of users.
    pub fn central(server: &Server) -> Self {
        Self {
            database: Box::new(Mysql::central(server.clone())),
            dialect: Dialect::Mysql,
        }
    }

    /// Opens an existing file for reading and writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(Sqlite::open(path)?))
    }

    /// Opens an existing file for reading.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(Sqlite::open_read_only(path)?))
    }

    /// Makes an empty file when there is none, and opens it. Its directory
    /// must exist.
    pub fn create(path: &Path) -> Result<Self, Error> {
        Sqlite::create(path)?;
        Self::open(path)
    }

    fn of(file: Sqlite) -> Self {
        Self {
            database: Box::new(file),
            dialect: Dialect::Sqlite,
        }
    }

    /// Where the database is, without its password.
    pub fn place(&self) -> String {
        self.database.place()
    }

    /// The version of its tables, and the one this program knows.
    pub fn schema(&self) -> Result<(i64, i64), Error> {
        Ok((self.database.version()?, schema::known()))
    }

    /// Moves the tables to a version, up or down; returns the one they had.
    /// Going down drops what later versions added; below the first version
    /// there is nothing to go to.
    pub fn migrate_schema(&self, to: i64) -> Result<i64, Error> {
        if !(schema::LOWEST..=schema::known()).contains(&to) {
            return Err(Error::Value {
                field: "schema",
                problem: format!("is not {} to {}", schema::LOWEST, schema::known()),
            });
        }
        self.database.migrate(to)
    }

    /// One user of a real domain, active or not. Names are folded to lower
    /// case; a name that does not fit its column is nobody's.
    pub fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.read(|s| user_rows::find(s, &name, &domain)),
            None => Ok(None),
        }
    }

    /// The users of a domain in the order of their names. Their number has no
    /// bound: what only looks at each uses [`Directory::each_user`].
    pub fn users(&self, domain: &str) -> Result<Vec<User>, Error> {
        let mut users = Vec::new();
        self.each_user(domain, |user| {
            users.push(user);
            Ok(())
        })?;
        Ok(users)
    }

    /// Looks at the users of a domain in the order of their names, some at a
    /// time.
    pub fn each_user<E: From<Error>>(
        &self,
        domain: &str,
        mut look: impl FnMut(User) -> Result<(), E>,
    ) -> Result<(), E> {
        let domain = domain.to_lowercase();
        let mut after = String::new();
        loop {
            let page = self.read(|s| user_rows::list(s, &domain, &after, PAGE_USERS))?;
            let full = page.len() == PAGE_USERS as usize;
            if let Some(last) = page.last() {
                after = last.name.clone();
            }
            page.into_iter().try_for_each(&mut look)?;
            if !full {
                return Ok(());
            }
        }
    }

    /// How many users a domain has.
    pub fn count_users(&self, domain: &str) -> Result<u64, Error> {
        let domain = domain.to_lowercase();
        self.read(|s| user_rows::count(s, &domain))
    }

    /// Adds a user; returns it with its home directory, which does not exist
    /// yet on disk. Check the name with [`value::check_new_user`] before.
    pub fn add_user(&self, user: &User, placement: &Placement) -> Result<User, Error> {
        value::check_user(user)?;
        self.define_tree(&user.name, &user.domain, Some(placement))?;
        let now = os::clock::unix_seconds();
        self.write(|s| user_rows::add(s, user, placement, now))
    }

    /// The same, unless the domain has as many users as its limits allow.
    pub fn add_user_within_limits(
        &self,
        user: &User,
        placement: &Placement,
    ) -> Result<User, Error> {
        value::check_user(user)?;
        self.define_tree(&user.name, &user.domain, Some(placement))?;
        let now = os::clock::unix_seconds();
        self.write(|s| {
            limits::check_accounts(s, &user.domain)?;
            user_rows::add(s, user, placement, now)
        })
    }

    /// Writes everything about a user but its name and home; `false` when
    /// there is no such user. Use [`Directory::change_flags`] for flags alone.
    pub fn update_user(&self, user: &User) -> Result<bool, Error> {
        value::check_user(user)?;
        let now = os::clock::unix_seconds();
        self.write(|s| user_rows::update(s, user, now))
    }

    /// Adds users, as many as it can in one transaction: each by itself is
    /// added or refused. An error means that none was.
    pub fn add_users(
        &self,
        users: &[User],
        placement: &Placement,
        remote_ip: &str,
    ) -> Result<Vec<Result<User, Error>>, Error> {
        for user in users {
            self.define_tree(&user.name, &user.domain, Some(placement))?;
        }
        let now = os::clock::unix_seconds();
        self.write(|session| {
            let add = |user: &User| {
                if let Err(error) = value::check_user(user) {
                    return Ok(Err(error));
                }
                session.command("SAVEPOINT one_user")?;
                match user_rows::add(session, user, placement, now) {
                    Ok(added) => {
                        auth_rows::record(session, &added, &event("add", remote_ip, 0))?;
                        session.command("RELEASE SAVEPOINT one_user")?;
                        Ok(Ok(added))
                    }
                    Err(Failed::Told(error @ (Error::Exists(_) | Error::Value { .. }))) => {
                        // The place it was counted for is free again.
                        session.command("ROLLBACK TO SAVEPOINT one_user")?;
                        session.command("RELEASE SAVEPOINT one_user")?;
                        Ok(Err(error))
                    }
                    Err(failed) => Err(failed),
                }
            };
            users.iter().map(add).collect()
        })
    }

    /// Gives a user another name, with everything stored under the old one,
    /// passwords and aliases included. The home stays where it is: move it to
    /// the directory that is returned beside the user, then tell
    /// [`Directory::move_home`]. `None` when there is no such user.
    pub fn rename_user(
        &self,
        old: &User,
        (name, domain): (&str, &str),
        (from, to): (&Placement, &Placement),
    ) -> Result<Option<(User, PathBuf)>, Error> {
        value::check_user(&User {
            name: name.to_owned(),
            domain: domain.to_owned(),
            ..old.clone()
        })?;
        self.define_tree(&old.name, &old.domain, Some(from))?;
        self.define_tree(name, domain, Some(to))?;
        let now = os::clock::unix_seconds();
        self.write(|s| user_rows::rename(s, old, (name, domain), (from, to), now))
    }

    /// Says that a home is somewhere else now. The files are the caller's.
    pub fn move_home(&self, user: &User, new: &Path) -> Result<bool, Error> {
        let now = os::clock::unix_seconds();
        self.write(|s| user_rows::move_home(s, &user.name, &user.domain, new, now))
    }

    /// Sets and clears account flags in one step.
    pub fn change_flags(&self, user: &User, set: u32, clear: u32) -> Result<bool, Error> {
        self.write(|s| user_rows::change_flags(s, &user.name, &user.domain, set, clear))
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
        self.write(|s| user_rows::replace_hash(s, user, hash, scram))
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
        let Some((name, domain)) = folded(local, domain) else {
            return Ok(None);
        };
        self.define_tree(&name, &domain, placement)?;
        self.write(|s| user_rows::delete(s, &name, &domain, placement))
    }

    /// How far the trees of homes of a domain have grown, one entry a tree in
    /// use.
    pub fn trees(&self, domain: &str) -> Result<Vec<TreeState>, Error> {
        let domain = domain.to_lowercase();
        self.read(|s| counters::states(s, &domain))
    }

    /// Lets the trees of a domain grow from the beginning again; homes stay
    /// where they are.
    pub fn reset_trees(&self, domain: &str) -> Result<(), Error> {
        let domain = domain.to_lowercase();
        self.write(|s| counters::reset(s, &domain))
    }

    /// Takes the next directory for the home of a user that exists, as for a
    /// new one; `frees` gives the old one back. Move the home there and tell
    /// [`Directory::move_home`].
    pub fn next_home(
        &self,
        user: &User,
        placement: &Placement,
        frees: bool,
    ) -> Result<PathBuf, Error> {
        self.define_tree(&user.name, &user.domain, Some(placement))?;
        let now = os::clock::unix_seconds();
        self.write(|s| {
            let next = user_rows::next_home(s, &user.name, &user.domain, placement, now)?;
            if let (true, Placement::Tree { base, mount, .. }) = (frees, placement) {
                let tree = Tree::of(&user.name, &user.domain, mount);
                counters::free(s, user, base, &tree)?;
            }
            Ok(next)
        })
    }

    /// Gives a domain another name in every table. Homes are moved by the
    /// caller; `moved` says where a directory is afterwards.
    pub fn rename_domain(
        &self,
        old: &str,
        new: &str,
        moved: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Result<(), Error> {
        value::check_new_domain(new)?;
        let (old, new) = (old.to_lowercase(), new.to_lowercase());
        let now = os::clock::unix_seconds();
        self.write(|s| domain_rows::rename(s, &old, &new, &moved, now))
    }

    /// Deletes every row of a domain.
    pub fn delete_domain(&self, domain: &str) -> Result<(), Error> {
        let domain = domain.to_lowercase();
        self.write(|s| domain_rows::delete(s, &domain))
    }

    /// The delivery lines of an alias, oldest first; empty when there is none.
    pub fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.read(|s| alias_rows::lines(s, &name, &domain)),
            None => Ok(Vec::new()),
        }
    }

    /// All alias lines of a domain.
    pub fn domain_aliases(&self, domain: &str) -> Result<Vec<Alias>, Error> {
        let domain = domain.to_lowercase();
        self.read(|s| alias_rows::lines_of_domain(s, &domain))
    }

    /// The alias lines that forward to an address.
    pub fn aliases_to(&self, address: &str) -> Result<Vec<Alias>, Error> {
        let address = address.to_lowercase();
        let lines = [format!("&{address}"), address];
        self.read(|s| alias_rows::with_line(s, &[&lines[0], &lines[1]]))
    }

    /// Adds a delivery line; `false` when it is there already.
    pub fn add_alias(&self, alias: &Alias) -> Result<bool, Error> {
        check_alias(alias)?;
        self.write(|s| alias_rows::insert(s, alias))
    }

    /// Deletes a delivery line; `false` when there is none.
    pub fn delete_alias(&self, alias: &Alias) -> Result<bool, Error> {
        self.write(|s| alias_rows::delete(s, alias))
    }

    /// Replaces a delivery line; `false` when there is none.
    pub fn replace_alias(&self, old: &Alias, new_line: &str) -> Result<bool, Error> {
        value::check_line(new_line)?;
        self.write(|s| alias_rows::replace(s, old, new_line))
    }

    /// The filter rules of an address, in their order. Those of a domain are
    /// of its names `prefilt` and `postfilt`.
    pub fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, Error> {
        match folded(local, domain) {
            Some((name, domain)) => self.read(|s| filter_rows::of(s, &format!("{name}@{domain}"))),
            None => Ok(Vec::new()),
        }
    }

    /// Adds a filter rule, but for its number, and says which that is; `None`
    /// when there is one that does the same.
    pub fn add_filter(&self, address: &str, rule: &vfilter::Row) -> Result<Option<i64>, Error> {
        value::check_filter(address, rule)?;
        self.write(|s| filter_rows::insert(s, address, rule))
    }

    /// Replaces the filter rule of the same number; `false` when there is
    /// none.
    pub fn replace_filter(&self, address: &str, rule: &vfilter::Row) -> Result<bool, Error> {
        value::check_filter(address, rule)?;
        self.write(|s| filter_rows::replace(s, address, rule))
    }

    /// Deletes a filter rule; `false` when there is none.
    pub fn delete_filter(&self, address: &str, number: i64) -> Result<bool, Error> {
        self.write(|s| filter_rows::delete(s, address, number))
    }

    /// Records a login or another event, now.
    pub fn record_auth(
        &self,
        user: &User,
        service: &str,
        remote_ip: &str,
        usage: u64,
    ) -> Result<(), Error> {
        let auth = event(service, remote_ip, usage);
        self.write(|s| auth_rows::record(s, user, &auth))
    }

    /// What was recorded for a user, one entry a service.
    pub fn last_auth(&self, user: &User) -> Result<Vec<LastAuth>, Error> {
        self.read(|s| auth_rows::events(s, &user.name, &user.domain))
    }

    /// Marks a mailbox over quota: its mail is refused until
    /// [`Directory::clear_over_quota`].
    pub fn mark_over_quota(&self, user: &User, usage: u64) -> Result<(), Error> {
        let now = os::clock::unix_seconds();
        self.write(|s| auth_rows::mark_over_quota(s, &user.name, &user.domain, usage, now))
    }

    /// Takes that mark away.
    pub fn clear_over_quota(&self, user: &User) -> Result<(), Error> {
        self.write(|s| auth_rows::clear_over_quota(s, &user.name, &user.domain))
    }

    /// The passwords for single programs of a user; none in a database that
    /// somebody else made and we may not add to.
    pub fn app_passwords(&self, user: &User) -> Result<Vec<AppPassword>, Error> {
        match self.read(|s| app_rows::list(s, user)) {
            Err(error) if error.is_missing_table() => Ok(Vec::new()),
            other => other,
        }
    }

    /// Adds one; `false` when its name is taken.
    pub fn add_app_password(&self, user: &User, new: &AppPassword) -> Result<bool, Error> {
        value::check_name("name", &new.name, app_password::NAME_BYTES_MAX)?;
        if app_password::COUNT_MAX <= self.app_passwords(user)?.len() {
            return Err(Error::Value {
                field: "user",
                problem: format!("has {} of them already", app_password::COUNT_MAX),
            });
        }
        self.write(|s| app_rows::insert(s, user, new))
    }

    /// Takes one back; `false` when there is none.
    pub fn delete_app_password(&self, user: &User, name: &str) -> Result<bool, Error> {
        self.write(|s| app_rows::delete(s, user, name))
    }

    /// Notes that one was used, now.
    pub fn record_app_password(&self, user: &User, name: &str) -> Result<(), Error> {
        let now = os::clock::unix_seconds();
        self.write(|s| app_rows::used(s, user, name, now))
    }

    /// Somebody who may administer from afar.
    pub fn administrator(&self, name: &str) -> Result<Option<Administrator>, Error> {
        if value::check_name("administrator", name, administrator::NAME_BYTES_MAX).is_err() {
            return Ok(None);
        }
        self.read(|s| administrator_rows::find(s, name))
    }

    /// Counts a try before its password is looked at; says whether there are
    /// still tries left today. Counted first, so that many tries at once are
    /// not more tries.
    pub fn count_attempt(&self, name: &str, day: &str) -> Result<bool, Error> {
        self.write(|s| administrator_rows::count_attempt(s, name, day))
    }

    /// Notes that an administrator came in, now.
    pub fn record_access(&self, name: &str) -> Result<(), Error> {
        let now = os::clock::unix_seconds();
        self.write(|s| administrator_rows::record_access(s, name, now))
    }

    /// What an administrator may run.
    pub fn privileges(&self, administrator: &str) -> Result<Vec<Privilege>, Error> {
        self.read(|s| administrator_rows::privileges(s, administrator))
    }

    /// The tokens of an administrator.
    pub fn tokens(&self, administrator: &str) -> Result<Vec<Token>, Error> {
        self.read(|s| administrator_rows::tokens(s, administrator))
    }

    /// Adds one; `false` when its name is taken.
    pub fn add_token(&self, administrator: &str, new: &Token) -> Result<bool, Error> {
        value::check_name("name", &new.name, administrator::TOKEN_NAME_BYTES_MAX)?;
        self.write(|s| administrator_rows::insert_token(s, administrator, new))
    }

    /// Takes one back; `false` when there is none.
    pub fn delete_token(&self, administrator: &str, name: &str) -> Result<bool, Error> {
        self.write(|s| administrator_rows::delete_token(s, administrator, name))
    }

    /// Whose token this is.
    pub fn owner_of_token(&self, text: &[u8]) -> Result<Option<Administrator>, Error> {
        let Some(digest) = administrator::digest(text) else {
            return Ok(None);
        };
        self.read(|s| administrator_rows::owner_of_token(s, &digest))
    }

    /// Which mechanisms the secrets of active users allow. Reads the whole
    /// table when nobody has one: keep the answer for a while.
    pub fn mechanisms(&self) -> Result<Mechanisms, Error> {
        self.read(user_rows::mechanisms)
    }

    fn read<T>(
        &self,
        mut body: impl FnMut(&mut dyn Session) -> Result<T, Failed>,
    ) -> Result<T, Error> {
        let mut answer = None;
        self.database.read(&mut |session| {
            answer = Some(body(session)?);
            Ok(())
        })?;
        Ok(answer.expect("a database that says yes has asked"))
    }

    fn write<T>(
        &self,
        mut body: impl FnMut(&mut dyn Session) -> Result<T, Failed>,
    ) -> Result<T, Error> {
        let mut answer = None;
        self.database.write(&mut |session| {
            answer = Some(body(session)?);
            Ok(())
        })?;
        Ok(answer.expect("a database that says yes has written"))
    }

    /// The table of counters that a placement needs. Not in the transaction
    /// that uses it: on a server, making a table would end that.
    fn define_tree(
        &self,
        name: &str,
        domain: &str,
        placement: Option<&Placement>,
    ) -> Result<(), Error> {
        match placement {
            Some(Placement::Tree { mount, .. }) => {
                Tree::of(name, domain, mount).define(&*self.database, self.dialect)
            }
            _ => Ok(()),
        }
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

/// Something that happens now.
fn event(service: &str, remote_ip: &str, usage: u64) -> LastAuth {
    LastAuth {
        service: service.to_owned(),
        remote_ip: remote_ip
            .chars()
            .filter(|c| !c.is_control())
            .take(46)
            .collect(),
        usage: i64::try_from(usage).unwrap_or(i64::MAX),
        time: os::clock::unix_seconds(),
    }
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
