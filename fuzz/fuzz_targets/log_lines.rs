//! Lines of a log that somebody else wrote.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedule::LogLine;
use wire::trace::{Event, TraceId};

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    for line in text.lines() {
        let _ = LogLine::parse(line);
    }
    let _ = TraceId::from_headers(input);
    if let Ok(id) = TraceId::parse(input) {
        assert_eq!(TraceId::from_headers(id.to_header().as_bytes()), Some(id));
    }
    if let Ok(event) = serde_json::from_slice::<Event>(input) {
        let again = serde_json::to_vec(&event).expect("an event is text");
        let _: Event = serde_json::from_slice(&again).expect("what we wrote is read");
    }
    for line in [text::log::printable(input, 100), text::log::safe(input)] {
        assert!(!line.contains('\n'));
    }
});
