//! What a database has to do for us, whichever it is.
//!
//! Statements are written once, in the words that SQLite and MySQL share:
//! `?` for every value, back quotes around names, `FROM_UNIXTIME` and
//! `UNIX_TIMESTAMP` around times (SQLite keeps seconds; there both are
//! functions of ours that change nothing). What still differs is a question
//! to the [`Dialect`]. Values are bound, always; what is put into a statement
//! as text comes from this crate.

use crate::Error;

/// One value of a row, going in or coming out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}

/// The values of a statement, in its order.
macro_rules! values {
    () => { &[] as &[$crate::sql::Value] };
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Value::from($value)),*][..] };
}
pub(crate) use values;

/// One row of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A text; NULL is an empty one, as old rows have it.
    pub fn text(&self, column: usize) -> String {
        self.optional_text(column).unwrap_or_default()
    }

    /// A text, or none.
    pub fn optional_text(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text.clone()),
            Some(Value::Integer(number)) => Some(number.to_string()),
            Some(Value::Null) | None => None,
        }
    }

    /// A number; `None` for NULL and for what is none.
    pub fn optional_integer(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(Value::Null) | None => None,
        }
    }

    /// A number; 0 for NULL.
    pub fn integer(&self, column: usize) -> i64 {
        self.optional_integer(column).unwrap_or(0)
    }
}

/// Whose words a statement is read in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// The embedded database.
    Sqlite,
    /// MySQL and all that speak its protocol.
    Mysql,
}

impl Dialect {
    /// Ends a SELECT whose rows are about to be changed.
    pub fn for_update(self) -> &'static str {
        match self {
            // The whole file is locked when a transaction begins.
            Self::Sqlite => "",
            Self::Mysql => " FOR UPDATE",
        }
    }

    /// The column that says in which order rows came, in tables of our own.
    pub fn row_number(self) -> &'static str {
        match self {
            Self::Sqlite => "rowid",
            Self::Mysql => "id",
        }
    }
}

/// An open transaction, or a connection for reading.
pub trait Session {
    /// In whose words.
    fn dialect(&self) -> Dialect;
    /// Says whether users have a column `scram`; databases from before
    /// mid-2023 have none.
    fn has_scram(&self) -> bool;
    /// Asks.
    fn query(&mut self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Failed>;
    /// Asks, and looks at the rows one by one: there may be millions.
    fn each(
        &mut self,
        statement: &str,
        look: &mut dyn FnMut(Row) -> Result<(), Failed>,
    ) -> Result<(), Failed>;
    /// Changes; says how many rows matched.
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, Failed>;

    /// Runs a statement of ours that has no values and no answer, like those
    /// of savepoints.
    fn command(&mut self, statement: &str) -> Result<(), Failed>;

    /// The first row of an answer.
    fn first(&mut self, statement: &str, values: &[Value]) -> Result<Option<Row>, Failed> {
        Ok(self.query(statement, values)?.into_iter().next())
    }
}

/// What a [`Database`] is given to do. It may be called again from the start
/// when another writer was in the way.
pub type Body<'a> = &'a mut dyn FnMut(&mut dyn Session) -> Result<(), Failed>;

/// A database with our tables. Shared between threads.
pub trait Database: Send + Sync {
    /// Asks questions.
    fn read(&self, body: Body<'_>) -> Result<(), Error>;
    /// Makes changes, all or none.
    fn write(&self, body: Body<'_>) -> Result<(), Error>;
    /// Makes a table unless it is there; outside any transaction.
    fn define(&self, name: &str, columns: &str) -> Result<(), Error>;
    /// Moves the tables to another version of the schema; returns the one it
    /// was.
    fn migrate(&self, to: i64) -> Result<i64, Error>;
    /// The version of the schema it has.
    fn version(&self) -> Result<i64, Error>;
    /// Where it is, without its password.
    fn place(&self) -> String;
}

/// Why a transaction was given up.
#[derive(Debug)]
pub enum Failed {
    /// The key is there already.
    Duplicate,
    /// The database refused or broke.
    Sql(Source),
    /// We refused.
    Told(Error),
}

/// What a database library said.
#[derive(Debug, thiserror::Error)]
pub enum Source {
    /// The embedded one.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The client of a server.
    #[error(transparent)]
    Mysql(#[from] mysql::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// The name of a table inside a statement. Whatever it is made from, only
/// letters, digits, `_`, `-` and `.` are names here.
pub fn quoted(name: &str) -> Result<String, Error> {
    /// MySQL's limit.
    const NAME_BYTES_MAX: usize = 64;
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.is_empty() || NAME_BYTES_MAX < name.len() || !name.bytes().all(fine) {
        return Err(Error::Value {
            field: "table name",
            problem: format!("[{}] is not one of ours", name.escape_debug()),
        });
    }
    Ok(format!("`{name}`"))
}

/// A LIKE pattern (with `ESCAPE '!'`) for texts with this end.
pub fn ending_with(end: &str) -> String {
    let mut pattern = String::from("%");
    for c in end.chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_cannot_leave_their_quotes() {
        assert_eq!(
            quoted("dir_control_home_A2E").unwrap(),
            "`dir_control_home_A2E`"
        );
        for name in [
            "",
            "a`b",
            "a b",
            "a;b",
            "a'b",
            "a\"b",
            "ä",
            "a\0",
            &"a".repeat(65),
        ] {
            assert!(quoted(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_pattern_takes_its_end_literally() {
        assert_eq!(ending_with("@a_b.c"), "%@a!_b.c");
        assert_eq!(ending_with("100%!"), "%100!%!!");
    }
}
