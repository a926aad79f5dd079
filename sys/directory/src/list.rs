//! Small tables that an administrator edits row by row.
//!
//! Each is described once, by its name and columns; the statements are made
//! from that. Values are bound and checked against the widths of the columns.

use crate::sql::{Dialect, Failed, Value, values};
use crate::{Directory, Error, value};

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Its name.
    pub name: &'static str,
    /// Its columns, and how many bytes they hold; 0 is a number.
    pub columns: &'static [(&'static str, usize)],
    /// How many of them, from the first on, say which row it is.
    pub keys: usize,
    /// The column with the time of the last change.
    pub time: Option<&'static str>,
}

/// Which domain an address of this host is (`vipmap`).
pub const IP_MAP: List = List {
    name: "ip_alias_map",
    columns: &[("ipaddr", 46), ("domain", value::DOMAIN_BYTES_MAX)],
    keys: 1,
    time: TIMESTAMP,
};
/// Whose mail a user may fetch with ATRN (`vatrn`).
pub const ATRN_MAP: List = List {
    name: "atrn_map",
    columns: &[
        ("pw_name", value::USER_BYTES_MAX),
        ("pw_domain", value::DOMAIN_BYTES_MAX),
        ("domain_list", value::DOMAIN_BYTES_MAX),
    ],
    keys: 3,
    time: TIMESTAMP,
};
/// Addresses of the hosts of a cluster (`vhostid`).
pub const HOSTS: List = List {
    name: "host_table",
    columns: &[("host", 64), ("ipaddr", 46)],
    keys: 1,
    time: TIMESTAMP,
};
/// Ports of the hosts of a cluster (`vsmtp`).
pub const PORTS: List = List {
    name: "smtp_port",
    columns: &[("domain", 64), ("host", 64), ("src_host", 64), ("port", 0)],
    keys: 3,
    time: TIMESTAMP,
};
/// On which host a user is (`hostcntrl`).
pub const USER_HOSTS: List = List {
    name: "hostcntrl",
    columns: &[
        ("pw_name", value::USER_BYTES_MAX),
        ("pw_domain", value::DOMAIN_BYTES_MAX),
        ("pw_passwd", value::HASH_BYTES_MAX),
        ("host", 64),
    ],
    keys: 2,
    time: TIMESTAMP,
};
/// What operators may run (`vpriv`).
pub const PRIVILEGES: List = List {
    name: "vpriv",
    columns: &[("user", 32), ("program", 64), ("cmdswitches", 128)],
    keys: 2,
    time: TIMESTAMP,
};
/// Operators and their passwords (`mgmtpass`).
pub const OPERATORS: List = List {
    name: "mgmtaccess",
    columns: &[
        ("user", 32),
        ("pass", value::HASH_BYTES_MAX),
        ("pw_uid", 0),
        ("pw_gid", 0),
        ("lastaccess", 0),
        ("lastupdate", 0),
        ("day", 2),
        ("attempts", 0),
        ("status", 2),
    ],
    keys: 1,
    time: Some("zztimestamp"),
};
/// Database servers of domains (`dbinfo`).
pub const SERVERS: List = List {
    name: "dbinfo",
    columns: &[
        ("filename", 128),
        ("domain", 64),
        ("server", 28),
        ("mdahost", 28),
        ("port", 0),
        ("dbname", 28),
        ("user", 28),
        ("passwd", 28),
        ("distributed", 0),
        ("use_ssl", 0),
    ],
    keys: 8,
    time: TIMESTAMP,
};
/// File systems with homes (`vfstab`).
pub const FILE_SYSTEMS: List = List {
    name: "fstab",
    columns: &[
        ("filesystem", 64),
        ("host", 64),
        ("status", 0),
        ("max_users", 0),
        ("cur_users", 0),
        ("max_size", 0),
        ("cur_size", 0),
    ],
    keys: 2,
    time: TIMESTAMP,
};
/// Who may relay for a while after reading mail (`clearopensmtp`).
pub const RELAY: List = List {
    name: "relay",
    columns: &[("email", 96), ("ipaddr", 46), ("timestamp", 0)],
    keys: 2,
    time: None,
};
/// Bulletins that wait for the next login of a user (`vbulletin -S`).
pub const BULLETINS: List = List {
    name: "bulkmail",
    columns: &[("emailid", 107), ("filename", 64)],
    keys: 2,
    time: Some("zztimestamp"),
};

const TIMESTAMP: Option<&str> = Some("timestamp");

/// A column and its value: all of these must be so.
pub type Wanted<'a> = &'a [(&'a str, Value)];

impl Directory {
    /// The rows with these values, in the order of their keys.
    pub fn rows(&self, list: &List, wanted: Wanted<'_>) -> Result<Vec<Vec<Value>>, Error> {
        let statement = format!(
            "SELECT {} FROM {}{} ORDER BY {}",
            list.names().join(", "),
            list.name,
            list.condition(wanted)?,
            list.names()[..list.keys].join(", ")
        );
        let rows = self.read(|session| session.query(&statement, &texts(wanted)))?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// When rows were last changed, in the order of [`Directory::rows`].
    pub fn times(&self, list: &List, wanted: Wanted<'_>) -> Result<Vec<i64>, Error> {
        let Some(time) = list.time else {
            return Ok(Vec::new());
        };
        let statement = format!(
            "SELECT UNIX_TIMESTAMP({time}) FROM {}{} ORDER BY {}",
            list.name,
            list.condition(wanted)?,
            list.names()[..list.keys].join(", ")
        );
        let rows = self.read(|session| session.query(&statement, &texts(wanted)))?;
        Ok(rows.iter().map(|row| row.integer(0)).collect())
    }

    /// Adds a row; `false` when there is one with its key.
    pub fn add_row(&self, list: &List, row: &[Value]) -> Result<bool, Error> {
        self.insert_row(list, row, "INSERT")
    }

    /// Adds a row, in place of the one with its key.
    pub fn put_row(&self, list: &List, row: &[Value]) -> Result<(), Error> {
        self.insert_row(list, row, "REPLACE").map(drop)
    }

    fn insert_row(&self, list: &List, row: &[Value], verb: &str) -> Result<bool, Error> {
        list.check(list.names().into_iter().zip(row))?;
        let mut names = list.names();
        let mut places = vec!["?"; row.len()];
        let mut row = row.to_vec();
        if let Some(time) = list.time {
            names.push(time);
            places.push("FROM_UNIXTIME(?)");
            row.push(os::clock::unix_seconds().into());
        }
        let statement = format!(
            "{verb} INTO {} ({}) VALUES ({})",
            list.name,
            names.join(", "),
            places.join(", ")
        );
        self.write(|session| match session.execute(&statement, &row) {
            Ok(_) => Ok(true),
            Err(Failed::Duplicate) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Changes the rows with these values; says how many there are.
    pub fn change_rows(
        &self,
        list: &List,
        change: Wanted<'_>,
        wanted: Wanted<'_>,
    ) -> Result<u64, Error> {
        list.check(change.iter().map(|(name, value)| (*name, value)))?;
        let mut set: Vec<String> = Vec::new();
        for (name, _) in change {
            set.push(format!("{} = ?", list.column(name)?));
        }
        let mut row = texts(change);
        if let Some(time) = list.time {
            set.push(format!("{time} = FROM_UNIXTIME(?)"));
            row.push(os::clock::unix_seconds().into());
        }
        row.extend(texts(wanted));
        let statement = format!(
            "UPDATE {} SET {}{}",
            list.name,
            set.join(", "),
            list.condition(wanted)?
        );
        self.write(|session| match session.execute(&statement, &row) {
            Err(Failed::Duplicate) => Err(Error::Value {
                field: "row",
                problem: "is there already".to_owned(),
            }
            .into()),
            other => other,
        })
    }

    /// Deletes the rows with these values; says how many there were.
    pub fn delete_rows(&self, list: &List, wanted: Wanted<'_>) -> Result<u64, Error> {
        let statement = format!("DELETE FROM {}{}", list.name, list.condition(wanted)?);
        self.write(|session| session.execute(&statement, &texts(wanted)))
    }

    /// Adds to a number, in one step: others do so at the same time.
    pub fn add_to(
        &self,
        list: &List,
        column: &str,
        difference: i64,
        wanted: Wanted<'_>,
    ) -> Result<u64, Error> {
        let column = list.column(column)?;
        let statement = format!(
            "UPDATE {} SET {column} = {column} + ?{}",
            list.name,
            list.condition(wanted)?
        );
        let mut row = vec![Value::from(difference)];
        row.extend(texts(wanted));
        self.write(|session| session.execute(&statement, &row))
    }

    /// Replaces an address in a column of a table; says how many rows had it.
    pub fn replace_address(
        &self,
        table: &str,
        column: &str,
        old: &str,
        new: &str,
    ) -> Result<u64, Error> {
        let (table, column) = (crate::sql::quoted(table)?, crate::sql::quoted(column)?);
        value::check_name("address", new, 46)?;
        let statement = format!("UPDATE {table} SET {column} = ? WHERE {column} = ?");
        self.write(|session| session.execute(&statement, values![new, old]))
    }

    /// Deletes what is older than a time from [`RELAY`].
    pub fn clear_relay(&self, before: i64) -> Result<u64, Error> {
        self.write(|session| {
            session.execute("DELETE FROM relay WHERE timestamp <= ?", values![before])
        })
    }

    /// The addresses in [`RELAY`] that are younger than a time, each once.
    pub fn relay_addresses(&self, after: i64) -> Result<Vec<String>, Error> {
        let rows = self.read(|session| {
            session.query(
                "SELECT DISTINCT ipaddr FROM relay WHERE ? < timestamp ORDER BY ipaddr",
                values![after],
            )
        })?;
        Ok(rows.iter().map(|row| row.text(0)).collect())
    }

    /// Says whether statements run on a server that several hosts share.
    pub fn is_on_server(&self) -> bool {
        self.dialect == Dialect::Mysql
    }
}

impl List {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// A name that is put into a statement comes from here.
    fn column(&self, wanted: &str) -> Result<&'static str, Error> {
        let mut names = self.columns.iter().map(|(name, _)| *name);
        names.find(|name| *name == wanted).ok_or(Error::Value {
            field: "column",
            problem: "is not one of this table".to_owned(),
        })
    }

    fn condition(&self, wanted: Wanted<'_>) -> Result<String, Error> {
        let mut parts = Vec::new();
        for (name, _) in wanted {
            parts.push(format!("{} = ?", self.column(name)?));
        }
        Ok(match parts.as_slice() {
            [] => String::new(),
            parts => format!(" WHERE {}", parts.join(" AND ")),
        })
    }

    fn check<'a>(&self, row: impl Iterator<Item = (&'a str, &'a Value)>) -> Result<(), Error> {
        for (name, value) in row {
            let column = self.columns.iter().find(|(column, _)| *column == name);
            if let (Some((column, bytes_max)), Value::Text(text)) = (column, value) {
                value::check_text(column, text, *bytes_max)?;
            }
        }
        Ok(())
    }
}

fn texts(wanted: Wanted<'_>) -> Vec<Value> {
    wanted.iter().map(|(_, value)| value.clone()).collect()
}
