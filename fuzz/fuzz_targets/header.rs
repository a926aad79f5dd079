//! A header read line by line, its addresses and dates: what is printed is
//! read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{AddressList, Date, HeaderLines, HostRules, Line, Names};

fuzz_target!(|message: &[u8]| {
    let mut header = HeaderLines::default();
    for line in message.split_inclusive(|&b| b == b'\n') {
        if header.push(line) != Ok(Line::Header) {
            break;
        }
    }
    let names = [
        Names::new(b"here", b"example.org", b"plus.example"),
        Names::by_rules(HostRules::standard(
            b"here",
            b"example.org",
            b"plus.example",
        )),
    ];
    for field in header.fields() {
        if let Some(date) = Date::parse(field.value) {
            assert_eq!(Date::parse(date.to_field_value().as_bytes()), Some(date));
        }
        for names in &names {
            let Ok(mut list) = AddressList::parse(field.value) else {
                continue;
            };
            list.rewrite(names);
            let printed = list.to_field(b"To");
            let again = AddressList::parse(&printed[3..]).expect("what is printed can be read");
            assert!(list.addresses().eq(again.addresses()));
            list.pieces().count();
        }
    }
});
