//! A message of any shape has a structure and an envelope.
#![no_main]

use imap::envelope::{Detail, write_envelope, write_structure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let part = imap::mime::parse(message);
    let mut out = Vec::new();
    write_structure(&mut out, message, &part, Detail::Extended);
    write_structure(&mut out, message, &part, Detail::Basic);
    write_envelope(&mut out, message);
});
