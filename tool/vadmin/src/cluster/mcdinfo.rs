//! `mcdinfo`: the database servers of each domain (virtual-domains.md §14.4).

use std::io;
use std::path::PathBuf;

use run::Exit;

use crate::site::{Site, file, permanent};

const NAME: &str = "mcdinfo";
const VARIABLE: &str = "MCDFILE";
/// Passwords are in it.
const MODE: u32 = 0o640;

/// One record: a database server of a domain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    pub domain: String,
    pub distributed: bool,
    pub server: String,
    pub mdahost: String,
    /// A port, or the path of a socket.
    pub port: String,
    pub use_ssl: bool,
    pub database: String,
    pub user: String,
    pub password: String,
}

/// Where the file is.
pub fn path(site: &Site) -> PathBuf {
    let name = match site.settings.variable(VARIABLE) {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => NAME.to_owned(),
    };
    // An absolute name stays what it is.
    site.home.control().join(name)
}

/// All records; none without a file.
pub fn read(site: &Site) -> Result<Vec<Record>, Exit> {
    let path = path(site);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file(&path, &error)),
    };
    parse(&text).map_err(|line| {
        permanent(format!(
            "{}: line {line}: a record lacks a field",
            path.display()
        ))
    })
}

/// Writes all records.
pub fn write(site: &Site, records: &[Record]) -> Result<(), Exit> {
    let path = path(site);
    let text: Vec<String> = records.iter().map(Record::text).collect();
    os::file::replace(&path, text.join("\n").as_bytes(), MODE).map_err(|error| file(&path, &error))
}

/// Records are separated by empty lines. The number of the line where one is
/// not complete is the error.
fn parse(text: &str) -> Result<Vec<Record>, usize> {
    let mut records = Vec::new();
    let mut open: Option<(usize, Record)> = None;
    let mut close = |open: &mut Option<(usize, Record)>| match open.take() {
        Some((number, record)) if !record.is_complete() => Err(number),
        Some((_, record)) => {
            records.push(record);
            Ok(())
        }
        None => Ok(()),
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            close(&mut open)?;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (keyword, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        let (_, record) = open.get_or_insert_with(|| (number + 1, Record::default()));
        match keyword.to_ascii_lowercase().as_str() {
            "domain" => {
                let (name, distributed) = value
                    .split_once(char::is_whitespace)
                    .unwrap_or((value, "0"));
                record.domain = name.to_lowercase();
                record.distributed = distributed.trim() == "1";
            }
            "server" => record.server = value.to_owned(),
            "mdahost" => record.mdahost = value.to_owned(),
            "port" | "socket" => record.port = value.to_owned(),
            "use_ssl" => record.use_ssl = value == "1",
            "database" => record.database = value.to_owned(),
            "user" => record.user = value.to_owned(),
            "pass" => record.password = value.to_owned(),
            // `count`, `table`, `time`: of old writers.
            _ => {}
        }
    }
    close(&mut open)?;
    Ok(records)
}

impl Record {
    fn is_complete(&self) -> bool {
        [
            &self.domain,
            &self.server,
            &self.mdahost,
            &self.port,
            &self.database,
            &self.user,
        ]
        .iter()
        .all(|field| !field.is_empty())
    }

    fn text(&self) -> String {
        let Self {
            domain,
            server,
            mdahost,
            port,
            database,
            user,
            password,
            ..
        } = self;
        format!(
            "domain    {domain} {}\nserver    {server}\nmdahost   {mdahost}\nport      {port}\n\
             use_ssl   {}\ndatabase  {database}\nuser      {user}\npass      {password}\n",
            u8::from(self.distributed),
            u8::from(self.use_ssl)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# servers\ndomain    example.com 1\nserver    10.0.0.5\nmdahost   10.0.0.5\n\
         port      3306\ncount 7\ndatabase  indimail\nUSER      indimail\npass      secret\n\n\n\
         domain b.org 0\nserver x\nmdahost y\nport /s\nuse_ssl 1\ndatabase d\nuser u\npass\n";

    #[test]
    fn what_is_written_is_read_again() {
        let records = parse(TEXT).unwrap();
        assert_eq!(records.len(), 2);
        assert!(records[0].distributed && !records[0].use_ssl && records[1].use_ssl);
        assert_eq!(
            (records[0].password.as_str(), records[1].port.as_str()),
            ("secret", "/s")
        );
        let text: Vec<String> = records.iter().map(Record::text).collect();
        assert_eq!(parse(&text.join("\n")).unwrap(), records);
    }

    #[test]
    fn a_record_that_lacks_a_field_is_an_error() {
        assert_eq!(parse("\n# x\ndomain a.org 1\nserver b\n"), Err(3));
        assert_eq!(parse("").unwrap(), []);
    }
}
