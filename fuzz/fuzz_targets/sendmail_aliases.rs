//! Files in sendmail's format: no address of theirs becomes a program.
#![no_main]

use aliases::sendmail::{Entry, aliases, entries, include};
use aliases::{Command, commands};
use libfuzzer_sys::fuzz_target;
use message::Names;

fuzz_target!(|input: &[u8]| {
    let names = Names::new(b"here", b"example.org", b"example.org");
    for entry in entries(input).unwrap_or_default() {
        if let Entry::Address(list) = entry {
            assert_eq!(list.addresses().count(), 1);
        }
    }
    for command in commands(&include(input, &names).unwrap_or_default()) {
        let command = command.expect("each entry has its sign");
        assert!(matches!(command, Command::Forward(_) | Command::List(_)));
    }
    for record in aliases(input, &names).unwrap_or_default() {
        assert!(1 < record.key.len());
        if record.key[0] == b':' {
            assert!(commands(&record.data).all(|command| command.is_some()));
        }
    }
});
