//! Records of a queue file with any bytes end, at rising offsets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queue::RecordReader;

fuzz_target!(|input: &[u8]| {
    let mut reader = RecordReader::new(input);
    let mut offset = 0;
    while let Ok(Some(record)) = reader.next_record() {
        assert!(offset == 0 || offset < record.offset);
        offset = record.offset;
    }
});
