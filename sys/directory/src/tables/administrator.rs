//! Rows of `mgmtaccess`, `vpriv` and `mgmttoken`.

use crate::administrator::{ATTEMPTS_PER_DAY_MAX, Administrator, Privilege, Token};
use crate::sql::{Failed, Row, Session, values};

/// One of them.
pub fn find(session: &mut dyn Session, name: &str) -> Result<Option<Administrator>, Failed> {
    let row = session.first(
        "SELECT user, pass, status FROM mgmtaccess WHERE user = ?",
        values![name],
    )?;
    Ok(row.as_ref().map(administrator))
}

fn administrator(row: &Row) -> Administrator {
    Administrator {
        name: row.text(0),
        password_hash: row.text(1),
        is_disabled: row.text(2).trim() != "0",
    }
}

/// Counts a try; `false` when there were too many today.
pub fn count_attempt(session: &mut dyn Session, name: &str, day: &str) -> Result<bool, Failed> {
    session.execute(
        "UPDATE mgmtaccess SET day = ?, attempts = 0 WHERE user = ? AND day <> ?",
        values![day, name, day],
    )?;
    let counted = session.execute(
        "UPDATE mgmtaccess SET attempts = attempts + 1 WHERE user = ? AND attempts <= ?",
        values![name, ATTEMPTS_PER_DAY_MAX],
    )?;
    Ok(0 < counted)
}

/// The right password came: tries are forgotten.
pub fn record_access(session: &mut dyn Session, name: &str, now: i64) -> Result<(), Failed> {
    session.execute(
        "UPDATE mgmtaccess SET lastaccess = ?, attempts = 0 WHERE user = ?",
        values![now, name],
    )?;
    Ok(())
}

/// What an administrator may run, by program.
pub fn privileges(session: &mut dyn Session, name: &str) -> Result<Vec<Privilege>, Failed> {
    let rows = session.query(
        "SELECT program, cmdswitches FROM vpriv WHERE user = ? ORDER BY program",
        values![name],
    )?;
    let privilege = |row: &Row| Privilege {
        program: row.text(0),
        switches: row.text(1),
    };
    Ok(rows.iter().map(privilege).collect())
}

/// The tokens of an administrator, by name.
pub fn tokens(session: &mut dyn Session, name: &str) -> Result<Vec<Token>, Failed> {
    let rows = session.query(
        "SELECT name, digest, created FROM mgmttoken WHERE user = ? ORDER BY name",
        values![name],
    )?;
    let token = |row: &Row| Token {
        name: row.text(0),
        digest: row.text(1),
        created: row.integer(2),
    };
    Ok(rows.iter().map(token).collect())
}

/// Adds one; `false` when its name is taken.
pub fn insert_token(session: &mut dyn Session, name: &str, new: &Token) -> Result<bool, Failed> {
    let added = session.execute(
        "INSERT INTO mgmttoken (digest, user, name, created) VALUES (?, ?, ?, ?)",
        values![&new.digest, name, &new.name, new.created],
    );
    match added {
        Ok(_) => Ok(true),
        Err(Failed::Duplicate) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes one back.
pub fn delete_token(session: &mut dyn Session, name: &str, token: &str) -> Result<bool, Failed> {
    let deleted = session.execute(
        "DELETE FROM mgmttoken WHERE user = ? AND name = ?",
        values![name, token],
    )?;
    Ok(0 < deleted)
}

/// Whose digest this is.
pub fn owner_of_token(
    session: &mut dyn Session,
    digest: &str,
) -> Result<Option<Administrator>, Failed> {
    let owner = session.first(
        "SELECT user FROM mgmttoken WHERE digest = ?",
        values![digest],
    )?;
    match owner {
        Some(row) => find(session, &row.text(0)),
        None => Ok(None),
    }
}
