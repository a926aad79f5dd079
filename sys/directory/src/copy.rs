//! Copies everything from one database to another, whichever they are.
//!
//! The source is read in one transaction, in which, when it is a file,
//! nobody else can write. The target must be empty; it is filled some rows
//! at a time and emptied again when that fails. At the end both are counted.

use crate::sql::{Dialect, Failed, Row, Session, Value, quoted, values};
use crate::tables::counters;
use crate::{Directory, Error};

/// Rows of one statement, and of one transaction.
const ROWS_OF_STATEMENT: usize = 200;
const ROWS_OF_TRANSACTION: usize = 2000;
/// Times that every server can store: the first second, and the last one of
/// 32 bits.
const TIMES: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;
const MICROSECONDS: i64 = 1_000_000;

/// One table: its columns, and those of them that are times.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    times: &'static [&'static str],
}

const USERS: &[&str] = &[
    "pw_name",
    "pw_domain",
    "pw_passwd",
    "pw_uid",
    "pw_gid",
    "pw_gecos",
    "pw_dir",
    "pw_shell",
    "scram",
];

/// The order of these lines counts.
const VALIAS: &str = "valias";

const TABLES: &[Table] = &[
    Table {
        name: "indimail",
        columns: USERS,
        times: &["timestamp"],
    },
    Table {
        name: "indibak",
        columns: USERS,
        times: &["timestamp"],
    },
    Table {
        name: "relay",
        columns: &["email", "ipaddr", "timestamp"],
        times: &[],
    },
    Table {
        name: "lastauth",
        columns: &["user", "domain", "service", "remote_ip", "quota", "gecos"],
        times: &["timestamp"],
    },
    Table {
        name: "userquota",
        columns: &["user", "domain", "quota"],
        times: &["timestamp"],
    },
    Table {
        name: VALIAS,
        columns: &["alias", "domain", "valias_line"],
        times: &["timestamp"],
    },
    Table {
        name: "vfilter",
        columns: &[
            "emailid",
            "filter_no",
            "filter_name",
            "header_name",
            "comparision",
            "keyword",
            "destination",
            "bounce_action",
        ],
        times: &["timestamp"],
    },
    Table {
        name: "bulkmail",
        columns: &["emailid", "filename"],
        times: &["zztimestamp"],
    },
    Table {
        name: "vlimits",
        columns: &[
            "domain",
            "domain_expiry",
            "passwd_expiry",
            "maxpopaccounts",
            "maxaliases",
            "maxforwards",
            "maxautoresponders",
            "maxmailinglists",
            "diskquota",
            "maxmsgcount",
            "defaultquota",
            "defaultmaxmsgcount",
            "disable_pop",
            "disable_imap",
            "disable_dialup",
            "disable_passwordchanging",
            "disable_webmail",
            "disable_relay",
            "disable_smtp",
            "perm_account",
            "perm_alias",
            "perm_forward",
            "perm_autoresponder",
            "perm_maillist",
            "perm_quota",
            "perm_defaultquota",
        ],
        times: &["timestamp"],
    },
    Table {
        name: "fstab",
        columns: &[
            "filesystem",
            "host",
            "status",
            "max_users",
            "cur_users",
            "max_size",
            "cur_size",
        ],
        times: &["timestamp"],
    },
    Table {
        name: "ip_alias_map",
        columns: &["ipaddr", "domain"],
        times: &["timestamp"],
    },
    Table {
        name: "atrn_map",
        columns: &["pw_name", "pw_domain", "domain_list"],
        times: &["timestamp"],
    },
    Table {
        name: "dir_free",
        columns: &["suffix", "domain", "the_dir"],
        times: &[],
    },
    Table {
        name: "mgmttoken",
        columns: &["digest", "user", "name", "created"],
        times: &[],
    },
    Table {
        name: "app_password",
        columns: &[
            "user", "domain", "name", "passwd", "scope", "created", "lastused",
        ],
        times: &[],
    },
    Table {
        name: "hostcntrl",
        columns: &["pw_name", "pw_domain", "pw_passwd", "host"],
        times: &["timestamp"],
    },
    Table {
        name: "host_table",
        columns: &["host", "ipaddr"],
        times: &["timestamp"],
    },
    Table {
        name: "smtp_port",
        columns: &["host", "src_host", "domain", "port"],
        times: &["timestamp"],
    },
    Table {
        name: "aliasdomain",
        columns: &["alias", "domain"],
        times: &["timestamp"],
    },
    Table {
        name: "dbinfo",
        columns: &[
            "filename",
            "domain",
            "distributed",
            "server",
            "mdahost",
            "port",
            "use_ssl",
            "dbname",
            "user",
            "passwd",
        ],
        times: &["timestamp"],
    },
    Table {
        name: "mgmtaccess",
        columns: &[
            "user",
            "pass",
            "pw_uid",
            "pw_gid",
            "lastaccess",
            "lastupdate",
            "day",
            "attempts",
            "status",
        ],
        times: &["zztimestamp"],
    },
    Table {
        name: "vpriv",
        columns: &["user", "program", "cmdswitches"],
        times: &["timestamp"],
    },
    Table {
        name: "spam",
        columns: &["email", "spam_count"],
        times: &["timestamp"],
    },
    Table {
        name: "badmailfrom",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "badrcptto",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "spamdb",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "blackholedsender",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "blackholercpt",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "relaymailfrom",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "chkrcptdomains",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "goodrcptto",
        columns: &["email"],
        times: &["timestamp"],
    },
    Table {
        name: "spamignore",
        columns: &["email"],
        times: &["timestamp"],
    },
];

const COUNTERS: &[&str] = &[
    "domain",
    "cur_users",
    "level_cur",
    "level_max",
    "level_start0",
    "level_start1",
    "level_start2",
    "level_end0",
    "level_end1",
    "level_end2",
    "level_mod0",
    "level_mod1",
    "level_mod2",
    "level_index0",
    "level_index1",
    "level_index2",
    "the_dir",
];

/// How many rows a table has here and there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Count {
    /// The table.
    pub table: String,
    /// Its rows in the source.
    pub source: u64,
    /// Its rows in the target.
    pub target: u64,
}

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Somebody's rows are there.
    #[error("{place} has {rows} rows in table {table} already")]
    NotEmpty {
        /// The target.
        place: String,
        /// The first table that has rows.
        table: String,
        /// How many.
        rows: u64,
    },
    /// What arrived is not what was sent.
    #[error("table {table} has {source_rows} rows, but {target_rows} arrived")]
    Counts {
        /// Which table.
        table: String,
        /// Rows in the source.
        source_rows: u64,
        /// Rows in the target.
        target_rows: u64,
    },
    /// A database.
    #[error(transparent)]
    Directory(#[from] Error),
}

/// What a table is called and which columns it has, here and there.
#[derive(Clone)]
struct Plan {
    name: String,
    columns: Vec<&'static str>,
    times: Vec<&'static str>,
}

/// Copies all rows; `seen` is told each table and how many rows of it are
/// done. Returns what both have at the end.
pub fn copy(
    source: &Directory,
    target: &Directory,
    mut seen: impl FnMut(&str, u64, u64),
) -> Result<Vec<Count>, CopyError> {
    let plans = plans(source)?;
    for plan in &plans {
        if plan.name.starts_with("dir_control") {
            counters::define_named(&*target.database, target.dialect, &plan.name)?;
        }
        let rows = target.read(|session| count(session, &plan.name))?;
        if rows != 0 {
            return Err(CopyError::NotEmpty {
                place: target.place(),
                table: plan.name.clone(),
                rows,
            });
        }
    }
    let copied = source
        .database
        .write(&mut |session| {
            for plan in &plans {
                copy_table(session, target, plan, &mut seen)?;
            }
            Ok(())
        })
        .map_err(CopyError::from)
        .and_then(|()| compare(source, target, &plans));
    if copied.is_err() {
        // It was empty before: nothing of anybody's goes.
        let _ = empty(target);
    }
    copied
}

/// Says how many rows each table has.
pub fn counts(directory: &Directory) -> Result<Vec<(String, u64)>, Error> {
    let plans = plans(directory)?;
    directory.read(|session| {
        let rows = |plan: &Plan| Ok((plan.name.clone(), count(&mut *session, &plan.name)?));
        plans.iter().map(rows).collect()
    })
}

/// Deletes every row of every table.
pub fn empty(directory: &Directory) -> Result<(), Error> {
    for plan in plans(directory)? {
        let statement = format!("DELETE FROM {}", quoted(&plan.name)?);
        directory.write(|session| session.execute(&statement, &[]).map(drop))?;
    }
    Ok(())
}

/// The tables a database has.
fn plans(directory: &Directory) -> Result<Vec<Plan>, Error> {
    directory.read(|session| {
        let there = counters::names(session)?;
        let mut plans = Vec::new();
        for table in TABLES {
            if !there
                .iter()
                .any(|name| name.eq_ignore_ascii_case(table.name))
            {
                continue;
            }
            let columns = table.columns.iter().copied();
            plans.push(Plan {
                name: table.name.to_owned(),
                columns: columns
                    .filter(|column| *column != "scram" || session.has_scram())
                    .collect(),
                times: table.times.to_vec(),
            });
        }
        for name in counters::tables(session)? {
            plans.push(Plan {
                name,
                columns: COUNTERS.to_vec(),
                times: vec!["timestamp"],
            });
        }
        Ok(plans)
    })
}

fn count(session: &mut dyn Session, table: &str) -> Result<u64, Failed> {
    let statement = format!("SELECT COUNT(*) FROM {}", quoted(table)?);
    let row = session.first(&statement, values![])?;
    Ok(row.map_or(0, |row| row.integer(0)).unsigned_abs())
}

fn copy_table(
    source: &mut dyn Session,
    target: &Directory,
    plan: &Plan,
    seen: &mut dyn FnMut(&str, u64, u64),
) -> Result<(), Failed> {
    let total = count(source, &plan.name)?;
    let mut waiting: Vec<Vec<Value>> = Vec::new();
    let mut order = Order::default();
    let mut done = 0;
    let in_order = plan.name == VALIAS;
    source.each(&plan.select(source.dialect())?, &mut |row| {
        let mut row = plan.row(row);
        if in_order && target.dialect == Dialect::Mysql {
            order.keep(&mut row);
        }
        waiting.push(row);
        if waiting.len() == ROWS_OF_TRANSACTION {
            plan.insert(target, &waiting)?;
            done += waiting.len() as u64;
            waiting.clear();
            seen(&plan.name, done, total);
        }
        Ok(())
    })?;
    plan.insert(target, &waiting)?;
    seen(&plan.name, total, total);
    Ok(())
}

impl Plan {
    /// All rows, times as seconds.
    fn select(&self, dialect: Dialect) -> Result<String, Error> {
        let times = self.times.iter().map(|time| match dialect {
            Dialect::Sqlite => (*time).to_owned(),
            Dialect::Mysql => format!("CAST(UNIX_TIMESTAMP({time}) AS SIGNED)"),
        });
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| (*column).to_owned())
            .chain(times)
            .collect();
        let order = match (self.name.as_str(), dialect) {
            (VALIAS, Dialect::Sqlite) => " ORDER BY rowid",
            (VALIAS, Dialect::Mysql) => " ORDER BY timestamp, valias_line",
            ("dir_free", Dialect::Sqlite) => " ORDER BY rowid",
            ("dir_free", Dialect::Mysql) => " ORDER BY id",
            _ => "",
        };
        Ok(format!(
            "SELECT {} FROM {}{order}",
            columns.join(", "),
            quoted(&self.name)?
        ))
    }

    /// The values of a row, its times such that every server has them.
    fn row(&self, row: Row) -> Vec<Value> {
        let Row(mut values) = row;
        for value in values.iter_mut().skip(self.columns.len()) {
            let time = match value {
                Value::Integer(time) => *time,
                _ => 0,
            };
            *value = Value::Integer(time.clamp(*TIMES.start(), *TIMES.end()));
        }
        values
    }

    fn insert(&self, target: &Directory, rows: &[Vec<Value>]) -> Result<(), Failed> {
        let names: Vec<&str> = self.columns.iter().chain(&self.times).copied().collect();
        let mut places = vec!["?"; self.columns.len()];
        places.resize(names.len(), "FROM_UNIXTIME(?)");
        let places = format!("({})", places.join(", "));
        let head = format!(
            "INSERT INTO {} ({}) VALUES ",
            quoted(&self.name)?,
            names.join(", ")
        );
        let written = target.write(|session| {
            for some in rows.chunks(ROWS_OF_STATEMENT) {
                let statement = format!("{head}{}", vec![places.as_str(); some.len()].join(", "));
                match session.execute(&statement, &some.concat()) {
                    Err(Failed::Duplicate) => {
                        return Err(self.duplicate(session, &head, &places, some));
                    }
                    other => other.map(drop)?,
                }
            }
            Ok(())
        });
        Ok(written?)
    }

    /// Finds out which row it was: names that differ in the one database may
    /// be the same in the other.
    fn duplicate(
        &self,
        session: &mut dyn Session,
        head: &str,
        places: &str,
        rows: &[Vec<Value>],
    ) -> Failed {
        let statement = format!("{head}{places}");
        for row in rows {
            if let Err(Failed::Duplicate) = session.execute(&statement, row) {
                let key: Vec<String> = row.iter().take(3).map(shown).collect();
                return Failed::Told(Error::Exists(format!(
                    "{} (table {})",
                    key.join(" "),
                    self.name
                )));
            }
        }
        Failed::Duplicate
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.escape_debug().to_string(),
    }
}

/// Gives lines that came one after the other times that do.
#[derive(Default)]
struct Order {
    last: i64,
}

impl Order {
    fn keep(&mut self, row: &mut [Value]) {
        let Some(Value::Integer(seconds)) = row.last() else {
            return;
        };
        self.last = (seconds * MICROSECONDS).max(self.last + 1);
        let time = format!(
            "{}.{:06}",
            self.last / MICROSECONDS,
            self.last % MICROSECONDS
        );
        if let Some(value) = row.last_mut() {
            *value = Value::Text(time);
        }
    }
}

fn compare(
    source: &Directory,
    target: &Directory,
    plans: &[Plan],
) -> Result<Vec<Count>, CopyError> {
    let mut counts = Vec::new();
    for plan in plans {
        let rows = |directory: &Directory| directory.read(|session| count(session, &plan.name));
        let (source_rows, target_rows) = (rows(source)?, rows(target)?);
        if source_rows != target_rows {
            return Err(CopyError::Counts {
                table: plan.name.clone(),
                source_rows,
                target_rows,
            });
        }
        counts.push(Count {
            table: plan.name.clone(),
            source: source_rows,
            target: target_rows,
        });
    }
    Ok(counts)
}
