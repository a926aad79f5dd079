//! What delivery asks the directory of virtual users.

use std::path::PathBuf;

/// The directory could not answer. Always temporary: an outage must never
/// look like "no such user".
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsersError(pub String);

/// A virtual user.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    /// Name, in lower case.
    pub name: String,
    /// Real domain.
    pub domain: String,
    /// The flags of virtual-domains.md §5.1.
    pub gid_flags: u32,
    /// Full name, or `MailGroup ...`.
    pub gecos: String,
    /// Home directory, the parent of `Maildir`.
    pub dir: PathBuf,
    /// Quota text.
    pub quota: String,
    /// Inactive users get no mail.
    pub active: bool,
}

impl User {
    /// Flag: the mailbox is over quota and refuses mail until it shrinks.
    pub const BOUNCE_MAIL: u32 = 0x10;

    /// `name@domain`.
    pub fn address(&self) -> String {
        format!("{}@{}", self.name, self.domain)
    }
}

/// Finds virtual users.
pub trait Users {
    /// A user of a real domain, active or not.
    fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError>;

    /// The alias lines of an address; none when it has no alias.
    fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError>;

    /// The filter rules of a name in a real domain.
    fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError>;

    /// The domain an alias domain stands for; `None` when the domain is not
    /// one of ours.
    fn real_domain(&self, domain: &str) -> Result<Option<String>, UsersError>;

    /// Sets [`User::BOUNCE_MAIL`], with the bytes in use, or clears it.
    fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError>;

    /// Notes that mail was delivered to a group.
    fn record_delivery(&self, user: &User) -> Result<(), UsersError>;
}

/// A directory that always fails, for programs that must not ask one.
#[derive(Clone, Copy, Debug)]
pub struct NoUsers;

impl NoUsers {
    fn error<T>() -> Result<T, UsersError> {
        Err(UsersError("no directory of users here".to_owned()))
    }
}

impl Users for NoUsers {
    fn find_user(&self, _: &str, _: &str) -> Result<Option<User>, UsersError> {
        Self::error()
    }

    fn aliases(&self, _: &str, _: &str) -> Result<Vec<String>, UsersError> {
        Self::error()
    }

    fn filters(&self, _: &str, _: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        Self::error()
    }

    fn real_domain(&self, _: &str) -> Result<Option<String>, UsersError> {
        Self::error()
    }

    fn set_over_quota(&self, _: &User, _: Option<u64>) -> Result<(), UsersError> {
        Self::error()
    }

    fn record_delivery(&self, _: &User) -> Result<(), UsersError> {
        Self::error()
    }
}
