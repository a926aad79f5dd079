//! The embedded database: one file, one host.
//!
//! Write-ahead log, every commit synced, every value bound. The file is made
//! beside its place and linked there once it is whole, so that a file that is
//! empty or lacks its tables is damage and never a fresh start: answering
//! "no such user" from it would bounce everybody's mail.

mod alias;
mod auth;
mod counters;
mod user;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::{Error, schema};

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// A user database in one file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Sqlite {
    /// Opens a database for reading and writing, and brings its tables up to
    /// date.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let found = store.check()?;
        {
            let mut connection = store.lock();
            connection
                .pragma_update(None, "journal_mode", "WAL")
                .map_err(|e| store.error(e))?;
            if found < schema::known() {
                schema::migrate(&mut connection, os::clock::unix_seconds())
                    .map_err(|e| store.error(e))?;
            }
        }
        Ok(store)
    }

    /// Opens a database for reading.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        if store.check()? < schema::known() {
            return Err(Error::Damaged {
                path: path.to_owned(),
                what: "its tables are of an older version; any `vadduser` brings them up to date"
                    .to_owned(),
            });
        }
        Ok(store)
    }

    /// Makes an empty database, unless there is one.
    pub fn create(path: &Path) -> Result<(), Error> {
        if path.exists() {
            return Ok(());
        }
        let file = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".new.{}", std::process::id()));
        let new = PathBuf::from(name);
        let _ = std::fs::remove_file(&new);
        Self::make(&new)?;
        let linked = std::fs::hard_link(&new, path);
        let _ = std::fs::remove_file(&new);
        match linked {
            // Somebody else was faster.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(file(error)),
            Ok(()) => {
                let parent = path.parent().unwrap_or(Path::new("."));
                os::file::sync_directory(parent).map_err(file)
            }
        }
    }

    /// Reads all of a database and says what is wrong with it.
    pub fn quick_check(path: &Path) -> Result<(), Error> {
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        store.check()?;
        let said: String = store
            .lock()
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|e| store.error(e))?;
        match said.as_str() {
            "ok" => Ok(()),
            _ => Err(Error::Damaged {
                path: path.to_owned(),
                what: said.replace('\n', " "),
            }),
        }
    }

    fn make(path: &Path) -> Result<(), Error> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let empty = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(file)?;
        let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::migrate(&mut store.lock(), os::clock::unix_seconds())
            .map_err(|e| store.error(e))?;
        drop(store);
        empty.sync_all().map_err(file)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing {
                path: path.to_owned(),
            });
        }
        let connect = || {
            let connection =
                Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "trusted_schema", false)?;
            // Temporary files elsewhere would need another sandbox.
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            Ok(connection)
        };
        let connection = connect().map_err(|source| classify(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    /// Makes sure that the file is ours; returns its schema.
    fn check(&self) -> Result<i64, Error> {
        let damaged = |what: &str| Error::Damaged {
            path: self.path.clone(),
            what: what.to_owned(),
        };
        let connection = self.lock();
        let id: i64 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .map_err(|e| self.error(e))?;
        if id != schema::APPLICATION_ID {
            return Err(damaged("it is empty or not ours"));
        }
        let found = schema::version(&connection).map_err(|e| self.error(e))?;
        if schema::known() < found {
            return Err(Error::Newer {
                path: self.path.clone(),
                found,
                known: schema::known(),
            });
        }
        if found == 0 {
            return Err(damaged("it has no tables"));
        }
        Ok(found)
    }

    /// A thread that panicked in the middle left a transaction that was
    /// rolled back; the connection is fine.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: rusqlite::Error) -> Error {
        classify(&self.path, source)
    }

    /// Reads.
    fn read<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        body(&self.lock()).map_err(|e| self.error(e))
    }

    /// Changes, all or nothing; other writers wait.
    fn write<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, Failed>,
    ) -> Result<T, Error> {
        let mut connection = self.lock();
        let result = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failed::from)
            .and_then(|transaction| {
                let value = body(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
        result.map_err(|failed| match failed {
            Failed::Sql(source) => self.error(source),
            Failed::Told(error) => error,
        })
    }

    fn damaged(&self, what: impl ToString) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            what: what.to_string(),
        }
    }
}

/// Why a transaction was given up.
enum Failed {
    Sql(rusqlite::Error),
    Told(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sql(source)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// Damage is not the same as being busy: one needs the administrator, the
/// other a moment.
fn classify(path: &Path, source: rusqlite::Error) -> Error {
    let path = path.to_owned();
    let damaged = match &source {
        rusqlite::Error::SqliteFailure(error, text) => {
            matches!(
                error.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            ) || text.as_deref().is_some_and(|text| {
                text.starts_with("no such table") || text.starts_with("no such column")
            })
        }
        rusqlite::Error::SqlInputError { msg, .. } => {
            msg.starts_with("no such table") || msg.starts_with("no such column")
        }
        _ => false,
    };
    if damaged {
        let what = source.to_string();
        Error::Damaged { path, what }
    } else {
        Error::Database { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(content: &[u8]) -> Error {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("indimail.db");
        std::fs::write(&path, content).unwrap();
        Sqlite::open(&path).unwrap_err()
    }

    #[test]
    fn a_missing_database_is_not_an_empty_one() {
        let path = Path::new("/nonexistent/indimail.db");
        assert!(matches!(Sqlite::open(path), Err(Error::Missing { .. })));
    }

    #[test]
    fn damage_is_named_with_the_file() {
        let whole = {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("indimail.db");
            Sqlite::create(&path).unwrap();
            std::fs::read(&path).unwrap()
        };
        let mut overwritten = whole.clone();
        overwritten[4096..8192].fill(0xaa);
        let mut half_schema = whole.clone();
        half_schema[100..4096].fill(0);
        for content in [
            &b""[..],
            b"not a database at all, but text",
            &whole[..4096],
            &overwritten,
            &half_schema,
        ] {
            let error = error_of(content);
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("indimail.db"));
            assert!(error.is_temporary());
        }
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("indimail.db");
        Sqlite::create(&path).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute("INSERT INTO ischema VALUES (999, 'future', 0)", [])
            .unwrap();
        assert!(matches!(
            Sqlite::open(&path),
            Err(Error::Newer { found: 999, .. })
        ));
    }
}
