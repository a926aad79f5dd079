//! What is parsed is printed and parsed again; both have the same addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::AddressList;

fuzz_target!(|value: &[u8]| {
    let Ok(list) = AddressList::parse(value) else {
        return;
    };
    let field = list.to_field(b"To: ");
    let again = AddressList::parse(&field[4..]).expect("what is printed can be read");
    assert!(list.addresses().eq(again.addresses()));
});
