//! The tables, as numbered steps (virtual-domains.md §4.2, §18).
//!
//! A table of its own says which steps a database has seen. A step is never
//! edited once released; a change is a new step at the end, with the way
//! back. On a server a step only adds what is not there: another program may
//! have made the tables, and may be using them.

mod mysql;
mod sqlite;

use rusqlite::{Connection, TransactionBehavior};

pub use mysql::OPTIONS;

/// One step.
pub struct Step {
    /// What it does.
    pub comment: &'static str,
    /// Its statements for SQLite.
    sqlite: &'static str,
    /// The way back; `None` when it would take mailboxes away.
    sqlite_back: Option<&'static str>,
    /// Its tables on a server. The way back drops them.
    pub mysql: &'static [mysql::Table],
}

/// All steps, in order.
pub const STEPS: &[Step] = &[
    Step {
        comment: "tables of domains and users",
        sqlite: sqlite::FIRST,
        sqlite_back: None,
        mysql: mysql::FIRST,
    },
    Step {
        comment: "passwords for single programs",
        sqlite: sqlite::APP_PASSWORDS,
        sqlite_back: Some(sqlite::NO_APP_PASSWORDS),
        mysql: mysql::APP_PASSWORDS,
    },
    Step {
        comment: "tables of hosts, operators and address lists",
        sqlite: sqlite::CENTRAL,
        sqlite_back: Some(sqlite::NO_CENTRAL),
        mysql: mysql::CENTRAL,
    },
    Step {
        comment: "tokens of operators",
        sqlite: sqlite::TOKENS,
        sqlite_back: Some(sqlite::NO_TOKENS),
        mysql: mysql::TOKENS,
    },
];

/// The schema below which no database is taken: that would drop its users.
pub const LOWEST: i64 = 1;

/// The schema this program knows.
pub fn known() -> i64 {
    STEPS.len() as i64
}

/// The steps from one version up to another, with their numbers.
pub fn steps_up(from: i64, to: i64) -> impl Iterator<Item = (i64, &'static Step)> {
    let numbered = (1i64..).zip(STEPS);
    numbered.filter(move |(number, _)| from < *number && *number <= to)
}

/// The steps to take back, the last one first.
pub fn steps_down(from: i64, to: i64) -> impl Iterator<Item = (i64, &'static Step)> {
    let steps: Vec<_> = steps_up(to.max(LOWEST), from).collect();
    steps.into_iter().rev()
}

/// The schema of a file.
pub fn version_of_sqlite(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT COALESCE(MAX(id), 0) FROM ischema", [], |row| {
        row.get(0)
    })
}

/// Moves a file to a version, up or down, all or nothing.
pub fn move_sqlite(connection: &mut Connection, to: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS ischema (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            comment TEXT NOT NULL,
            timestamp INTEGER NOT NULL
        );",
    )?;
    let found = version_of_sqlite(&transaction)?;
    for (number, step) in steps_up(found, to) {
        transaction.execute_batch(step.sqlite)?;
        transaction.execute(
            "INSERT INTO ischema (id, comment, timestamp) VALUES (?1, ?2, ?3)",
            (number, step.comment, os::clock::unix_seconds()),
        )?;
    }
    for (number, step) in steps_down(found, to) {
        if let Some(back) = step.sqlite_back {
            transaction.execute_batch(back)?;
            transaction.execute("DELETE FROM ischema WHERE id = ?1", [number])?;
        }
    }
    transaction.commit()
}
