//! Rows of `mgmtaccess`, `vpriv` and `mgmttoken`.

use crate::administrator::{ATTEMPTS_PER_DAY_MAX, Administrator, Privilege, Token};
use crate::sql::{Failed, Row, Session, values};

const COLUMNS: &str = "user, pass, status, lastaccess, lastupdate, day, attempts";

/// All of them, by name.
pub fn all(session: &mut dyn Session) -> Result<Vec<Administrator>, Failed> {
    let statement = format!("SELECT {COLUMNS} FROM mgmtaccess ORDER BY user");
    let rows = session.query(&statement, values![])?;
    Ok(rows.iter().map(administrator).collect())
}

/// One of them.
pub fn find(session: &mut dyn Session, name: &str) -> Result<Option<Administrator>, Failed> {
    let statement = format!("SELECT {COLUMNS} FROM mgmtaccess WHERE user = ?");
    let row = session.first(&statement, values![name])?;
    Ok(row.as_ref().map(administrator))
}

fn administrator(row: &Row) -> Administrator {
    Administrator {
        name: row.text(0),
        password_hash: row.text(1),
        is_disabled: row.text(2).trim() != "0",
        last_access: row.integer(3),
        last_update: row.integer(4),
        day: row.text(5),
        attempts: row.integer(6),
    }
}

/// Adds one; `false` when the name is taken.
pub fn insert(session: &mut dyn Session, new: &Administrator, now: i64) -> Result<bool, Failed> {
    let added = session.execute(
        "INSERT INTO mgmtaccess
         (user, pass, pw_uid, pw_gid, lastaccess, lastupdate, day, attempts, status)
         VALUES (?, ?, 0, 0, 0, ?, '', 0, ?)",
        values![&new.name, &new.password_hash, now, status(new)],
    );
    is_new(added)
}

/// Writes everything but the name.
pub fn update(
    session: &mut dyn Session,
    changed: &Administrator,
    now: i64,
) -> Result<bool, Failed> {
    let matched = session.execute(
        "UPDATE mgmtaccess SET pass = ?, status = ?, lastupdate = ?, day = ?, attempts = ?
         WHERE user = ?",
        values![
            &changed.password_hash,
            status(changed),
            now,
            &changed.day,
            changed.attempts,
            &changed.name
        ],
    )?;
    Ok(0 < matched)
}

fn status(of: &Administrator) -> &'static str {
    match of.is_disabled {
        true => "1",
        false => "0",
    }
}

/// Deletes one with all that is its own.
pub fn delete(session: &mut dyn Session, name: &str) -> Result<bool, Failed> {
    session.execute("DELETE FROM vpriv WHERE user = ?", values![name])?;
    session.execute("DELETE FROM mgmttoken WHERE user = ?", values![name])?;
    let deleted = session.execute("DELETE FROM mgmtaccess WHERE user = ?", values![name])?;
    Ok(0 < deleted)
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

/// Replaces one of them.
pub fn set_privilege(session: &mut dyn Session, name: &str, new: &Privilege) -> Result<(), Failed> {
    session.execute(
        "REPLACE INTO vpriv (user, program, cmdswitches) VALUES (?, ?, ?)",
        values![name, &new.program, &new.switches],
    )?;
    Ok(())
}

/// Takes one back.
pub fn delete_privilege(
    session: &mut dyn Session,
    name: &str,
    program: &str,
) -> Result<bool, Failed> {
    let deleted = session.execute(
        "DELETE FROM vpriv WHERE user = ? AND program = ?",
        values![name, program],
    )?;
    Ok(0 < deleted)
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
    is_new(added)
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

fn is_new(added: Result<u64, Failed>) -> Result<bool, Failed> {
    match added {
        Ok(_) => Ok(true),
        Err(Failed::Duplicate) => Ok(false),
        Err(error) => Err(error),
    }
}
