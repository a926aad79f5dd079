//! An IMAP client, logged in with a mailbox open, says anything.
#![no_main]

use imap::{Config, Security, Session, Step};
use libfuzzer_sys::fuzz_target;

#[path = "../../lib/imap/tests/main/memory.rs"]
#[allow(dead_code)]
mod memory;

fuzz_target!(|input: &[u8]| {
    let mut session = Session::new(Config {
        security: Security::Tls,
        plaintext_passwords: true,
        cram_md5: true,
        scram_sha_256: true,
        message_bytes_max: 4096,
    });
    let mut store = memory::Store::default();
    session.receive(b"a LOGIN ann@example.org secret\r\nb SELECT INBOX\r\n");
    let mut pieces = input.chunks(61);
    loop {
        match session.step(0) {
            Step::Send(_) => {}
            Step::Ask(question) => session.answer(store.answer(question)),
            Step::StartTls => session.tls_started(),
            Step::Close(_) => break,
            Step::Wait => match pieces.next() {
                Some(piece) => session.receive(piece),
                None => break,
            },
        }
    }
});
