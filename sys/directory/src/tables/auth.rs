//! Rows of `lastauth` and `userquota`.

use crate::sql::{Failed, Session, values};
use crate::tables::user::change_flags;
use crate::user::flags::BOUNCE_MAIL;
use crate::{LastAuth, User};

/// Records an event of an account; one row per service is kept.
pub fn record(session: &mut dyn Session, user: &User, auth: &LastAuth) -> Result<(), Failed> {
    // The column has 32 bits.
    let usage = auth.usage.clamp(0, i64::from(i32::MAX));
    session.execute(
        "REPLACE INTO lastauth (user, domain, service, remote_ip, quota, gecos, timestamp)
         VALUES (?, ?, ?, ?, ?, ?, FROM_UNIXTIME(?))",
        values![
            &user.name,
            &user.domain,
            &auth.service,
            &auth.remote_ip,
            usage,
            &user.gecos,
            auth.time
        ],
    )?;
    Ok(())
}

/// The events of an account.
pub fn events(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
) -> Result<Vec<LastAuth>, Failed> {
    let rows = session.query(
        "SELECT service, remote_ip, quota, UNIX_TIMESTAMP(timestamp) FROM lastauth
         WHERE user = ? AND domain = ? ORDER BY timestamp",
        values![name, domain],
    )?;
    let event = |row: &crate::sql::Row| LastAuth {
        service: row.text(0),
        remote_ip: row.text(1),
        usage: row.integer(2),
        time: row.integer(3),
    };
    Ok(rows.iter().map(event).collect())
}

/// Marks a user over quota: flag and `userquota` row.
pub fn mark_over_quota(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
    usage: u64,
    now: i64,
) -> Result<(), Failed> {
    change_flags(session, name, domain, BOUNCE_MAIL, 0)?;
    session.execute(
        "REPLACE INTO userquota (user, domain, quota, timestamp)
         VALUES (?, ?, ?, FROM_UNIXTIME(?))",
        values![name, domain, i64::try_from(usage).unwrap_or(i64::MAX), now],
    )?;
    Ok(())
}

/// Clears both again.
pub fn clear_over_quota(session: &mut dyn Session, name: &str, domain: &str) -> Result<(), Failed> {
    change_flags(session, name, domain, 0, BOUNCE_MAIL)?;
    session.execute(
        "DELETE FROM userquota WHERE user = ? AND domain = ?",
        values![name, domain],
    )?;
    Ok(())
}
