//! Rows of `dir_control…` tables: which directory a home goes to.

use std::path::Path;

use crate::sql::{Database, Dialect, Failed, Session, quoted, values};
use crate::tree::{BadDirectory, Counters, Prefix};
use crate::{Error, MountTag, User};

/// The columns of a table of counters, in both dialects.
const COLUMNS: &str = "domain CHAR(67) NOT NULL UNIQUE,
    cur_users INT, level_cur INT, level_max INT,
    level_start0 INT, level_start1 INT, level_start2 INT,
    level_end0 INT, level_end1 INT, level_end2 INT,
    level_mod0 INT, level_mod1 INT, level_mod2 INT,
    level_index0 INT, level_index1 INT, level_index2 INT,
    the_dir CHAR(156)";

/// The tree of one domain, prefix and file system.
pub struct Tree<'a> {
    /// First part of the way.
    pub prefix: Prefix,
    domain: &'a str,
    suffix: String,
}

impl<'a> Tree<'a> {
    /// Where a user's home is.
    pub fn of(user: &str, domain: &'a str, mount: &MountTag) -> Self {
        let prefix = Prefix::of(user);
        Self {
            prefix,
            domain,
            suffix: mount.suffix(prefix),
        }
    }

    fn table(&self) -> Result<String, Error> {
        quoted(&format!("dir_control{}", self.suffix))
    }

    /// Makes its table when there is none.
    pub fn define(&self, database: &dyn Database, dialect: Dialect) -> Result<(), Error> {
        define_named(database, dialect, &format!("dir_control{}", self.suffix))
    }
}

/// Makes a table of counters when there is none.
pub fn define_named(database: &dyn Database, dialect: Dialect, name: &str) -> Result<(), Error> {
    let time = match dialect {
        Dialect::Sqlite => "timestamp INTEGER NOT NULL DEFAULT 0",
        Dialect::Mysql => {
            "timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
        }
    };
    database.define(name, &format!("{COLUMNS}, {time}"))
}

/// The directory for one more user: a freed one, else the next.
pub fn take(
    session: &mut dyn Session,
    tree: &Tree<'_>,
    per_level: u32,
    now: i64,
) -> Result<String, Failed> {
    let table = tree.table()?;
    let lock = session.dialect().for_update();
    let number = session.dialect().row_number();
    let row = session.first(
        &format!("SELECT cur_users, the_dir FROM {table} WHERE domain = ?{lock}"),
        values![tree.domain],
    )?;
    let (cur_users, the_dir) = row.map_or((0, String::new()), |row| (row.integer(0), row.text(1)));
    let mut counters = Counters::new(cur_users, &the_dir).map_err(damaged)?;
    let freed = session.first(
        &format!(
            "SELECT {number}, the_dir FROM dir_free WHERE suffix = ? AND domain = ?
             ORDER BY {number} LIMIT 1{lock}"
        ),
        values![&tree.suffix, tree.domain],
    )?;
    let directory = match freed {
        Some(row) => {
            session.execute(
                &format!("DELETE FROM dir_free WHERE {number} = ?"),
                values![row.integer(0)],
            )?;
            counters.cur_users += 1;
            // The same check that a stored directory gets.
            let freed = Counters::new(0, &row.text(1)).map_err(damaged)?;
            freed.directory()
        }
        None => counters.next(per_level),
    };
    session.execute(
        &format!(
            "REPLACE INTO {table} (domain, cur_users, level_cur, level_max,
             level_start0, level_start1, level_start2, level_end0, level_end1, level_end2,
             level_mod0, level_mod1, level_mod2, level_index0, level_index1, level_index2,
             the_dir, timestamp)
             VALUES (?, ?, ?, 3, 0, 0, 0, 61, 61, 61, 0, 2, 4, ?, ?, ?, ?, FROM_UNIXTIME(?))"
        ),
        values![
            tree.domain,
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

/// Counts one user less; remembers its directory when it had a hash.
pub fn free(
    session: &mut dyn Session,
    user: &User,
    base: &Path,
    tree: &Tree<'_>,
) -> Result<(), Failed> {
    let below = base.join(tree.prefix.directory).join(&user.domain);
    let Ok(rest) = user.dir.strip_prefix(&below) else {
        return Ok(());
    };
    let table = tree.table()?;
    session.execute(
        &format!("UPDATE {table} SET cur_users = cur_users - 1 WHERE domain = ? AND 0 < cur_users"),
        values![tree.domain],
    )?;
    let hash = rest.parent().and_then(Path::to_str).unwrap_or_default();
    if !hash.is_empty() && Counters::new(0, hash).is_ok() {
        session.execute(
            "INSERT INTO dir_free (suffix, domain, the_dir) VALUES (?, ?, ?)",
            values![&tree.suffix, tree.domain, hash],
        )?;
    }
    Ok(())
}

/// How far a tree has grown: one row of a table of counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    /// End of the name of its table, like `_home_A2E`.
    pub suffix: String,
    /// Users in it.
    pub cur_users: i64,
    /// `level_cur` and `level_max`.
    pub levels: [i64; 2],
    /// `level_start0` to `level_start2`.
    pub starts: [i64; 3],
    /// `level_end0` to `level_end2`.
    pub ends: [i64; 3],
    /// `level_mod0` to `level_mod2`.
    pub places: [i64; 3],
    /// `level_index0` to `level_index2`.
    pub indexes: [i64; 3],
    /// Where homes go now; empty until the first directory is full.
    pub the_dir: String,
}

/// The trees of a domain.
pub fn states(session: &mut dyn Session, domain: &str) -> Result<Vec<State>, Failed> {
    let mut states = Vec::new();
    for table in tables(session)? {
        let statement = format!(
            "SELECT cur_users, level_cur, level_max, level_start0, level_start1, level_start2,
             level_end0, level_end1, level_end2, level_mod0, level_mod1, level_mod2,
             level_index0, level_index1, level_index2, the_dir FROM {} WHERE domain = ?",
            quoted(&table)?
        );
        let Some(row) = session.first(&statement, values![domain])? else {
            continue;
        };
        let three = |at| [row.integer(at), row.integer(at + 1), row.integer(at + 2)];
        states.push(State {
            suffix: table.trim_start_matches("dir_control").to_owned(),
            cur_users: row.integer(0),
            levels: [row.integer(1), row.integer(2)],
            starts: three(3),
            ends: three(6),
            places: three(9),
            indexes: three(12),
            the_dir: row.text(15),
        });
    }
    states.sort_by(|one, other| one.suffix.cmp(&other.suffix));
    Ok(states)
}

/// Forgets how far the trees of a domain have grown, and what was freed.
pub fn reset(session: &mut dyn Session, domain: &str) -> Result<(), Failed> {
    for table in tables(session)? {
        let statement = format!("DELETE FROM {} WHERE domain = ?", quoted(&table)?);
        session.execute(&statement, values![domain])?;
    }
    session.execute("DELETE FROM dir_free WHERE domain = ?", values![domain])?;
    Ok(())
}

/// The tables of counters there are.
pub fn tables(session: &mut dyn Session) -> Result<Vec<String>, Failed> {
    let names = names(session)?.into_iter();
    // A name we would not have made is not ours to touch.
    let ours = |name: &String| name.starts_with("dir_control") && quoted(name).is_ok();
    Ok(names.filter(ours).collect())
}

/// All tables there are.
pub fn names(session: &mut dyn Session) -> Result<Vec<String>, Failed> {
    let statement = match session.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        Dialect::Mysql => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        }
    };
    let rows = session.query(statement, &[])?;
    Ok(rows.iter().map(|row| row.text(0)).collect())
}

fn damaged(error: BadDirectory) -> Error {
    Error::Damaged {
        place: "(table dir_control)".to_owned(),
        what: error.to_string(),
    }
}
