//! A table with any bytes is searched to an end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Room for the header, so that short inputs reach the records.
    let mut file = input.to_vec();
    file.resize(file.len().max(2048), 0);
    let Ok(reader) = cdb::Reader::new(&file) else {
        return;
    };
    let _ = reader.find(b"");
    let _ = reader.find(&input[..input.len().min(8)]);
    for record in reader.iter() {
        let Ok((key, _)) = record else { break };
        let _ = reader.find(key);
    }
});
