//! Frames and commands between programs with any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::Decoder;
use wire::{clean, deliver, lookup, queue, sign, spawn, todo};

fn frames<T: serde::de::DeserializeOwned>(version: u8, input: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in input.chunks(13) {
        decoder.push(piece);
        while let Ok(Some(_)) = decoder.next::<T>(version) {}
    }
}

fuzz_target!(|input: &[u8]| {
    frames::<queue::Request>(queue::VERSION, input);
    frames::<queue::Reply>(queue::VERSION, input);
    frames::<lookup::Request>(lookup::VERSION, input);
    frames::<lookup::Reply>(lookup::VERSION, input);
    frames::<deliver::Request>(deliver::VERSION, input);
    frames::<sign::Request>(sign::VERSION, input);
    if let Some(command) = clean::Command::parse(input) {
        assert_eq!(command.to_bytes().strip_suffix(b"\0"), Some(input));
    }
    if let Some((command, taken)) = spawn::take_command(input) {
        let mut again = Vec::new();
        spawn::append_command(&mut again, &command);
        assert!(taken <= input.len());
        assert_eq!(spawn::take_command(&again), Some((command, again.len())));
    }
    if let Some((_, taken)) = spawn::take_report(input) {
        assert!(taken <= input.len());
    }
    if let Some((_, taken)) = todo::take(input) {
        assert!(taken <= input.len());
    }
});
