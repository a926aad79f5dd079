//! Frames and commands between programs with any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::Decoder;
use wire::{clean, deliver, lookup, operator, queue, sign, spawn, todo};

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
    frames::<deliver::Report>(deliver::VERSION, input);
    frames::<sign::Request>(sign::VERSION, input);
    frames::<sign::Reply>(sign::VERSION, input);
    frames::<operator::Question>(operator::VERSION, input);
    frames::<operator::Answer>(operator::VERSION, input);
    if let Some(command) = clean::Command::parse(input) {
        assert_eq!(command.to_bytes().strip_suffix(b"\0"), Some(input));
    }
    if let Some((command, taken)) = spawn::take_command(input) {
        let mut again = Vec::new();
        spawn::append_command(&mut again, &command);
        assert!(taken <= input.len());
        assert_eq!(spawn::take_command(&again), Some((command, again.len())));
    }
    if let Some((report, taken)) = spawn::take_report(input) {
        assert!(taken <= input.len());
        let mut again = Vec::new();
        spawn::append_report(&mut again, &report);
        // What makes no sense is never written.
        if report.outcome != spawn::Outcome::Mangled {
            assert_eq!(spawn::take_report(&again), Some((report, again.len())));
        }
    }
    if let Some((message, taken)) = todo::take(input) {
        assert!(taken <= input.len());
        if let Some(message) = message {
            let mut again = Vec::new();
            todo::append(&mut again, &message);
            assert_eq!(todo::take(&again), Some((Some(message), again.len())));
        }
    }
    if let Some((order, taken)) = todo::Order::take(input) {
        assert!(taken <= input.len());
        if let Some(order) = order {
            let mut again = Vec::new();
            order.append(&mut again);
            assert_eq!(todo::Order::take(&again), Some((Some(order), again.len())));
        }
    }
    if let Ok(Some((content, taken))) = text::netstring::take(input, 1000) {
        let mut again = Vec::new();
        text::netstring::append(&mut again, content);
        assert_eq!(
            text::netstring::take(&again, 1000),
            Ok(Some((content, again.len())))
        );
        assert!(taken <= input.len());
    }
});
