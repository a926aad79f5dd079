//! Rows of `indimail` and `indibak`.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::counters::{free_directory, quoted};
use super::{Failed, Sqlite};
use crate::tree::Prefix;
use crate::user::UID_IN_STEP;
use crate::{Error, Placement, User};

const BY_NAME: &str = "
SELECT pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir, pw_shell, scram, 1
FROM indimail WHERE pw_name = ?1 AND pw_domain = ?2
UNION ALL
SELECT pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir, pw_shell, scram, 0
FROM indibak WHERE pw_name = ?1 AND pw_domain = ?2
LIMIT 1";

const BY_DOMAIN: &str = "
SELECT pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir, pw_shell, scram, 1
FROM indimail WHERE pw_domain = ?1
UNION ALL
SELECT pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir, pw_shell, scram, 0
FROM indibak WHERE pw_domain = ?1
ORDER BY 1";

/// The table of active users, and that of the others.
fn table(active: bool) -> &'static str {
    if active { "indimail" } else { "indibak" }
}

/// Old rows have NULLs; they mean the defaults.
fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        domain: row.get(1)?,
        password_hash: row.get(2)?,
        uid_state: row.get::<_, Option<i32>>(3)?.unwrap_or(UID_IN_STEP),
        gid_flags: row.get::<_, Option<i64>>(4)?.unwrap_or(0) as u32,
        gecos: row.get(5)?,
        dir: PathBuf::from(row.get::<_, Option<String>>(6)?.unwrap_or_default()),
        quota: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        scram: row.get(8)?,
        active: row.get(9)?,
    })
}

fn insert(transaction: &Transaction<'_>, user: &User, now: i64) -> Result<(), Failed> {
    let statement = format!(
        "INSERT INTO {} (pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir,
         pw_shell, scram, timestamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        table(user.active)
    );
    transaction.prepare_cached(&statement)?.execute(params![
        user.name,
        user.domain,
        user.password_hash,
        user.uid_state,
        user.gid_flags,
        user.gecos,
        path_text(&user.dir)?,
        user.quota,
        user.scram,
        now
    ])?;
    Ok(())
}

fn path_text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Error::Value {
        field: "directory",
        problem: "is not UTF-8".to_owned(),
    })
}

impl Sqlite {
    pub(super) fn find(&self, name: &str, domain: &str) -> Result<Option<User>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(BY_NAME)?
                .query_row((name, domain), user)
                .optional()
        })
    }

    pub(super) fn list(&self, domain: &str) -> Result<Vec<User>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(BY_DOMAIN)?
                .query_map([domain], user)?
                .collect()
        })
    }

    pub(super) fn count(&self, domain: &str) -> Result<u64, Error> {
        self.read(|connection| {
            connection.query_row(
                "SELECT (SELECT count(*) FROM indimail WHERE pw_domain = ?1)
                      + (SELECT count(*) FROM indibak WHERE pw_domain = ?1)",
                [domain],
                |row| row.get::<_, i64>(0),
            )
        })
        .map(|count| count.unsigned_abs())
    }

    pub(super) fn add(&self, new: &User, placement: &Placement, now: i64) -> Result<User, Error> {
        self.write(|transaction| {
            let there = transaction
                .prepare_cached(BY_NAME)?
                .exists((&new.name, &new.domain))?;
            if there {
                return Err(Error::Exists(new.address()).into());
            }
            let mut new = new.clone();
            new.dir = match placement {
                Placement::At(path) => path.clone(),
                Placement::Tree {
                    base,
                    mount,
                    users_per_level,
                } => {
                    let prefix = Prefix::of(&new.name);
                    let suffix = mount.suffix(prefix);
                    let hash = self.take_directory(
                        transaction,
                        &suffix,
                        &new.domain,
                        *users_per_level,
                        now,
                    )?;
                    let mut home = base.join(prefix.directory).join(&new.domain);
                    if !hash.is_empty() {
                        home.push(hash);
                    }
                    home.join(&new.name)
                }
            };
            crate::value::check_directory(&new.dir)?;
            insert(transaction, &new, now)?;
            Ok(new)
        })
    }

    pub(super) fn update(&self, user: &User, now: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let Some(old) = transaction
                .prepare_cached(BY_NAME)?
                .query_row((&user.name, &user.domain), self::user)
                .optional()?
            else {
                return Ok(false);
            };
            if old.active != user.active {
                let statement = format!(
                    "DELETE FROM {} WHERE pw_name = ?1 AND pw_domain = ?2",
                    table(old.active)
                );
                transaction.execute(&statement, (&user.name, &user.domain))?;
                let moved = User {
                    dir: old.dir,
                    ..user.clone()
                };
                insert(transaction, &moved, now)?;
                return Ok(true);
            }
            let statement = format!(
                "UPDATE {} SET pw_passwd = ?3, pw_uid = ?4, pw_gid = ?5, pw_gecos = ?6,
                 pw_shell = ?7, scram = ?8, timestamp = ?9 WHERE pw_name = ?1 AND pw_domain = ?2",
                table(old.active)
            );
            transaction.execute(
                &statement,
                params![
                    user.name,
                    user.domain,
                    user.password_hash,
                    user.uid_state,
                    user.gid_flags,
                    user.gecos,
                    user.quota,
                    user.scram,
                    now
                ],
            )?;
            Ok(true)
        })
    }

    pub(super) fn flags(
        &self,
        name: &str,
        domain: &str,
        set: u32,
        clear: u32,
    ) -> Result<bool, Error> {
        self.write(|transaction| Ok(change_flags(transaction, name, domain, set, clear)?))
    }

    pub(super) fn rehash(
        &self,
        user: &User,
        hash: &str,
        scram: Option<&str>,
    ) -> Result<bool, Error> {
        self.write(|transaction| {
            let mut changed = 0;
            for table in ["indimail", "indibak"] {
                let statement = format!(
                    "UPDATE {table} SET pw_passwd = ?4, scram = ?5
                     WHERE pw_name = ?1 AND pw_domain = ?2 AND pw_passwd = ?3"
                );
                changed += transaction.execute(
                    &statement,
                    params![user.name, user.domain, user.password_hash, hash, scram],
                )?;
            }
            Ok(0 < changed)
        })
    }

    pub(super) fn delete(
        &self,
        name: &str,
        domain: &str,
        placement: Option<&Placement>,
    ) -> Result<Option<User>, Error> {
        self.write(|transaction| {
            let Some(old) = transaction
                .prepare_cached(BY_NAME)?
                .query_row((name, domain), user)
                .optional()?
            else {
                return Ok(None);
            };
            for statement in [
                "DELETE FROM indimail WHERE pw_name = ?1 AND pw_domain = ?2",
                "DELETE FROM indibak WHERE pw_name = ?1 AND pw_domain = ?2",
                "DELETE FROM lastauth WHERE user = ?1 AND domain = ?2",
                "DELETE FROM userquota WHERE user = ?1 AND domain = ?2",
                "DELETE FROM valias WHERE alias = ?1 AND domain = ?2",
                "DELETE FROM valias WHERE valias_line = '&' || ?1 || '@' || ?2",
                "DELETE FROM vfilter WHERE emailid = ?1 || '@' || ?2",
                "DELETE FROM bulkmail WHERE emailid = ?1 || '@' || ?2",
                "DELETE FROM relay WHERE email = ?1 || '@' || ?2",
                "DELETE FROM vlimits WHERE domain = ?1 || '@' || ?2",
            ] {
                transaction
                    .prepare_cached(statement)?
                    .execute((name, domain))?;
            }
            if let Some(Placement::Tree { base, mount, .. }) = placement {
                free_directory(transaction, &old, base, mount)?;
            }
            Ok(Some(old))
        })
    }

    pub(super) fn forget_domain(&self, domain: &str) -> Result<(), Error> {
        self.write(|transaction| {
            for statement in [
                "DELETE FROM indimail WHERE pw_domain = ?1",
                "DELETE FROM indibak WHERE pw_domain = ?1",
                "DELETE FROM lastauth WHERE domain = ?1",
                "DELETE FROM userquota WHERE domain = ?1",
                "DELETE FROM valias WHERE domain = ?1",
                "DELETE FROM dir_free WHERE domain = ?1",
                "DELETE FROM atrn_map WHERE pw_domain = ?1",
                "DELETE FROM ip_alias_map WHERE domain = ?1",
                "DELETE FROM vlimits WHERE domain = ?1
                 OR substr(domain, -length(?1) - 1) = '@' || ?1",
                "DELETE FROM vfilter WHERE substr(emailid, -length(?1) - 1) = '@' || ?1",
                "DELETE FROM bulkmail WHERE substr(emailid, -length(?1) - 1) = '@' || ?1",
                "DELETE FROM relay WHERE substr(email, -length(?1) - 1) = '@' || ?1",
            ] {
                transaction.execute(statement, [domain])?;
            }
            let tables: Vec<String> = transaction
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dir_control*'")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for table in tables {
                let statement = format!("DELETE FROM {} WHERE domain = ?1", quoted(&table));
                transaction.execute(&statement, [domain])?;
            }
            Ok(())
        })
    }
}

/// One UPDATE with arithmetic, never read and write of the whole row.
pub(super) fn change_flags(
    transaction: &Transaction<'_>,
    name: &str,
    domain: &str,
    set: u32,
    clear: u32,
) -> rusqlite::Result<bool> {
    let mut changed = 0;
    for table in ["indimail", "indibak"] {
        changed += transaction.execute(
            &format!(
                "UPDATE {table} SET pw_gid = (COALESCE(pw_gid, 0) & ~?4) | ?3
                 WHERE pw_name = ?1 AND pw_domain = ?2"
            ),
            params![name, domain, set, clear],
        )?;
    }
    Ok(0 < changed)
}
