//! Rules that compile are looked up in a table of any bytes, and in theirs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::tcprules::{Client, compile, lookup};

fuzz_target!(|input: &[u8]| {
    let client = Client {
        ip: "192.0.2.7",
        host: Some("a.b.test"),
        info: Some("ann"),
    };
    if let Ok(records) = compile(input) {
        let mut builder = cdb::Builder::default();
        for (key, data) in &records {
            builder.add(key, data).expect("small tables fit");
        }
        let table = builder.finish().expect("small tables fit");
        let reader = cdb::Reader::new(&table).expect("ours is well-formed");
        let rule = lookup(&reader, client).expect("ours is well-formed");
        rule.changes().for_each(drop);
    }
    let mut table = input.to_vec();
    table.resize(table.len().max(2048), 0);
    if let Ok(reader) = cdb::Reader::new(&table)
        && let Ok(rule) = lookup(&reader, client)
    {
        rule.changes().for_each(drop);
    }
});
