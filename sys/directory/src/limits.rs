//! What a domain may have, and what its users may do (table `vlimits`,
//! virtual-domains.md §16.1).

use crate::sql::{Failed, Row, Session, Value, values};
use crate::user::flags;
use crate::{Directory, Error, value};

/// No limit of a number, or no date.
pub const UNLIMITED: i64 = -1;

/// The columns after the key.
const COLUMNS: [&str; 25] = [
    "domain_expiry",
    "passwd_expiry",
    "maxpopaccounts",
    "maxaliases",
    "maxforwards",
    "maxautoresponders",
    "maxmailinglists",
    "diskquota",
    "maxmsgcount",
    "defaultquota",
    "defaultmaxmsgcount",
    "disable_pop",
    "disable_imap",
    "disable_dialup",
    "disable_passwordchanging",
    "disable_webmail",
    "disable_relay",
    "disable_smtp",
    "perm_account",
    "perm_alias",
    "perm_forward",
    "perm_autoresponder",
    "perm_maillist",
    "perm_quota",
    "perm_defaultquota",
];

/// One row. A row of a user goes before that of its domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// When the domain ends, Unix time; -1 never.
    pub domain_expiry: i64,
    /// When its passwords end, Unix time; -1 never.
    pub password_expiry: i64,
    /// Most users; here and below -1 is no limit.
    pub accounts: i64,
    /// Most names that lead to users of the domain.
    pub aliases: i64,
    /// Most names that lead elsewhere.
    pub forwards: i64,
    /// Most users that answer by themselves.
    pub autoresponders: i64,
    /// Most mailing lists.
    pub mailing_lists: i64,
    /// Bytes of all users together; here and below 0 is no limit.
    pub disk_quota: i64,
    /// Messages of all users together.
    pub messages: i64,
    /// Bytes of a user created without a quota.
    pub default_quota: i64,
    /// Messages of such a user.
    pub default_messages: i64,
    /// What nobody may: POP3, IMAP, dial-up, changing passwords, webmail,
    /// relaying, SMTP.
    pub disabled: [bool; 7],
    /// What administrators of the domain may not, in the order of the
    /// columns; the fifth holds three fields of three bits.
    pub permissions: [i64; 7],
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domain_expiry: UNLIMITED,
            password_expiry: UNLIMITED,
            accounts: UNLIMITED,
            aliases: UNLIMITED,
            forwards: UNLIMITED,
            autoresponders: UNLIMITED,
            mailing_lists: UNLIMITED,
            disk_quota: 0,
            messages: 0,
            default_quota: 0,
            default_messages: 0,
            disabled: [false; 7],
            permissions: [0; 7],
        }
    }
}

/// The flag of each column `disable_…`.
const DISABLED_FLAGS: [u32; 7] = [
    flags::NO_POP,
    flags::NO_IMAP,
    flags::NO_DIALUP,
    flags::NO_PASSWD_CHNG,
    flags::NO_WEBMAIL,
    flags::NO_RELAY,
    flags::NO_SMTP,
];

impl Limits {
    /// Account flags that every user has by them (§16.2).
    pub fn flags(&self) -> u32 {
        let set = self.disabled.iter().zip(DISABLED_FLAGS);
        set.filter(|(is_set, _)| **is_set)
            .map(|(_, flag)| flag)
            .sum()
    }

    /// The same, with these flags: others stay as they are.
    pub fn set_flags(&mut self, set: u32) {
        for (disabled, flag) in self.disabled.iter_mut().zip(DISABLED_FLAGS) {
            *disabled = set & flag != 0;
        }
    }

    /// Why nobody may log in any more, if so.
    pub fn expired(&self, now: i64) -> Option<&'static str> {
        let over = |expiry: i64| expiry != UNLIMITED && expiry <= now;
        if over(self.domain_expiry) {
            Some("the domain has expired")
        } else if over(self.password_expiry) {
            Some("the password has expired")
        } else {
            None
        }
    }

    /// The quota text of a user created without one; `None` when there is no
    /// limit.
    pub fn quota(&self) -> Option<crate::Quota> {
        let positive = |number: i64| u64::try_from(number).ok().filter(|n| 0 < *n);
        let quota = crate::Quota {
            bytes: positive(self.default_quota),
            messages: positive(self.default_messages),
        };
        (quota != crate::Quota::default()).then_some(quota)
    }

    fn numbers(&self) -> [i64; 25] {
        let mut all = [0; 25];
        all[..11].copy_from_slice(&[
            self.domain_expiry,
            self.password_expiry,
            self.accounts,
            self.aliases,
            self.forwards,
            self.autoresponders,
            self.mailing_lists,
            self.disk_quota,
            self.messages,
            self.default_quota,
            self.default_messages,
        ]);
        for (number, disabled) in all[11..].iter_mut().zip(self.disabled) {
            *number = disabled.into();
        }
        all[18..].copy_from_slice(&self.permissions);
        all
    }

    fn of(row: &Row) -> Self {
        let at = |column| row.integer(column);
        Self {
            domain_expiry: at(0),
            password_expiry: at(1),
            accounts: at(2),
            aliases: at(3),
            forwards: at(4),
            autoresponders: at(5),
            mailing_lists: at(6),
            disk_quota: at(7),
            messages: at(8),
            default_quota: at(9),
            default_messages: at(10),
            disabled: std::array::from_fn(|n| at(11 + n) != 0),
            permissions: std::array::from_fn(|n| at(18 + n)),
        }
    }
}

impl Directory {
    /// The row of a domain, or of `user@domain`.
    pub fn limits(&self, key: &str) -> Result<Option<Limits>, Error> {
        let key = key.to_lowercase();
        self.read(|session| find(session, &key))
    }

    /// What holds for a user: its own row, else that of its domain.
    pub fn limits_of(&self, name: &str, domain: &str) -> Result<Option<Limits>, Error> {
        match self.limits(&format!("{name}@{domain}"))? {
            None => self.limits(domain),
            own => Ok(own),
        }
    }

    /// Writes a row.
    pub fn set_limits(&self, key: &str, limits: &Limits) -> Result<(), Error> {
        value::check_text("domain", key, value::DOMAIN_BYTES_MAX)?;
        let names = COLUMNS.join(", ");
        let places = ["?"; COLUMNS.len()].join(", ");
        let statement = format!(
            "REPLACE INTO vlimits (domain, {names}, timestamp)
             VALUES (?, {places}, FROM_UNIXTIME(?))"
        );
        let mut row = vec![Value::from(key)];
        row.extend(limits.numbers().map(Value::from));
        row.push(os::clock::unix_seconds().into());
        self.write(|session| session.execute(&statement, &row).map(drop))
    }

    /// Deletes a row; `false` when there is none.
    pub fn delete_limits(&self, key: &str) -> Result<bool, Error> {
        self.write(|session| {
            let deleted = session.execute("DELETE FROM vlimits WHERE domain = ?", values![key])?;
            Ok(0 < deleted)
        })
    }
}

fn find(session: &mut dyn Session, key: &str) -> Result<Option<Limits>, Failed> {
    let statement = format!(
        "SELECT {} FROM vlimits WHERE domain = ?",
        COLUMNS.join(", ")
    );
    Ok(session
        .first(&statement, values![key])?
        .map(|row| Limits::of(&row)))
}

/// Refuses one more user where the domain has as many as it may have. The row
/// is locked until the transaction ends: nobody is counted twice.
pub(crate) fn check_accounts(session: &mut dyn Session, domain: &str) -> Result<(), Failed> {
    let statement = format!(
        "SELECT maxpopaccounts FROM vlimits WHERE domain = ?{}",
        session.dialect().for_update()
    );
    let row = session.first(&statement, values![domain])?;
    let allowed = row.map_or(UNLIMITED, |row| row.integer(0));
    let Ok(allowed) = u64::try_from(allowed) else {
        return Ok(());
    };
    if crate::tables::user::count(session, domain)? < allowed {
        return Ok(());
    }
    Err(Error::Limit {
        domain: domain.to_owned(),
        what: "users",
        allowed,
    }
    .into())
}
