//! The embedded database: one file, one host.
//!
//! Write-ahead log, every commit synced, every value bound. The file is made
//! beside its place and linked there once it is whole, so that a file that is
//! empty or lacks its tables is damage and never a fresh start: answering
//! "no such user" from it would bounce everybody's mail.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params_from_iter};

use crate::sql::{Body, Database, Dialect, Failed, Row, Session, Source, Value, quoted};
use crate::{Error, schema};

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements kept ready.
const STATEMENTS_MAX: usize = 64;
/// Marks a file as ours (`PRAGMA application_id`): the letters `INDI`.
const APPLICATION_ID: i64 = 0x494e_4449;

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
                schema::move_sqlite(&mut connection, schema::known())
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
                place: place(path),
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
                place: place(path),
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
        {
            let mut connection = store.lock();
            schema::move_sqlite(&mut connection, schema::known())
                .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID))
                .map_err(|e| store.error(e))?;
        }
        drop(store);
        empty.sync_all().map_err(file)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing { place: place(path) });
        }
        let connect = || {
            let connection =
                Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "trusted_schema", false)?;
            // Temporary files elsewhere would need another sandbox.
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            times_are_numbers(&connection)?;
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
            place: place(&self.path),
            what: what.to_owned(),
        };
        let connection = self.lock();
        let id: i64 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .map_err(|e| self.error(e))?;
        if id != APPLICATION_ID {
            return Err(damaged("it is empty or not ours"));
        }
        let found = schema::version_of_sqlite(&connection).map_err(|e| self.error(e))?;
        if schema::known() < found {
            return Err(Error::Newer {
                place: place(&self.path),
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

    fn failed(&self, failed: Failed) -> Error {
        match failed {
            Failed::Sql(Source::Sqlite(source)) => self.error(source),
            Failed::Sql(source) => Error::Database {
                place: self.place(),
                source,
            },
            Failed::Duplicate => Error::Exists("row".to_owned()),
            Failed::Told(error) => error,
        }
    }
}

impl Database for Sqlite {
    fn read(&self, body: Body<'_>) -> Result<(), Error> {
        let connection = self.lock();
        body(&mut Open(&connection)).map_err(|failed| self.failed(failed))
    }

    fn write(&self, body: Body<'_>) -> Result<(), Error> {
        let mut connection = self.lock();
        let mut run = || -> Result<(), Failed> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            body(&mut Open(&transaction))?;
            Ok(transaction.commit()?)
        };
        run().map_err(|failed| self.failed(failed))
    }

    fn define(&self, name: &str, columns: &str) -> Result<(), Error> {
        let statement = format!("CREATE TABLE IF NOT EXISTS {} ({columns})", quoted(name)?);
        self.lock()
            .execute_batch(&statement)
            .map_err(|e| self.error(e))
    }

    fn migrate(&self, to: i64) -> Result<i64, Error> {
        let found = self.version()?;
        let mut connection = self.lock();
        schema::move_sqlite(&mut connection, to).map_err(|e| self.error(e))?;
        Ok(found)
    }

    fn version(&self) -> Result<i64, Error> {
        schema::version_of_sqlite(&self.lock()).map_err(|e| self.error(e))
    }

    fn place(&self) -> String {
        place(&self.path)
    }
}

/// A connection, in a transaction or not.
struct Open<'a>(&'a Connection);

impl Session for Open<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn has_scram(&self) -> bool {
        true
    }

    fn query(&mut self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Failed> {
        let mut statement = self.0.prepare_cached(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(row_of(row, columns)?);
        }
        Ok(found)
    }

    fn each(
        &mut self,
        statement: &str,
        look: &mut dyn FnMut(Row) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut statement = self.0.prepare(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            look(row_of(row, columns)?)?;
        }
        Ok(())
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, Failed> {
        let mut statement = self.0.prepare_cached(statement)?;
        Ok(statement.execute(params_from_iter(values))? as u64)
    }

    fn command(&mut self, statement: &str) -> Result<(), Failed> {
        Ok(self.0.execute_batch(statement)?)
    }
}

fn row_of(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
    Ok(Row(values.collect::<rusqlite::Result<_>>()?))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        // No column of ours is one; what somebody put there is shown as text.
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => rusqlite::types::Null.into(),
            Self::Integer(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        })
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) if is_duplicate(&source) => Self::Duplicate,
            _ => Self::Sql(source.into()),
        }
    }
}

fn is_duplicate(source: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let code = source.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE)
    )
}

/// Times are kept as seconds: what a server converts is left as it is.
fn times_are_numbers(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for name in ["FROM_UNIXTIME", "UNIX_TIMESTAMP"] {
        connection
            .create_scalar_function(name, 1, flags, |context| context.get::<Option<i64>>(0))?;
    }
    Ok(())
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

/// Damage is not the same as being busy: one needs the administrator, the
/// other a moment.
fn classify(path: &Path, source: rusqlite::Error) -> Error {
    let place = place(path);
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
        Error::Damaged { place, what }
    } else {
        Error::Database {
            place,
            source: source.into(),
        }
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
