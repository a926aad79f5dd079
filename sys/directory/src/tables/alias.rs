//! Rows of `valias`.
//!
//! The documented table has no column for the order of an alias's lines. We
//! keep it all the same: by row number in a file, by time on a server, where
//! our own tables count fractions of seconds.

use std::path::Path;

use crate::Alias;
use crate::sql::{Dialect, Failed, Row, Session, values};

fn order(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "rowid",
        Dialect::Mysql => "timestamp, valias_line",
    }
}

fn alias(row: &Row) -> Alias {
    Alias {
        name: row.text(0).to_lowercase(),
        domain: row.text(1).to_lowercase(),
        line: row.text(2),
    }
}

/// The lines of an alias, oldest first.
pub fn lines(session: &mut dyn Session, name: &str, domain: &str) -> Result<Vec<String>, Failed> {
    let statement = format!(
        "SELECT alias, domain, valias_line FROM valias WHERE alias = ? AND domain = ? ORDER BY {}",
        order(session.dialect())
    );
    let rows = session.query(&statement, values![name, domain])?;
    let exactly = rows.iter().map(alias).filter(|alias| alias.name == name);
    Ok(exactly.map(|alias| alias.line).collect())
}

/// All lines of a domain.
pub fn lines_of_domain(session: &mut dyn Session, domain: &str) -> Result<Vec<Alias>, Failed> {
    let statement = format!(
        "SELECT alias, domain, valias_line FROM valias WHERE domain = ? ORDER BY alias, {}",
        order(session.dialect())
    );
    let rows = session.query(&statement, values![domain])?;
    Ok(rows.iter().map(alias).collect())
}

/// All lines with exactly one of these texts.
pub fn with_line(session: &mut dyn Session, lines: &[&str]) -> Result<Vec<Alias>, Failed> {
    let mut found = Vec::new();
    for line in lines {
        let rows = session.query(
            "SELECT alias, domain, valias_line FROM valias WHERE valias_line = ?
             ORDER BY domain, alias",
            values![*line],
        )?;
        found.extend(rows.iter().map(alias));
    }
    Ok(found)
}

/// Adds a line; `false` when it is there already.
pub fn insert(session: &mut dyn Session, alias: &Alias) -> Result<bool, Failed> {
    let time = match session.dialect() {
        Dialect::Sqlite => "unixepoch()",
        Dialect::Mysql => "CURRENT_TIMESTAMP(6)",
    };
    let added = session.execute(
        &format!(
            "INSERT INTO valias (alias, domain, valias_line, timestamp) VALUES (?, ?, ?, {time})"
        ),
        values![&alias.name, &alias.domain, &alias.line],
    );
    match added {
        Ok(_) => Ok(true),
        Err(Failed::Duplicate) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a line; `false` when there is none.
pub fn delete(session: &mut dyn Session, alias: &Alias) -> Result<bool, Failed> {
    let deleted = session.execute(
        "DELETE FROM valias WHERE alias = ? AND domain = ? AND valias_line = ?",
        values![&alias.name, &alias.domain, &alias.line],
    )?;
    Ok(0 < deleted)
}

/// Replaces a line in its place; `false` when there is none. When the new one
/// is there already, the old one goes.
pub fn replace(session: &mut dyn Session, old: &Alias, line: &str) -> Result<bool, Failed> {
    // MySQL would set the time, and with it the place in the order.
    let changed = session.execute(
        "UPDATE valias SET valias_line = ?, timestamp = timestamp
         WHERE alias = ? AND domain = ? AND valias_line = ?",
        values![line, &old.name, &old.domain, &old.line],
    );
    match changed {
        Ok(changed) => Ok(0 < changed),
        Err(Failed::Duplicate) => delete(session, old),
        Err(error) => Err(error),
    }
}

/// Corrects the lines of a domain that name a directory which was moved.
pub fn move_path(
    session: &mut dyn Session,
    domain: &str,
    old: &Path,
    new: &Path,
) -> Result<(), Failed> {
    let (Some(old), Some(new)) = (old.to_str(), new.to_str()) else {
        return Ok(());
    };
    for alias in lines_of_domain(session, domain)? {
        let moved = alias.line.replace(&format!("{old}/"), &format!("{new}/"));
        if moved == alias.line {
            continue;
        }
        crate::value::check_line(&moved)?;
        replace(session, &alias, &moved)?;
    }
    Ok(())
}
