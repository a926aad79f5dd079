//! Datagrams, context files and tags of bounces that are any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::batv::{self, Tag};
use policy::greylist::{self, Limits, Request, Table};

fuzz_target!(|input: &[u8]| {
    if let Ok(request) = Request::parse(input) {
        let mut table = Table::new(Limits::default());
        table.decide(&request, 1000);
        table.decide(&request, 2000);
        let file = greylist::print_context(table.entries());
        let read = greylist::parse_context(&file).expect("ours is well-formed");
        assert_eq!(read.len(), table.entries().count());
    }
    let _ = greylist::parse_context(input);
    let key = [b"key".to_vec()];
    if let Tag::Good(original) = batv::verify(&key, 5, 7, input) {
        assert!(input.ends_with(&original));
    }
});
