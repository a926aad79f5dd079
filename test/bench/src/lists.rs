//! Long lists of addresses, asked once they are loaded.

use std::time::Instant;

use policy::{AddressList, Mode};

use crate::Arguments;

/// What `--case` calls it.
pub const NAMES: [&str; 1] = ["lists"];

const LINES: usize = 100_000;
const QUESTIONS: usize = 200_000;

/// A list in its plain form, with patterns among its lines, and as a cdb.
pub fn measure(arguments: &Arguments, _: &str) {
    let count = arguments.users.unwrap_or(LINES);
    println!("lists: {count} addresses, {QUESTIONS} questions, half of them found");
    let address = |n: usize| format!("user{n}@domain{}.example", n % 1000).into_bytes();
    let lines: Vec<Vec<u8>> = (0..count).map(address).collect();
    let mut builder = cdb::Builder::default();
    for line in &lines {
        builder.add(line, b"").expect("a record");
    }
    let cdb = builder.finish().expect("a cdb");
    let mut mixed = lines.clone();
    mixed.extend((0..10).map(|n| format!("*@*.spam{n}.example").into_bytes()));
    let forms = [
        ("plain", lines, None),
        ("10 patterns", mixed, None),
        ("cdb", Vec::new(), Some(cdb)),
    ];
    for (name, lines, cdb) in forms {
        let list = AddressList::new(lines, Vec::new(), cdb, Mode::Wildcard).expect("a list");
        let questions: Vec<Vec<u8>> = (0..QUESTIONS).map(|n| address(n % (2 * count))).collect();
        let started = Instant::now();
        let found = questions
            .iter()
            .filter(|q| list.matching(q).is_some())
            .count();
        let each = started.elapsed().as_secs_f64() * 1e6 / QUESTIONS as f64;
        assert!(0 < found && found < QUESTIONS, "{found} were found");
        println!("{name:<12} {each:>8.2} us a question");
    }
}
