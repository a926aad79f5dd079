//! All rows of a domain at once.

use std::path::{Path, PathBuf};

use crate::sql::{Failed, Session, ending_with, quoted, values};
use crate::tables::user::{delete_addresses, path_text};
use crate::tables::{alias, counters};

/// Tables with a column that is the domain.
const BY_DOMAIN: &[(&str, &str)] = &[
    ("indimail", "pw_domain"),
    ("indibak", "pw_domain"),
    ("lastauth", "domain"),
    ("userquota", "domain"),
    ("app_password", "domain"),
    ("valias", "domain"),
    ("dir_free", "domain"),
    ("atrn_map", "pw_domain"),
    ("ip_alias_map", "domain"),
    ("vlimits", "domain"),
    ("smtp_port", "domain"),
    ("hostcntrl", "pw_domain"),
    ("aliasdomain", "domain"),
];

/// Tables with a column that is an address.
const BY_ADDRESS: &[(&str, &str)] = &[
    ("vlimits", "domain"),
    ("vfilter", "emailid"),
    ("bulkmail", "emailid"),
    ("relay", "email"),
];

/// Deletes every row of a domain.
pub fn delete(session: &mut dyn Session, domain: &str) -> Result<(), Failed> {
    for (table, column) in BY_DOMAIN {
        let statement = format!("DELETE FROM {table} WHERE {column} = ?");
        session.execute(&statement, values![domain])?;
    }
    for (table, column) in BY_ADDRESS {
        delete_addresses(session, table, column, domain)?;
    }
    for table in counters::tables(session)? {
        let statement = format!("DELETE FROM {} WHERE domain = ?", quoted(&table)?);
        session.execute(&statement, values![domain])?;
    }
    Ok(())
}

/// Gives a domain another name, in every row of it.
pub fn rename(
    session: &mut dyn Session,
    old: &str,
    new: &str,
    moved: &dyn Fn(&Path) -> Option<PathBuf>,
    now: i64,
) -> Result<(), Failed> {
    move_homes(session, old, moved, now)?;
    for (table, column) in BY_DOMAIN {
        let time = keep_time(session, table);
        let statement = format!("UPDATE {table} SET {column} = ?{time} WHERE {column} = ?");
        session.execute(&statement, values![new, old])?;
    }
    for table in counters::tables(session)? {
        let statement = format!("UPDATE {} SET domain = ? WHERE domain = ?", quoted(&table)?);
        session.execute(&statement, values![new, old])?;
    }
    for (table, column) in BY_ADDRESS {
        rename_addresses(session, table, column, (old, new))?;
    }
    rename_addresses(session, "valias", "valias_line", (old, new))
}

/// The order of the lines of an alias is in their times.
fn keep_time(session: &dyn Session, table: &str) -> &'static str {
    match (table, session.dialect()) {
        ("valias", crate::sql::Dialect::Mysql) => ", timestamp = timestamp",
        _ => "",
    }
}

/// Homes, and the lines of aliases that name them.
fn move_homes(
    session: &mut dyn Session,
    domain: &str,
    moved: &dyn Fn(&Path) -> Option<PathBuf>,
    now: i64,
) -> Result<(), Failed> {
    for table in ["indimail", "indibak"] {
        let select = format!("SELECT pw_name, pw_dir FROM {table} WHERE pw_domain = ?");
        for row in session.query(&select, values![domain])? {
            let Some(new) = moved(Path::new(&row.text(1))) else {
                continue;
            };
            crate::value::check_directory(&new)?;
            let update = format!(
                "UPDATE {table} SET pw_dir = ?, timestamp = FROM_UNIXTIME(?)
                 WHERE pw_name = ? AND pw_domain = ?"
            );
            session.execute(&update, values![path_text(&new)?, now, row.text(0), domain])?;
        }
    }
    for line in alias::lines_of_domain(session, domain)? {
        let Some(path) = line.line.strip_suffix('/').filter(|l| l.starts_with('/')) else {
            continue;
        };
        if let Some(new) = moved(Path::new(path)) {
            let new = format!("{}/", path_text(&new)?);
            crate::value::check_line(&new)?;
            alias::replace(session, &line, &new)?;
        }
    }
    Ok(())
}

/// Texts that end with an address of the domain.
fn rename_addresses(
    session: &mut dyn Session,
    table: &str,
    column: &str,
    (old, new): (&str, &str),
) -> Result<(), Failed> {
    let end = format!("@{old}");
    let select = format!("SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE ? ESCAPE '!'");
    let time = keep_time(session, table);
    let update = format!("UPDATE {table} SET {column} = ?{time} WHERE {column} = ?");
    for row in session.query(&select, values![ending_with(&end)])? {
        let text = row.text(0);
        // A program keeps its words: nobody can say what they mean.
        if text.starts_with(['|', '/']) || text.len() < end.len() {
            continue;
        }
        let Some(local) = text.get(..text.len() - end.len()) else {
            continue;
        };
        session.execute(&update, values![format!("{local}@{new}"), &text])?;
    }
    Ok(())
}
