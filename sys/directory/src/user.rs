//! A virtual user, as one row of `indimail` or `indibak` holds it.

use std::fmt;
use std::path::PathBuf;

/// What an account may not do, and other marks (column `pw_gid`,
/// virtual-domains.md §5.1).
pub mod flags {
    /// The user may not change the password.
    pub const NO_PASSWD_CHNG: u32 = 0x01;
    /// POP3 login is refused.
    pub const NO_POP: u32 = 0x02;
    /// Webmail login is refused.
    pub const NO_WEBMAIL: u32 = 0x04;
    /// IMAP login is refused.
    pub const NO_IMAP: u32 = 0x08;
    /// The mailbox is over quota; mail is refused until there is room.
    pub const BOUNCE_MAIL: u32 = 0x10;
    /// Authenticated SMTP does not allow relaying.
    pub const NO_RELAY: u32 = 0x20;
    /// Informational.
    pub const NO_DIALUP: u32 = 0x40;
    /// Administrator of the domain.
    pub const QA_ADMIN: u32 = 0x80;
    /// SMTP AUTH is refused.
    pub const NO_SMTP: u32 = 0x100;
    /// Free for the site.
    pub const V_USER0: u32 = 0x200;
    /// Free for the site.
    pub const V_USER1: u32 = 0x400;
    /// Free for the site.
    pub const V_USER2: u32 = 0x800;
    /// Free for the site.
    pub const V_USER3: u32 = 0x1000;
    /// Limits of the domain do not apply.
    pub const V_OVERRIDE: u32 = 0x2000;
}

/// State `pw_uid` of every user outside a cluster (virtual-domains.md §5.2).
pub const UID_IN_STEP: i32 = 1;

/// A virtual user.
#[derive(Clone, Eq, PartialEq)]
pub struct User {
    /// Local part, lower case.
    pub name: String,
    /// Real domain, lower case.
    pub domain: String,
    /// The crypt string.
    pub password_hash: String,
    /// Bits of [`flags`].
    pub gid_flags: u32,
    /// Full name or remark.
    pub gecos: String,
    /// Home directory; authoritative, never computed again.
    pub dir: PathBuf,
    /// Quota text; see [`crate::Quota`].
    pub quota: String,
    /// Secrets for SCRAM and CRAM; see [`crate::secret`].
    pub scram: Option<String>,
    /// In `indimail` and not in `indibak`.
    pub active: bool,
    /// State in a cluster (`pw_uid`).
    pub uid_state: i32,
}

impl User {
    /// `user@domain`.
    pub fn address(&self) -> String {
        format!("{}@{}", self.name, self.domain)
    }

    /// The mailbox.
    pub fn maildir(&self) -> PathBuf {
        self.dir.join("Maildir")
    }

    /// Says whether any of these [`flags`] is set.
    pub fn has(&self, flags: u32) -> bool {
        self.gid_flags & flags != 0
    }
}

/// Leaves the secrets out.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("gid_flags", &self.gid_flags)
            .field("gecos", &self.gecos)
            .field("dir", &self.dir)
            .field("quota", &self.quota)
            .field("active", &self.active)
            .field("uid_state", &self.uid_state)
            .finish_non_exhaustive()
    }
}

/// Something that happened to an account, one row per service in `lastauth`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastAuth {
    /// `add`, `pass`, `ACTI`, `INAC`, `pop3`, `imap`, `webm` or `deli`.
    pub service: String,
    /// From which address.
    pub remote_ip: String,
    /// Usage in bytes at that time.
    pub usage: i64,
    /// When, seconds since 1970.
    pub time: i64,
}

/// One line of an alias.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alias {
    /// Local part.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// `&address`, `/path/Maildir/` or `| command`.
    pub line: String,
}
