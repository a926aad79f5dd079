//! Instructions and file names of any address; no name leaves the home.
#![no_main]

use dotqmail::{candidates, instructions, safe_extension, virtual_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    instructions(input).for_each(drop);
    let _ = virtual_line(input);
    let safe = safe_extension(input);
    assert!(!safe.contains(&b'/') || input.contains(&b'/'));
    assert!(!safe.contains(&b'.'));
    candidates(b"-", input).into_iter().for_each(drop);
});
