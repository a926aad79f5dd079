//! Rows of `dir_control…` tables: which directory a home goes to.

use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Failed, Sqlite};
use crate::tree::{Counters, PREFIXES, Prefix};
use crate::{MountTag, User};

impl Sqlite {
    /// The directory for one more user: a freed one, else the next.
    pub(super) fn take_directory(
        &self,
        transaction: &Transaction<'_>,
        suffix: &str,
        domain: &str,
        per_level: u32,
        now: i64,
    ) -> Result<String, Failed> {
        let table = control_table(transaction, suffix)?;
        let row = transaction
            .query_row(
                &format!("SELECT COALESCE(cur_users, 0), COALESCE(the_dir, '') FROM {table} WHERE domain = ?1"),
                [domain],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
            )
            .optional()?;
        let (cur_users, the_dir) = row.unwrap_or_default();
        let mut counters = Counters::new(cur_users, &the_dir).map_err(|e| self.damaged(e))?;
        let freed = transaction
            .query_row(
                "SELECT rowid, the_dir FROM dir_free WHERE suffix = ?1 AND domain = ?2
                 ORDER BY rowid LIMIT 1",
                (suffix, domain),
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
            )
            .optional()?;
        let directory = match freed {
            Some((row, directory)) => {
                transaction.execute("DELETE FROM dir_free WHERE rowid = ?1", [row])?;
                counters.cur_users += 1;
                // The same check that a stored directory gets.
                Counters::new(0, &directory)
                    .map_err(|e| self.damaged(e))?
                    .directory()
            }
            None => counters.next(per_level),
        };
        transaction.execute(
            &format!(
                "REPLACE INTO {table} (domain, cur_users, level_cur, level_max,
                 level_start0, level_start1, level_start2, level_end0, level_end1, level_end2,
                 level_mod0, level_mod1, level_mod2, level_index0, level_index1, level_index2,
                 the_dir, timestamp)
                 VALUES (?1, ?2, ?3, 3, 0, 0, 0, 61, 61, 61, 0, 2, 4, ?4, ?5, ?6, ?7, ?8)"
            ),
            params![
                domain,
                counters.cur_users,
                counters.level() as i64,
                counters.index(0) as i64,
                counters.index(1) as i64,
                counters.index(2) as i64,
                counters.directory(),
                now
            ],
        )?;
        Ok(directory)
    }
}

/// Counts one user less; remembers its directory when it had a hash.
pub(super) fn free_directory(
    transaction: &Transaction<'_>,
    user: &User,
    base: &Path,
    mount: &MountTag,
) -> Result<(), Failed> {
    let prefix = Prefix::of(&user.name);
    let below = base.join(prefix.directory).join(&user.domain);
    let Ok(rest) = user.dir.strip_prefix(&below) else {
        return Ok(());
    };
    let suffix = mount.suffix(prefix);
    let table = control_table(transaction, &suffix)?;
    transaction.execute(
        &format!(
            "UPDATE {table} SET cur_users = cur_users - 1 WHERE domain = ?1 AND 0 < cur_users"
        ),
        [&user.domain],
    )?;
    let hash = rest.parent().and_then(Path::to_str).unwrap_or_default();
    if !hash.is_empty() && Counters::new(0, hash).is_ok() {
        transaction.execute(
            "INSERT INTO dir_free (suffix, domain, the_dir) VALUES (?1, ?2, ?3)",
            (&suffix, &user.domain, hash),
        )?;
    }
    Ok(())
}

/// The quoted name of a `dir_control` table, which is made when missing. The
/// suffix comes from [`MountTag`] and [`PREFIXES`] only.
fn control_table(transaction: &Transaction<'_>, suffix: &str) -> Result<String, Failed> {
    debug_assert!(PREFIXES.iter().any(|prefix| suffix.ends_with(prefix.tag)));
    let table = quoted(&format!("dir_control{suffix}"));
    transaction.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            domain TEXT NOT NULL UNIQUE COLLATE NOCASE,
            cur_users INTEGER, level_cur INTEGER, level_max INTEGER,
            level_start0 INTEGER, level_start1 INTEGER, level_start2 INTEGER,
            level_end0 INTEGER, level_end1 INTEGER, level_end2 INTEGER,
            level_mod0 INTEGER, level_mod1 INTEGER, level_mod2 INTEGER,
            level_index0 INTEGER, level_index1 INTEGER, level_index2 INTEGER,
            the_dir TEXT, timestamp INTEGER NOT NULL DEFAULT 0
        )"
    ))?;
    Ok(table)
}

/// An SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
