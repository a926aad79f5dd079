//! A database server: MySQL, MariaDB, or what speaks their protocol.
//!
//! Statements are prepared, so values never become text of a statement.
//! A connection that broke is replaced, and what was asked is asked again
//! when the server cannot have begun with it; a commit whose answer was lost
//! is an error. Two writers that wait for each other are told so by the
//! server, and the one that was undone starts again.
//!
//! Tables that are missing are made when the account may, but never
//! `indimail`: an empty table of users would turn everybody's mail away.

mod pool;
mod server;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, TxOpts};

pub use server::{BadServer, Fallback, Server, Tls};

use crate::sql::{Body, Database, Dialect, Failed, Row, Session, Source, Value, quoted};
use crate::{Error, schema};
use pool::Pool;

/// How often a transaction that was undone is tried.
const TRIES_MAX: u32 = 20;
/// Between two tries, times their number.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one migration waits for another, seconds.
const LOCK_WAIT_SECONDS: u32 = 60;
/// The name of that lock: one for each database of a server.
const SCHEMA_LOCK: &str = "CONCAT('indimail_schema.', SHA1(DATABASE()))";
/// Which migrations were made here. Not `ischema`: that counts the steps of
/// other programs.
const HISTORY: &str = "indimail_schema";
const HISTORY_COLUMNS: &str = "id INT NOT NULL PRIMARY KEY,
    comment VARCHAR(254) NOT NULL,
    timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP";

/// Error codes of the server that mean something here (all servers use the
/// same numbers).
mod code {
    pub const DUPLICATE: u16 = 1062;
    pub const NO_TABLE: u16 = 1146;
    pub const NO_DATABASE: u16 = 1049;
    pub const LOCK_TIMEOUT: u16 = 1205;
    pub const DEADLOCK: u16 = 1213;
    /// The server closes the connection: it ends, was told to, or has heard
    /// nothing for long.
    pub const CLOSED: [u16; 4] = [1053, 1152, 1927, 4031];
    /// No right to a command, a table or the database.
    pub const DENIED: [u16; 3] = [1142, 1044, 1227];
    /// The server is read-only.
    pub const READ_ONLY: [u16; 2] = [1290, 1792];
}

/// A user database on a server.
#[derive(Debug)]
pub struct Mysql {
    server: Server,
    pool: Pool,
    shape: Mutex<Option<Shape>>,
    role: Role,
}

/// What a database is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// It has the users of this host.
    Users,
    /// Its tables are shared by the hosts of a cluster; users are elsewhere.
    Central,
}

/// What the tables of this database look like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    has_scram: bool,
}

impl Mysql {
    /// A database on a server. Connects at the first question.
    pub fn at(server: Server) -> Self {
        Self {
            pool: Pool::to(server.clone()),
            server,
            shape: Mutex::new(None),
            role: Role::Users,
        }
    }

    /// The database that the hosts of a cluster share. What it lacks is made.
    pub fn central(server: Server) -> Self {
        Self {
            role: Role::Central,
            ..Self::at(server)
        }
    }

    /// Makes the database, unless it is there and needs no making, and its
    /// tables.
    pub fn create(server: Server) -> Result<Self, Error> {
        let made = Self::at(server);
        match made.pool.take() {
            Err(mysql::Error::MySqlError(error)) if error.code == code::NO_DATABASE => {
                let statement = format!(
                    "CREATE DATABASE IF NOT EXISTS {}",
                    quoted(&made.server.database)?
                );
                Conn::new(made.server.options(None))
                    .and_then(|mut connection| connection.query_drop(statement))
                    .map_err(|e| made.error(e))?;
            }
            other => drop(other.map_err(|e| made.error(e))?),
        }
        made.migrate(schema::known())?;
        Ok(made)
    }

    /// Runs something on a connection; once more on a new one when it turns
    /// out to be broken before anything was answered.
    fn with<T>(
        &self,
        mut body: impl FnMut(&mut Conn, Shape) -> Result<T, Failed>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut connection = self.pool.take().map_err(|e| self.error(e))?;
            let result = match self.shape(&mut connection) {
                Ok(shape) => body(&mut connection, shape),
                Err(error) => Err(error),
            };
            let Err(failed) = result else {
                return result.map_err(|failed| self.failed(failed));
            };
            match &failed {
                Failed::Sql(Source::Mysql(error)) if is_broken(error) => {
                    connection.forget();
                    self.pool.forget_idle();
                    if 1 < tries {
                        return Err(self.failed(failed));
                    }
                }
                Failed::Sql(Source::Mysql(mysql::Error::MySqlError(error)))
                    if matches!(error.code, code::DEADLOCK | code::LOCK_TIMEOUT) =>
                {
                    drop(connection);
                    if TRIES_MAX <= tries {
                        return Err(self.failed(failed));
                    }
                    thread::sleep(PAUSE * tries);
                }
                Failed::Sql(Source::Mysql(mysql::Error::MySqlError(error)))
                    if error.code == code::NO_TABLE && tries == 1 =>
                {
                    self.complete(&mut connection)
                        .map_err(|_| self.failed(failed))?;
                }
                _ => return Err(self.failed(failed)),
            }
        }
    }

    /// What the tables look like; asked once. Brings them up to date where
    /// the account may.
    fn shape(&self, connection: &mut Conn) -> Result<Shape, Failed> {
        if let Some(shape) = *self.lock() {
            return Ok(shape);
        }
        if self.role == Role::Central {
            // A table that is missing is made when it is asked for.
            return Ok(Shape { has_scram: false });
        }
        let columns: Vec<String> = connection.query(
            "SELECT column_name FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = 'indimail'",
        )?;
        if columns.is_empty() {
            return Err(Error::Missing {
                place: self.place(),
            }
            .into());
        }
        let found = history(connection)?;
        if schema::known() < found {
            return Err(Error::Newer {
                place: self.place(),
                found,
                known: schema::known(),
            }
            .into());
        }
        if found < schema::known() {
            match self.step_up(connection, found, schema::known()) {
                // A replica, or an account that only reads: what is there
                // has to do.
                Err(error) if is_denied(&error) => {}
                other => other?,
            }
        }
        let shape = Shape {
            has_scram: columns
                .iter()
                .any(|name| name.eq_ignore_ascii_case("scram")),
        };
        *self.lock() = Some(shape);
        Ok(shape)
    }

    /// Makes tables that somebody dropped.
    fn complete(&self, connection: &mut Conn) -> mysql::Result<()> {
        for (_, step) in schema::steps_up(0, schema::known()) {
            for (name, columns) in step.mysql.iter().filter(|(name, _)| self.may_make(name)) {
                connection.query_drop(definition(name, columns))?;
            }
        }
        Ok(())
    }

    /// An empty table of users would turn everybody's mail away.
    fn may_make(&self, table: &str) -> bool {
        match self.role {
            Role::Users => table != "indimail",
            Role::Central => !matches!(table, "indimail" | "indibak"),
        }
    }

    fn step_up(&self, connection: &mut Conn, from: i64, to: i64) -> mysql::Result<()> {
        connection.query_drop(definition(HISTORY, HISTORY_COLUMNS))?;
        for (number, step) in schema::steps_up(from, to) {
            for (name, columns) in step.mysql {
                connection.query_drop(definition(name, columns))?;
            }
            connection.exec_drop(
                "INSERT IGNORE INTO indimail_schema (id, comment) VALUES (?, ?)",
                (number, step.comment),
            )?;
        }
        Ok(())
    }

    fn step_down(&self, connection: &mut Conn, from: i64, to: i64) -> mysql::Result<()> {
        for (number, step) in schema::steps_down(from, to) {
            for (name, _) in step.mysql {
                connection.query_drop(format!("DROP TABLE IF EXISTS `{name}`"))?;
            }
            connection.exec_drop("DELETE FROM indimail_schema WHERE id = ?", (number,))?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Shape>> {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: mysql::Error) -> Error {
        Error::Database {
            place: self.place(),
            source: source.into(),
        }
    }

    fn failed(&self, failed: Failed) -> Error {
        match failed {
            Failed::Sql(source) => Error::Database {
                place: self.place(),
                source,
            },
            Failed::Duplicate => Error::Exists("row".to_owned()),
            Failed::Told(error) => error,
        }
    }
}

impl Database for Mysql {
    fn read(&self, body: Body<'_>) -> Result<(), Error> {
        self.with(|connection, shape| body(&mut Open { connection, shape }))
    }

    fn write(&self, body: Body<'_>) -> Result<(), Error> {
        self.with(|connection, shape| {
            let mut transaction = connection.start_transaction(TxOpts::default())?;
            body(&mut Open {
                connection: &mut transaction,
                shape,
            })?;
            transaction.commit().map_err(|error| {
                if is_broken(&error) {
                    // It may be there or not: nobody may try again for us.
                    Failed::Told(self.error(error))
                } else {
                    error.into()
                }
            })
        })
    }

    fn define(&self, name: &str, columns: &str) -> Result<(), Error> {
        quoted(name)?;
        let statement = definition(name, columns);
        self.with(|connection, _| Ok(connection.query_drop(&statement)?))
    }

    fn migrate(&self, to: i64) -> Result<i64, Error> {
        let work = || -> mysql::Result<Option<i64>> {
            let mut connection = self.pool.take()?;
            if !lock_schema(&mut connection, LOCK_WAIT_SECONDS)? {
                return Ok(None);
            }
            let moved = history(&mut connection).and_then(|found| {
                self.step_up(&mut connection, found, to)?;
                self.step_down(&mut connection, found, to)?;
                Ok(found)
            });
            connection.query_drop(format!("DO RELEASE_LOCK({SCHEMA_LOCK})"))?;
            moved.map(Some)
        };
        let found = work()
            .map_err(|e| self.error(e))?
            .ok_or_else(|| Error::Moving {
                place: self.place(),
            })?;
        *self.lock() = None;
        Ok(found)
    }

    fn version(&self) -> Result<i64, Error> {
        let mut connection = self.pool.take().map_err(|e| self.error(e))?;
        history(&mut connection).map_err(|e| self.error(e))
    }

    fn place(&self) -> String {
        self.server.to_string()
    }
}

/// Takes the lock of migrations; `false` when somebody else keeps it. It ends
/// with the connection at the latest.
fn lock_schema(connection: &mut Conn, wait_seconds: u32) -> mysql::Result<bool> {
    let statement = format!("SELECT GET_LOCK({SCHEMA_LOCK}, ?)");
    // NULL says that the server gave up; 0 that somebody else has it.
    let locked: Option<Option<i64>> = connection.exec_first(statement, (wait_seconds,))?;
    Ok(locked.flatten() == Some(1))
}

/// The steps that were made here.
fn history(connection: &mut Conn) -> mysql::Result<i64> {
    match connection.query_first("SELECT COALESCE(MAX(id), 0) FROM indimail_schema") {
        Ok(number) => Ok(number.unwrap_or(0)),
        Err(mysql::Error::MySqlError(error)) if error.code == code::NO_TABLE => Ok(0),
        Err(error) => Err(error),
    }
}

fn definition(name: &str, columns: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS `{name}` ({columns}) {}",
        schema::OPTIONS
    )
}

/// Says whether the connection is of no more use.
fn is_broken(error: &mysql::Error) -> bool {
    match error {
        mysql::Error::IoError(_) => true,
        mysql::Error::MySqlError(error) => code::CLOSED.contains(&error.code),
        _ => error.is_connectivity_error(),
    }
}

fn is_denied(error: &mysql::Error) -> bool {
    match error {
        mysql::Error::MySqlError(error) => {
            code::DENIED.contains(&error.code) || code::READ_ONLY.contains(&error.code)
        }
        _ => false,
    }
}

impl From<mysql::Error> for Failed {
    fn from(error: mysql::Error) -> Self {
        match &error {
            mysql::Error::MySqlError(told) if told.code == code::DUPLICATE => Self::Duplicate,
            _ => Self::Sql(error.into()),
        }
    }
}

/// A connection, in a transaction or not.
struct Open<'a, Q> {
    connection: &'a mut Q,
    shape: Shape,
}

impl<Q: Queryable> Session for Open<'_, Q> {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }

    fn has_scram(&self) -> bool {
        self.shape.has_scram
    }

    fn query(&mut self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Failed> {
        let rows: Vec<mysql::Row> = self.connection.exec(statement, bound(values))?;
        Ok(rows.into_iter().map(row_of).collect())
    }

    fn each(
        &mut self,
        statement: &str,
        look: &mut dyn FnMut(Row) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        for row in self.connection.exec_iter(statement, ())? {
            look(row_of(row?))?;
        }
        Ok(())
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, Failed> {
        let result = self.connection.exec_iter(statement, bound(values))?;
        Ok(result.affected_rows())
    }

    fn command(&mut self, statement: &str) -> Result<(), Failed> {
        Ok(self.connection.query_drop(statement)?)
    }
}

fn bound(values: &[Value]) -> mysql::Params {
    if values.is_empty() {
        return mysql::Params::Empty;
    }
    let one = |value: &Value| match value {
        Value::Null => mysql::Value::NULL,
        Value::Integer(number) => mysql::Value::Int(*number),
        Value::Text(text) => mysql::Value::Bytes(text.clone().into_bytes()),
    };
    mysql::Params::Positional(values.iter().map(one).collect())
}

fn row_of(row: mysql::Row) -> Row {
    Row(row.unwrap().into_iter().map(value).collect())
}

fn value(value: mysql::Value) -> Value {
    match value {
        mysql::Value::NULL => Value::Null,
        mysql::Value::Int(number) => Value::Integer(number),
        mysql::Value::UInt(number) => Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)),
        mysql::Value::Bytes(bytes) => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
        // No column of ours is one; what somebody put there is shown as text.
        other => Value::Text(other.as_sql(true)),
    }
}

#[cfg(test)]
mod tests;
