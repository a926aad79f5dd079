//! A POP3 client says anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pop3::{Encryption, Entry, Offer, Opened, Session, Step};
use sasl::Mechanism;
use wire::lookup::{Account, Login, Reply};

fuzz_target!(|input: &[u8]| {
    let offer = Offer {
        encryption: Encryption::Offered,
        plaintext: true,
        pass: true,
        mechanisms: vec![Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256],
    };
    let mut session = Session::new(offer, &[7; 32]);
    let mut bytes = b"USER ann\r\nPASS secret\r\n".to_vec();
    bytes.extend_from_slice(input);
    let mut pieces = bytes.chunks(31);
    let mut step = session.step();
    loop {
        step = match step {
            Step::Wait => match pieces.next() {
                Some(piece) => {
                    session.receive(piece);
                    session.step()
                }
                None => break,
            },
            Step::Ask(_) => session.answer(Reply::Login(Login::Granted(Account {
                address: "ann@example.org".into(),
                maildir: String::new(),
                quota: String::new(),
                may_relay: false,
                server_signature: Vec::new(),
            }))),
            Step::Secure(_) => {
                session.secured();
                session.step()
            }
            Step::Open(_) => session.opened(Opened::Entries(vec![Entry {
                size: 10,
                unique_id: "one".into(),
            }])),
            Step::Retrieve { .. } => {
                session.found(true);
                session.step()
            }
            Step::Update(_) => session.updated(true),
            Step::Close(_) => break,
            Step::Send(_) | Step::SendLate(_) => session.step(),
        };
    }
});
