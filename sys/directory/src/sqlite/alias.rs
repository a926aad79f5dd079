//! Rows of `valias`.

use rusqlite::{Row, params};

use super::Sqlite;
use crate::{Alias, Error};

fn alias(row: &Row<'_>) -> rusqlite::Result<Alias> {
    Ok(Alias {
        name: row.get(0)?,
        domain: row.get(1)?,
        line: row.get(2)?,
    })
}

impl Sqlite {
    pub(super) fn lines(&self, name: &str, domain: &str) -> Result<Vec<String>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT valias_line FROM valias WHERE alias = ?1 AND domain = ?2
                     ORDER BY rowid",
                )?
                .query_map((name, domain), |row| row.get(0))?
                .collect()
        })
    }

    pub(super) fn lines_of_domain(&self, domain: &str) -> Result<Vec<Alias>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT alias, domain, valias_line FROM valias WHERE domain = ?1
                     ORDER BY alias, rowid",
                )?
                .query_map([domain], alias)?
                .collect()
        })
    }

    pub(super) fn with_line(&self, lines: &[&str]) -> Result<Vec<Alias>, Error> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT alias, domain, valias_line FROM valias WHERE valias_line = ?1
                 ORDER BY domain, alias",
            )?;
            let mut found = Vec::new();
            for line in lines {
                for alias in statement.query_map([line], alias)? {
                    found.push(alias?);
                }
            }
            Ok(found)
        })
    }

    pub(super) fn insert_line(&self, alias: &Alias, now: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let added = transaction.execute(
                "INSERT OR IGNORE INTO valias (alias, domain, valias_line, timestamp)
                 VALUES (?1, ?2, ?3, ?4)",
                params![alias.name, alias.domain, alias.line, now],
            )?;
            Ok(0 < added)
        })
    }

    pub(super) fn delete_line(&self, alias: &Alias) -> Result<bool, Error> {
        self.write(|transaction| {
            let deleted = transaction.execute(
                "DELETE FROM valias WHERE alias = ?1 AND domain = ?2 AND valias_line = ?3",
                params![alias.name, alias.domain, alias.line],
            )?;
            Ok(0 < deleted)
        })
    }

    pub(super) fn replace_line(&self, old: &Alias, line: &str, now: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE OR REPLACE valias SET valias_line = ?4, timestamp = ?5
                 WHERE alias = ?1 AND domain = ?2 AND valias_line = ?3",
                params![old.name, old.domain, old.line, line, now],
            )?;
            Ok(0 < changed)
        })
    }
}
