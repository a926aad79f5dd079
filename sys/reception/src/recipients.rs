//! CHECKRECIPIENT: which recipients must exist, and who says so
//! (smtp-receiving.md §2.8).

use std::io;

use policy::AddressList;
use run::Home;
use smtp::server::Mailbox;

/// Below `users`: keys are `:user@domain`, made by `qmail-cdb -r`.
const FILE: &str = "recipients.cdb";

/// Who is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// The user database and the files of this host.
    #[default]
    Users,
    /// The table; who is not in it, is asked for as above.
    TableThenUsers,
    /// The table alone.
    Table,
}

impl Level {
    /// The value of the variable; nothing is 3.
    pub fn parse(value: Option<&[u8]>) -> Self {
        match value {
            None | Some(b"1") => Self::Users,
            Some(b"2") => Self::TableThenUsers,
            Some(_) => Self::Table,
        }
    }
}

/// What is asked for a recipient.
#[derive(Debug, Default)]
pub struct Recipients {
    /// Who is asked.
    pub level: Level,
    /// chkrcptdomains: only these are asked for. Without the file, all are.
    pub domains: Option<AddressList>,
}

impl Recipients {
    /// The answer, unless the users must be asked.
    pub fn answer(&self, home: &Home, address: &[u8]) -> Option<Mailbox> {
        if let Some(domains) = &self.domains
            && domains.matching(address).is_none()
        {
            return Some(Mailbox::Fine);
        }
        if self.level == Level::Users {
            return None;
        }
        match is_listed(home, address) {
            Ok(true) => Some(Mailbox::Fine),
            Ok(false) if self.level == Level::TableThenUsers => None,
            Ok(false) => Some(Mailbox::Absent),
            // Without the table nobody would exist.
            Err(error) => Some(Mailbox::Temporary(format!("users/{FILE}: {error}"))),
        }
    }
}

fn is_listed(home: &Home, address: &[u8]) -> io::Result<bool> {
    let file = std::fs::read(home.users().join(FILE))?;
    let table = cdb::Reader::new(&file).map_err(io::Error::other)?;
    let key = [b":", &address.to_ascii_lowercase()[..]].concat();
    Ok(table.find(&key).map_err(io::Error::other)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Mode;

    // Acceptance 28.
    #[test]
    fn each_level_asks_whom_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.users()).unwrap();
        let mut table = cdb::Builder::default();
        table.add(b":a@local.test", b"").unwrap();
        let path = home.users().join(FILE);
        std::fs::write(&path, table.finish().unwrap()).unwrap();
        let with = |value: Option<&[u8]>| Recipients {
            level: Level::parse(value),
            domains: None,
        };
        let answer = |value, address: &[u8]| with(value).answer(&home, address);
        for value in [Some(&b""[..]), Some(b"3"), Some(b"9")] {
            assert_eq!(answer(value, b"A@local.test"), Some(Mailbox::Fine));
            assert_eq!(answer(value, b"b@local.test"), Some(Mailbox::Absent));
        }
        assert_eq!(answer(Some(b"2"), b"a@local.test"), Some(Mailbox::Fine));
        assert_eq!(answer(Some(b"2"), b"b@local.test"), None);
        assert_eq!(answer(Some(b"1"), b"b@local.test"), None);
        assert_eq!(answer(None, b"b@local.test"), None);
        std::fs::remove_file(&path).unwrap();
        let missing = answer(Some(b"3"), b"a@local.test");
        assert!(matches!(missing, Some(Mailbox::Temporary(_))));
        let lines = vec![b"@checked.test".to_vec()];
        let only = Recipients {
            level: Level::Table,
            domains: Some(AddressList::new(lines, Vec::new(), None, Mode::Wildcard).unwrap()),
        };
        assert_eq!(only.answer(&home, b"x@other.test"), Some(Mailbox::Fine));
    }
}
