//! Addresses and names of senders: `key:name:address:` lines in a cdb.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use run::{Exit, PERMANENT, ProgramEnd, TEMPORARY};

/// Largest list that is read.
const LIST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Mode of a table: anybody may read it.
const MODE: u32 = 0o644;

/// What a sender is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    pub name: Vec<u8>,
    pub address: Vec<u8>,
}

/// The table, in memory.
pub struct NameTable(Vec<u8>);

impl NameTable {
    pub fn open(path: &[u8]) -> Result<Self, Exit> {
        let path = Path::new(OsStr::from_bytes(path));
        let trouble =
            |why: String| Exit::new(TEMPORARY, format!("cannot read {}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| trouble(error.to_string()))?;
        cdb::Reader::new(&bytes).map_err(|error| trouble(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// The entry of a sender: of its whole address, else of what stands
    /// before the `@`.
    pub fn find(&self, sender: &[u8]) -> Option<Named> {
        let reader = cdb::Reader::new(&self.0).ok()?;
        let sender = sender.to_ascii_lowercase();
        let at = sender.iter().rposition(|&b| b == b'@');
        let local = &sender[..at.unwrap_or(sender.len())];
        let found = [&sender[..], local]
            .iter()
            .find_map(|key| reader.find(key).ok().flatten())?;
        let nul = found.iter().position(|&b| b == 0)?;
        Some(Named {
            name: found[..nul].to_vec(),
            address: found[nul + 1..].to_vec(),
        })
    }
}

/// `ofmipname cdb tmp`: makes the table of the lines on standard input.
pub fn make_names(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let (table, temporary) = match arguments {
        [table, temporary] => (table, temporary),
        _ => return Err(Exit::new(PERMANENT, "two files are wanted; see --help")),
    };
    let mut list = Vec::new();
    let mut input = std::io::stdin().take(LIST_BYTES_MAX);
    input
        .read_to_end(&mut list)
        .map_err(|error| Exit::new(TEMPORARY, format!("cannot read the list: {error}")))?;
    let file = compile(&list)?;
    // The name of the temporary file is ours to choose; both are on one file
    // system, as the caller's would have to be.
    let _ = temporary;
    let path = Path::new(OsStr::from_bytes(table));
    os::file::replace(path, &file, MODE).map_err(|error| {
        Exit::new(
            TEMPORARY,
            format!("cannot write {}: {error}", path.display()),
        )
    })?;
    Ok(().into())
}

fn compile(list: &[u8]) -> Result<Vec<u8>, Exit> {
    let too_large = |error: cdb::TooLarge| Exit::new(PERMANENT, error.to_string());
    let mut builder = cdb::Builder::default();
    for line in text::control::list(list) {
        let parts: Vec<&[u8]> = line.split(|&b| b == b':').collect();
        let (key, name, address) = match parts[..] {
            [key, name, address, ..] => (key, name, address),
            _ => {
                let shown = text::log::printable(line, 200);
                let text = format!("{shown} is not key:name:address:");
                return Err(Exit::new(PERMANENT, text));
            }
        };
        let data = [name, b"\0", address].concat();
        builder
            .add(&key.to_ascii_lowercase(), &data)
            .map_err(too_large)?;
    }
    builder.finish().map_err(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_address_counts_more_than_its_local_part() {
        let list = b"joe:Joe Shmoe:joe@a.example:\nJoe@B.example:Joseph:j@b.example:\n# x\n";
        let table = NameTable(compile(list).unwrap());
        let found = |sender: &str| {
            let named = table.find(sender.as_bytes())?;
            Some(String::from_utf8([&named.name[..], b"/", &named.address].concat()).unwrap())
        };
        assert_eq!(found("joe@x").as_deref(), Some("Joe Shmoe/joe@a.example"));
        assert_eq!(
            found("JOE@b.example").as_deref(),
            Some("Joseph/j@b.example")
        );
        assert_eq!((found("ann@x"), found("")), (None, None));
        assert!(compile(b"joe\n").is_err());
    }
}
