//! What can go wrong with a database.

use std::path::PathBuf;

use crate::sql::Source;

/// Why a question about users has no answer, or a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no database yet.
    #[error("no user database at {place}; `vadddomain` or `indimail quickstart` creates it")]
    Missing {
        /// Where it should be.
        place: String,
    },
    /// The file is not a database, is cut short, or lacks our tables.
    #[error(
        "user database {place} is damaged ({what}); restore it from a backup or move it out of the way"
    )]
    Damaged {
        /// Which one.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// A newer program has migrated it.
    #[error(
        "user database {place} has schema {found}, this program knows up to {known}; upgrade the program"
    )]
    Newer {
        /// Which one.
        place: String,
        /// Its schema.
        found: i64,
        /// Schema of this program.
        known: i64,
    },
    /// It could not be opened, read or written now.
    #[error("cannot use user database {place}")]
    Database {
        /// Which one.
        place: String,
        /// Why not.
        source: Source,
    },
    /// Somebody else changes the tables, or moves the users, for too long.
    #[error("{place} is being moved or renamed; try again when that is done")]
    Moving {
        /// Which one.
        place: String,
    },
    /// What should name a database server does not.
    #[error("cannot understand {path}")]
    Server {
        /// The control file; the variable in front of it may be to blame.
        path: PathBuf,
        /// Why not.
        source: crate::BadServer,
    },
    /// A file or directory beside the database could not be used.
    #[error("cannot use {path}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The user is there already.
    #[error("username {0} exists")]
    Exists(String),
    /// A value does not fit its column, or has a byte it must not have.
    #[error("{field} {problem}")]
    Value {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The domain may not have one more.
    #[error("domain {domain} has as many {what} as its limits allow: {allowed}")]
    Limit {
        /// Which domain.
        domain: String,
        /// Of what.
        what: &'static str,
        /// How many.
        allowed: u64,
    },
    /// A file that lists users or domains cannot be understood.
    #[error("bad format in {path}{}", line.map(|n| format!(" line {n}")).unwrap_or_default())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: Option<usize>,
    },
}

impl Error {
    /// Says whether a table is not there on a server.
    pub(crate) fn is_missing_table(&self) -> bool {
        const NO_SUCH_TABLE: u16 = 1146;
        let Self::Database {
            source: Source::Mysql(mysql::Error::MySqlError(error)),
            ..
        } = self
        else {
            return false;
        };
        error.code == NO_SUCH_TABLE
    }

    /// Says whether trying again later may help; only refused values and
    /// existing users are permanent.
    pub fn is_temporary(&self) -> bool {
        !matches!(
            self,
            Self::Exists(_) | Self::Value { .. } | Self::Limit { .. }
        )
    }
}
