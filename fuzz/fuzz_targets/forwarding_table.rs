//! Sources of tables and lists are printed and read again; any table, its
//! values included, is followed to its end.
#![no_main]

use aliases::{Tables, commands, expand, list, source};
use libfuzzer_sys::fuzz_target;

/// A table whose values the fuzzer writes.
struct Any<'a>(Vec<(&'a [u8], &'a [u8])>);

impl Tables for Any<'_> {
    type Error = ();

    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ()> {
        let found = self.0.iter().find(|(name, _)| *name == key);
        Ok(found.map(|(_, value)| value.to_vec()))
    }

    fn list(&self, path: &[u8]) -> Result<Vec<u8>, ()> {
        self.find(path)?.ok_or(())
    }
}

fuzz_target!(|input: &[u8]| {
    if let Ok(records) = source::parse(input) {
        let mut printed = Vec::new();
        for record in &records {
            printed.extend(source::print(&record.key, &record.data).expect("it was read"));
        }
        assert_eq!(source::parse(&printed).as_ref(), Ok(&records));
    }
    if let Ok(compiled) = list::compile(input) {
        let printed = list::print(&compiled).expect("it was compiled");
        assert_eq!(list::compile(&printed), Ok(compiled));
    }
    commands(input).for_each(drop);
    let pairs = input.split(|&b| b == b'\n').filter_map(|line| {
        let equal = line.iter().position(|&b| b == b'=')?;
        Some((&line[..equal], &line[equal + 1..]))
    });
    let table = Any(pairs.collect());
    let _ = expand(b"a@b", &table);
});
