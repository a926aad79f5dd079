//! An SMTP server answers anything; the client comes to an end.
#![no_main]

use address::Address;
use libfuzzer_sys::fuzz_target;
use smtp::client::{Credentials, Encryption, MechanismChoice, Path, Plan, Session, Step};

fn path(text: &str) -> Path {
    let address = Address::parse(text.as_bytes()).expect("a good address");
    Path::new(&address).expect("a sayable address")
}

fuzz_target!(|input: &[u8]| {
    let credentials = Credentials {
        user: b"u".to_vec(),
        password: b"p".to_vec(),
        nonce: "abc".to_owned(),
    };
    let mut session = Session::new(Plan {
        helo: "client.test".to_owned(),
        sender: path("ann@a.test"),
        recipients: vec![path("bob@b.test"), path("eve@b.test")],
        size: 12,
        eight_bit: true,
        encryption: Encryption::IfOffered,
        credentials: Some((credentials, MechanismChoice::Strongest)),
        dsn: Default::default(),
        wishes: Vec::new(),
    });
    let mut pieces = input.chunks(7);
    loop {
        match session.step() {
            Step::Send(_) => {}
            Step::StartTls => session.secured(),
            Step::Text => session.text_sent(),
            Step::Wait => match pieces.next() {
                Some(piece) => session.receive(piece),
                None => break,
            },
            Step::Done => break,
        }
    }
    session.outcome();
});
