//! What a database has to do for us; one implementation each.

use crate::{Alias, Error, LastAuth, Placement, User};

/// A database of users. Names arrive lower-cased and within the limits of
/// their columns; an implementation binds every value.
///
/// Every method is one transaction.
pub trait Store: Send + Sync {
    /// One user, active or not.
    fn find_user(&self, name: &str, domain: &str) -> Result<Option<User>, Error>;
    /// The users of a domain in the order of their names.
    fn users(&self, domain: &str) -> Result<Vec<User>, Error>;
    /// How many users a domain has.
    fn count_users(&self, domain: &str) -> Result<u64, Error>;
    /// Adds a user; fills in the home directory that the placement says.
    fn add_user(&self, user: &User, placement: &Placement, now: i64) -> Result<User, Error>;
    /// Writes every column but the key and the home; moves the row when
    /// `active` changed. `false` when there is no such user.
    fn update_user(&self, user: &User, now: i64) -> Result<bool, Error>;
    /// Sets and clears account flags in one step.
    fn change_flags(&self, name: &str, domain: &str, set: u32, clear: u32) -> Result<bool, Error>;
    /// Replaces the password when it still is what was checked.
    fn replace_hash(&self, user: &User, hash: &str, scram: Option<&str>) -> Result<bool, Error>;
    /// Deletes a user and everything stored about it; returns what it was.
    fn delete_user(
        &self,
        name: &str,
        domain: &str,
        placement: Option<&Placement>,
    ) -> Result<Option<User>, Error>;
    /// Deletes all rows of a domain.
    fn delete_domain(&self, domain: &str) -> Result<(), Error>;

    /// The lines of an alias, oldest first.
    fn aliases(&self, name: &str, domain: &str) -> Result<Vec<String>, Error>;
    /// All alias lines of a domain.
    fn domain_aliases(&self, domain: &str) -> Result<Vec<Alias>, Error>;
    /// All alias lines with exactly one of these texts.
    fn aliases_with_line(&self, lines: &[&str]) -> Result<Vec<Alias>, Error>;
    /// Adds a line; `false` when it is there already.
    fn add_alias(&self, alias: &Alias, now: i64) -> Result<bool, Error>;
    /// Deletes a line; `false` when there is none.
    fn delete_alias(&self, alias: &Alias) -> Result<bool, Error>;
    /// Replaces a line; `false` when there is none.
    fn replace_alias(&self, old: &Alias, new_line: &str, now: i64) -> Result<bool, Error>;

    /// Records an event of an account; one row per service is kept.
    fn record_auth(&self, user: &User, auth: &LastAuth) -> Result<(), Error>;
    /// The events of an account.
    fn last_auth(&self, name: &str, domain: &str) -> Result<Vec<LastAuth>, Error>;
    /// Marks a user over quota: flag and `userquota` row.
    fn mark_over_quota(&self, name: &str, domain: &str, usage: u64, now: i64) -> Result<(), Error>;
    /// Clears both again.
    fn clear_over_quota(&self, name: &str, domain: &str) -> Result<(), Error>;
    /// Says whether anybody has a secret that allows CRAM.
    fn has_clear_text_secrets(&self) -> Result<bool, Error>;
}
