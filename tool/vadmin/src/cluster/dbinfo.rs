//! dbinfo: the database servers of each domain, in `mcdinfo` and in the
//! cluster.

use std::ffi::OsString;
use std::fs::File;

use clap::Parser;
use directory::list::SERVERS;
use directory::{Cell, Central, Directory};
use run::Exit;

use super::mcdinfo::{self, Record};
use crate::show::text;
use crate::site::{Site, file, permanent, refused, value_domain};

/// Clocks of hosts may differ by this much; then the table is believed.
const TOLERANCE_SECONDS: i64 = 5;

/// Shows and changes the database servers of domains: file `mcdinfo`, and in
/// a cluster the table dbinfo; the newer of both is believed.
///
/// Exit codes: 0 done, 1 nothing found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "dbinfo", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Add a record
    #[arg(short = 'i', group = "what")]
    insert: bool,
    /// Change the record of a domain and a host of mailboxes
    #[arg(short = 'u', group = "what")]
    update: bool,
    /// Remove the records of a domain, or of a host of it
    #[arg(short = 'r', group = "what")]
    remove: bool,
    /// Show
    #[arg(short = 's', group = "what")]
    show: bool,
    /// One line each
    #[arg(short = 'l')]
    line: bool,
    /// The domain
    #[arg(short = 'd', value_name = "DOMAIN")]
    domain: Option<String>,
    /// Its users are on several hosts
    #[arg(short = 'c')]
    distributed: bool,
    /// Database server
    #[arg(short = 'S', value_name = "SERVER")]
    server: Option<String>,
    /// Its port, or the path of its socket
    #[arg(short = 'p', value_name = "PORT", default_value = "3306")]
    port: String,
    /// Encrypt the connection
    #[arg(short = 'o')]
    use_ssl: bool,
    /// Database there
    #[arg(short = 'D', value_name = "DATABASE", default_value = "indimail")]
    database: String,
    /// Account there
    #[arg(short = 'U', value_name = "USER", default_value = "indimail")]
    user: String,
    /// Password there; others can see it while this runs
    #[arg(short = 'P', value_name = "PASSWORD")]
    password: Option<String>,
    /// Host of the mailboxes
    #[arg(short = 'm', value_name = "HOST")]
    mdahost: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let mut records = synchronised(&site)?;
    if !arguments.insert && !arguments.update && !arguments.remove {
        return arguments.print(&records);
    }
    let domain = arguments
        .domain
        .as_deref()
        .ok_or_else(|| permanent("which domain? -d"))?;
    value_domain(domain)?;
    let same = |record: &Record| {
        record.domain == domain
            && arguments
                .mdahost
                .as_ref()
                .is_none_or(|host| record.mdahost == *host)
    };
    let there = records.iter().any(same);
    if arguments.insert && there && arguments.mdahost.is_some() {
        return Err(permanent(format!(
            "{domain} has this record already; -u changes it"
        )));
    }
    if !arguments.insert && !there {
        return Err(Exit::new(1, format!("{domain}: no such record")));
    }
    if !arguments.insert {
        records.retain(|record| !same(record));
    }
    if !arguments.remove {
        records.push(arguments.record(domain)?);
    }
    mcdinfo::write(&site, &records)?;
    write_table(&site, &records)
}

impl Arguments {
    fn record(&self, domain: &str) -> Result<Record, Exit> {
        let needed = |value: &Option<String>, option: &str| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| permanent(format!("{option} is missing")))
        };
        let record = Record {
            domain: domain.to_owned(),
            distributed: self.distributed,
            server: needed(&self.server, "-S")?,
            mdahost: needed(&self.mdahost, "-m")?,
            port: self.port.clone(),
            use_ssl: self.use_ssl,
            database: self.database.clone(),
            user: self.user.clone(),
            password: self.password.clone().unwrap_or_default(),
        };
        let fields = [
            &record.server,
            &record.mdahost,
            &record.port,
            &record.database,
            &record.user,
            &record.password,
        ];
        let bad = |text: &&String| text.chars().any(|c| c.is_control() || c.is_whitespace());
        match fields.iter().find(|text| bad(text)) {
            Some(_) => Err(permanent("a value has blanks or control characters")),
            None => Ok(record),
        }
    }

    fn print(&self, records: &[Record]) -> Result<(), Exit> {
        let wanted = |record: &&Record| {
            self.domain
                .as_ref()
                .is_none_or(|domain| record.domain == *domain)
        };
        let shown: Vec<&Record> = records.iter().filter(wanted).collect();
        if self.json {
            let rows: Vec<Vec<Cell>> = shown
                .iter()
                .map(|record| {
                    vec![
                        (&record.domain).into(),
                        i32::from(record.distributed).into(),
                        (&record.server).into(),
                        (&record.mdahost).into(),
                        (&record.port).into(),
                        (&record.database).into(),
                        (&record.user).into(),
                    ]
                })
                .collect();
            let names = [
                "domain",
                "distributed",
                "server",
                "mdahost",
                "port",
                "database",
                "user",
            ];
            crate::show::json_rows(&names, &rows)?;
        } else {
            for (number, record) in shown.iter().enumerate() {
                if self.line {
                    println!(
                        "{} {} {} {} {} {} {}",
                        record.domain,
                        u8::from(record.distributed),
                        record.server,
                        record.mdahost,
                        record.port,
                        record.database,
                        record.user
                    );
                } else {
                    print(number + 1, record);
                }
            }
        }
        if shown.is_empty() {
            Err(Exit::new(1, ""))
        } else {
            Ok(())
        }
    }
}

fn print(number: usize, record: &Record) {
    let kind = if record.distributed {
        "Distributed"
    } else {
        "Non Distributed"
    };
    println!("domain         {} - {kind}", record.domain);
    println!("sqlserver[{number:03}] {}", record.server);
    if record.port.starts_with('/') {
        println!("Unix   Socket  {}", record.port);
    } else {
        println!("TCP/IP Port    {}", record.port);
    }
    println!("database       {}", record.database);
    println!("user           {}", record.user);
    println!("password       ********");
    println!("DBINFO Method  DBINFO");
    println!("mda host       {}", record.mdahost);
    println!(
        "Use SSL        {}",
        if record.use_ssl { "Yes" } else { "No" }
    );
    println!("{}", "-".repeat(26));
}

/// The records; in a cluster file and table are what the newer of both is.
fn synchronised(site: &Site) -> Result<Vec<Record>, Exit> {
    let records = mcdinfo::read(site)?;
    if !site.is_clustered()? {
        return Ok(records);
    }
    let central = match site.cluster(Central::Queries) {
        Ok(central) => central,
        Err(_) => return Ok(records),
    };
    let path = mcdinfo::path(site);
    let key = [("filename", path.display().to_string().into())];
    let (Ok(rows), Ok(times)) = (central.rows(&SERVERS, &key), central.times(&SERVERS, &key))
    else {
        eprintln!(
            "the cluster cannot be asked; {} is believed",
            path.display()
        );
        return Ok(records);
    };
    let of_table = times.into_iter().max();
    let of_file = std::fs::metadata(&path)
        .and_then(|metadata| metadata.modified())
        .ok();
    let of_file = of_file.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let of_file = of_file.map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match (of_table, of_file) {
        (None, None) => Ok(records),
        (Some(table), file) if file.is_none_or(|file| file <= table + TOLERANCE_SECONDS) => {
            let rows: Vec<Record> = rows.iter().map(|row| record_of(row)).collect();
            if rows != records {
                mcdinfo::write(site, &rows)?;
            }
            set_time(site, table)?;
            Ok(rows)
        }
        _ => {
            write_table(site, &records)?;
            Ok(records)
        }
    }
}

fn record_of(row: &[Cell]) -> Record {
    let port = text(&row[4]);
    Record {
        domain: text(&row[1]),
        server: text(&row[2]),
        mdahost: text(&row[3]),
        port,
        database: text(&row[5]),
        user: text(&row[6]),
        password: text(&row[7]),
        distributed: text(&row[8]) == "1",
        use_ssl: text(&row[9]) == "1",
    }
}

/// Lets the table have these records of our file, and the file its time.
fn write_table(site: &Site, records: &[Record]) -> Result<(), Exit> {
    if !site.is_clustered()? {
        return Ok(());
    }
    let central: Directory = site.cluster(Central::Changes)?;
    let path = mcdinfo::path(site).display().to_string();
    let key = [("filename", Cell::from(&path))];
    central
        .delete_rows(&SERVERS, &key)
        .map_err(|error| refused(&error))?;
    for record in records {
        // The table has no room for the path of a socket.
        let port = record.port.parse::<i32>().unwrap_or(0);
        let row: Vec<Cell> = vec![
            (&path).into(),
            (&record.domain).into(),
            (&record.server).into(),
            (&record.mdahost).into(),
            port.into(),
            (&record.database).into(),
            (&record.user).into(),
            (&record.password).into(),
            i32::from(record.distributed).into(),
            i32::from(record.use_ssl).into(),
        ];
        central
            .put_row(&SERVERS, &row)
            .map_err(|error| refused(&error))?;
    }
    let times = central
        .times(&SERVERS, &key)
        .map_err(|error| refused(&error))?;
    times
        .into_iter()
        .max()
        .map_or(Ok(()), |time| set_time(site, time))
}

fn set_time(site: &Site, time: i64) -> Result<(), Exit> {
    let path = mcdinfo::path(site);
    File::options()
        .write(true)
        .open(&path)
        .and_then(|opened| os::file::set_mtime(&opened, time))
        .map_err(|error| file(&path, &error))
}
