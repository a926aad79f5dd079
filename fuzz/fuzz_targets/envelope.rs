//! What a caller of the queue program can say: envelopes, extra lines, and
//! the lines of rule files and commands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::HostRules;
use queue::Envelope;

fuzz_target!(|input: &[u8]| {
    let mut envelope = Envelope::new(input);
    if envelope.sender().is_ok() {
        while let Ok(Some(recipient)) = envelope.recipient() {
            assert!(recipient.len() <= address::ADDRESS_BYTES_MAX);
        }
    }
    let _ = message::are_fields(input);
    let _ = text::words::split(input, |_| None);
    let lines: Vec<Vec<u8>> = input.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    let _ = text::envrules::changes(lines.iter().map(Vec::as_slice), b"ann@example.org");
    if let Ok(rules) = HostRules::parse(&lines) {
        let _ = rules.apply(b"some.host");
    }
});
