//! What a forwarding table makes of one recipient
//! (queue-and-delivery.md §6.10).

use std::collections::{BTreeSet, VecDeque};

use crate::command::{ADDRESS_BYTES_MAX, Command, commands};
use crate::record::key;

/// Most addresses one recipient becomes.
pub const RECIPIENTS_MAX: usize = 100_000;

/// Where records and lists come from.
pub trait Tables {
    /// Why one could not be read.
    type Error;
    /// The data of a key.
    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;
    /// The content of a compiled list.
    fn list(&self, path: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// A program to run on the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Task {
    /// As it is.
    Program(Vec<u8>),
    /// With the lines of preline(1) in front.
    Preline(Vec<u8>),
}

/// What is to be done with a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Expansion {
    /// Who gets the bounces, if not the sender.
    pub owner: Option<Vec<u8>>,
    /// Programs in the order they were found.
    pub tasks: Vec<Task>,
    /// Addresses to send it on to, each once.
    pub recipients: Vec<Vec<u8>>,
}

/// A recipient cannot be expanded.
#[derive(Debug, Eq, PartialEq)]
pub enum ExpandError<E> {
    /// A table or list cannot be read.
    Tables(E),
    /// A value or list has an entry that is none.
    BadEntry,
    /// An address is longer than [`ADDRESS_BYTES_MAX`].
    AddressTooLong,
    /// There are more than [`RECIPIENTS_MAX`] addresses.
    TooMany,
}

impl<E> From<E> for ExpandError<E> {
    fn from(error: E) -> Self {
        Self::Tables(error)
    }
}

/// Follows a recipient through the table; `None` when it is not there.
///
/// Only the recipient itself may match by host or by name alone. An address
/// found on the way is followed when the table has exactly it, unless it has
/// an owner of its own: then it gets the message as any other, and the next
/// delivery sees to its bounces.
pub fn expand<T: Tables>(
    recipient: &[u8],
    tables: &T,
) -> Result<Option<Expansion>, ExpandError<T::Error>> {
    let Some(data) = find_wild(b':', recipient, tables)? else {
        return Ok(None);
    };
    let mut work = Work::default();
    work.done.owner = find_wild(b'?', recipient, tables)?.map(|data| owner(&data).to_vec());
    work.seen.insert(recipient.to_ascii_lowercase());
    work.take(&data)?;
    while let Some(next) = work.waiting.pop_front() {
        match next {
            Next::List(path) => {
                let members = tables.list(&path)?;
                work.take(&members)?;
            }
            Next::Address(address) => {
                let is_followed = tables.find(&key(b'?', &address))?.is_none();
                match tables.find(&key(b':', &address))?.filter(|_| is_followed) {
                    Some(data) => work.take(&data)?,
                    None => work.done.recipients.push(address),
                }
            }
        }
    }
    Ok(Some(work.done))
}

enum Next {
    Address(Vec<u8>),
    List(Vec<u8>),
}

#[derive(Default)]
struct Work {
    done: Expansion,
    waiting: VecDeque<Next>,
    /// Addresses and lists that were met: nothing is followed twice, so this
    /// ends.
    seen: BTreeSet<Vec<u8>>,
}

impl Work {
    fn take<E>(&mut self, value: &[u8]) -> Result<(), ExpandError<E>> {
        for command in commands(value) {
            match command.ok_or(ExpandError::BadEntry)? {
                Command::Program(text) => self.done.tasks.push(Task::Program(text.to_vec())),
                Command::Preline(text) => self.done.tasks.push(Task::Preline(text.to_vec())),
                Command::Forward(address) if ADDRESS_BYTES_MAX < address.len() => {
                    return Err(ExpandError::AddressTooLong);
                }
                Command::Forward([]) => return Err(ExpandError::BadEntry),
                // The table itself ignores case, so no more can be told apart.
                Command::Forward(address) => {
                    if self.seen.insert(address.to_ascii_lowercase()) {
                        self.waiting.push_back(Next::Address(address.to_vec()));
                    }
                }
                Command::List(path) => {
                    if self.seen.insert([b"\0", path].concat()) {
                        self.waiting.push_back(Next::List(path.to_vec()));
                    }
                }
            }
            if RECIPIENTS_MAX < self.seen.len() || RECIPIENTS_MAX < self.done.tasks.len() {
                return Err(ExpandError::TooMany);
            }
        }
        Ok(())
    }
}

/// By the whole address, by its host, by its name.
fn find_wild<T: Tables>(kind: u8, address: &[u8], tables: &T) -> Result<Option<Vec<u8>>, T::Error> {
    if let Some(data) = tables.find(&key(kind, address))? {
        return Ok(Some(data));
    }
    let Some(at) = address.iter().rposition(|&b| b == b'@') else {
        return Ok(None);
    };
    if let Some(data) = tables.find(&key(kind, &address[at..]))? {
        return Ok(Some(data));
    }
    tables.find(&key(kind, &address[..=at]))
}

/// The address in a `?` record, whoever wrote it.
fn owner(data: &[u8]) -> &[u8] {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    data.strip_prefix(b"&").unwrap_or(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    /// A table from its source and lists.
    struct World {
        table: Vec<u8>,
        lists: Vec<(&'static str, &'static [u8])>,
    }

    impl World {
        fn new(text: &str) -> Self {
            let mut builder = cdb::Builder::default();
            for record in source::parse(text.as_bytes()).unwrap() {
                builder.add(&record.key, &record.data).unwrap();
            }
            Self {
                table: builder.finish().unwrap(),
                lists: Vec::new(),
            }
        }
    }

    impl Tables for World {
        type Error = ();

        fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ()> {
            let reader = cdb::Reader::new(&self.table).map_err(|_| ())?;
            let found = reader.find(key).map_err(|_| ())?;
            Ok(found.map(<[u8]>::to_vec))
        }

        fn list(&self, path: &[u8]) -> Result<Vec<u8>, ()> {
            let found = self.lists.iter().find(|(name, _)| name.as_bytes() == path);
            found.map(|(_, content)| content.to_vec()).ok_or(())
        }
    }

    fn recipients(world: &World, of: &str) -> Vec<String> {
        let expansion = expand(of.as_bytes(), world).unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        expansion.recipients.into_iter().map(text).collect()
    }

    #[test]
    fn the_whole_address_beats_its_host_and_that_its_name() {
        let world = World::new("joe@h: a@x; @h: b@x; joe@: c@x;");
        assert_eq!(recipients(&world, "JOE@H"), ["a@x"]);
        assert_eq!(recipients(&world, "eve@h"), ["b@x"]);
        assert_eq!(recipients(&world, "joe@i"), ["c@x"]);
        assert_eq!(expand(b"eve@i", &world), Ok(None));
    }

    #[test]
    fn addresses_are_followed_when_they_are_there_exactly() {
        let world =
            World::new("all@h: a@h, b@h, A@h, c@i, d@h; a@h: b@h, e@i; @i: no@x; d@h: ?o@h, f@x;");
        assert_eq!(recipients(&world, "all@h"), ["b@h", "c@i", "d@h", "e@i"]);
    }

    #[test]
    fn a_circle_ends() {
        let world = World::new("a@h: b@h; b@h: a@h, c@h; c@h: b@h;");
        assert!(recipients(&world, "a@h").is_empty());
    }

    #[test]
    fn lists_owners_and_programs() {
        let mut world = World::new("l@h: ?l-owner@h, ./l.bin, |one, !two;");
        world.lists = vec![
            ("./l.bin", b"&a@x\0./l.bin\0/m.bin\0"),
            ("/m.bin", b"&b@x\0&a@x\0"),
        ];
        let expansion = expand(b"l@h", &world).unwrap().unwrap();
        let expected = Expansion {
            owner: Some(b"l-owner@h".to_vec()),
            tasks: vec![
                Task::Program(b"one".to_vec()),
                Task::Preline(b"two".to_vec()),
            ],
            recipients: vec![b"a@x".to_vec(), b"b@x".to_vec()],
        };
        assert_eq!(expansion, expected);
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_and_not_nobody() {
        let world = World::new("l@h: ./none.bin;");
        assert_eq!(expand(b"l@h", &world), Err(ExpandError::Tables(())));
        let mut world = World::new("l@h: ./l.bin;");
        world.lists = vec![("./l.bin", b"a@x\0")];
        assert_eq!(expand(b"l@h", &world), Err(ExpandError::BadEntry));
        let mut builder = cdb::Builder::default();
        let long = [b"&", &[b'x'; ADDRESS_BYTES_MAX + 1][..], b"\0"].concat();
        builder.add(b":l@h", &long).unwrap();
        let world = World {
            table: builder.finish().unwrap(),
            lists: Vec::new(),
        };
        assert_eq!(expand(b"l@h", &world), Err(ExpandError::AddressTooLong));
    }

    #[test]
    fn any_table_is_followed_to_its_end() {
        property::holds(|u| {
            let mut builder = cdb::Builder::default();
            for _ in 0..u.int_in_range(0..=6)? {
                let name = *u.choose(b"abc")?;
                let value: Vec<u8> = (0..u.int_in_range(0..=5)?)
                    .map(|_| Ok([b'&', *u.choose(b"abcd")?, 0]))
                    .collect::<Result<Vec<_>, property::arbitrary::Error>>()?
                    .concat();
                builder.add(&[*u.choose(b":?")?, name], &value).unwrap();
            }
            let world = World {
                table: builder.finish().unwrap(),
                lists: Vec::new(),
            };
            if let Some(expansion) = expand(b"a", &world).unwrap() {
                let unique: BTreeSet<_> = expansion.recipients.iter().collect();
                assert_eq!(unique.len(), expansion.recipients.len());
            }
            Ok(())
        });
    }
}
