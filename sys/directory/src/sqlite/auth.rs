//! Rows of `lastauth` and `userquota`; the trait put together.

use rusqlite::params;

use super::Sqlite;
use super::user::change_flags;
use crate::store::Store;
use crate::user::flags::BOUNCE_MAIL;
use crate::{Alias, Error, LastAuth, Placement, User};

impl Store for Sqlite {
    fn find_user(&self, name: &str, domain: &str) -> Result<Option<User>, Error> {
        self.find(name, domain)
    }

    fn users(&self, domain: &str) -> Result<Vec<User>, Error> {
        self.list(domain)
    }

    fn count_users(&self, domain: &str) -> Result<u64, Error> {
        self.count(domain)
    }

    fn add_user(&self, user: &User, placement: &Placement, now: i64) -> Result<User, Error> {
        self.add(user, placement, now)
    }

    fn update_user(&self, user: &User, now: i64) -> Result<bool, Error> {
        self.update(user, now)
    }

    fn change_flags(&self, name: &str, domain: &str, set: u32, clear: u32) -> Result<bool, Error> {
        self.flags(name, domain, set, clear)
    }

    fn replace_hash(&self, user: &User, hash: &str, scram: Option<&str>) -> Result<bool, Error> {
        self.rehash(user, hash, scram)
    }

    fn delete_user(
        &self,
        name: &str,
        domain: &str,
        placement: Option<&Placement>,
    ) -> Result<Option<User>, Error> {
        self.delete(name, domain, placement)
    }

    fn delete_domain(&self, domain: &str) -> Result<(), Error> {
        self.forget_domain(domain)
    }

    fn aliases(&self, name: &str, domain: &str) -> Result<Vec<String>, Error> {
        self.lines(name, domain)
    }

    fn domain_aliases(&self, domain: &str) -> Result<Vec<Alias>, Error> {
        self.lines_of_domain(domain)
    }

    fn aliases_with_line(&self, lines: &[&str]) -> Result<Vec<Alias>, Error> {
        self.with_line(lines)
    }

    fn add_alias(&self, alias: &Alias, now: i64) -> Result<bool, Error> {
        self.insert_line(alias, now)
    }

    fn delete_alias(&self, alias: &Alias) -> Result<bool, Error> {
        self.delete_line(alias)
    }

    fn replace_alias(&self, old: &Alias, new_line: &str, now: i64) -> Result<bool, Error> {
        self.replace_line(old, new_line, now)
    }

    fn record_auth(&self, user: &User, auth: &LastAuth) -> Result<(), Error> {
        // The column is 32 bits wide elsewhere.
        let usage = auth.usage.clamp(0, i64::from(i32::MAX));
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "REPLACE INTO lastauth
                     (user, domain, service, remote_ip, quota, gecos, timestamp)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    user.name,
                    user.domain,
                    auth.service,
                    auth.remote_ip,
                    usage,
                    user.gecos,
                    auth.time
                ])?;
            Ok(())
        })
    }

    fn last_auth(&self, name: &str, domain: &str) -> Result<Vec<LastAuth>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT service, remote_ip, quota, timestamp FROM lastauth
                     WHERE user = ?1 AND domain = ?2 ORDER BY timestamp",
                )?
                .query_map((name, domain), |row| {
                    Ok(LastAuth {
                        service: row.get(0)?,
                        remote_ip: row.get(1)?,
                        usage: row.get(2)?,
                        time: row.get(3)?,
                    })
                })?
                .collect()
        })
    }

    fn mark_over_quota(&self, name: &str, domain: &str, usage: u64, now: i64) -> Result<(), Error> {
        self.write(|transaction| {
            change_flags(transaction, name, domain, BOUNCE_MAIL, 0)?;
            transaction.execute(
                "REPLACE INTO userquota (user, domain, quota, timestamp) VALUES (?1, ?2, ?3, ?4)",
                params![name, domain, i64::try_from(usage).unwrap_or(i64::MAX), now],
            )?;
            Ok(())
        })
    }

    fn clear_over_quota(&self, name: &str, domain: &str) -> Result<(), Error> {
        self.write(|transaction| {
            change_flags(transaction, name, domain, 0, BOUNCE_MAIL)?;
            transaction.execute(
                "DELETE FROM userquota WHERE user = ?1 AND domain = ?2",
                (name, domain),
            )?;
            Ok(())
        })
    }

    fn has_clear_text_secrets(&self) -> Result<bool, Error> {
        self.read(|connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM indimail
                 WHERE scram LIKE '{CRAM}%' OR scram LIKE '{SCRAM-SHA-%}%:%:%')",
                [],
                |row| row.get(0),
            )
        })
    }
}
