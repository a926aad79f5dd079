//! Rows of `app_password`.

use crate::User;
use crate::app_password::{AppPassword, Scope};
use crate::sql::{Failed, Row, Session, values};

/// The passwords of a user, by name.
pub fn list(session: &mut dyn Session, user: &User) -> Result<Vec<AppPassword>, Failed> {
    let rows = session.query(
        "SELECT name, passwd, scope, created, lastused FROM app_password
         WHERE user = ? AND domain = ? ORDER BY name",
        values![&user.name, &user.domain],
    )?;
    Ok(rows.iter().map(app_password).collect())
}

fn app_password(row: &Row) -> AppPassword {
    AppPassword {
        name: row.text(0),
        digest: row.text(1),
        // What is not understood opens nothing.
        scope: row.text(2).parse().unwrap_or(Scope {
            smtp: false,
            imap: false,
            pop3: false,
        }),
        created: row.integer(3),
        last_used: row.optional_integer(4),
    }
}

/// Adds one; `false` when the name is taken.
pub fn insert(session: &mut dyn Session, user: &User, new: &AppPassword) -> Result<bool, Failed> {
    let added = session.execute(
        "INSERT INTO app_password (user, domain, name, passwd, scope, created)
         VALUES (?, ?, ?, ?, ?, ?)",
        values![
            &user.name,
            &user.domain,
            &new.name,
            &new.digest,
            new.scope.to_string(),
            new.created
        ],
    );
    match added {
        Ok(_) => Ok(true),
        Err(Failed::Duplicate) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes one back; `false` when there is none.
pub fn delete(session: &mut dyn Session, user: &User, name: &str) -> Result<bool, Failed> {
    let deleted = session.execute(
        "DELETE FROM app_password WHERE user = ? AND domain = ? AND name = ?",
        values![&user.name, &user.domain, name],
    )?;
    Ok(0 < deleted)
}

/// Notes that one was used.
pub fn used(session: &mut dyn Session, user: &User, name: &str, now: i64) -> Result<(), Failed> {
    session.execute(
        "UPDATE app_password SET lastused = ? WHERE user = ? AND domain = ? AND name = ?",
        values![now, &user.name, &user.domain, name],
    )?;
    Ok(())
}
