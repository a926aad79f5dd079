//! What clients of QMTP and QMQP say, any bytes, in two pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qmtp::{Report, qmqp, qmtp as server};

fn qmtp_says(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut session, mut said) = (server::Session::default(), Vec::new());
    for piece in pieces {
        session.receive(piece);
        loop {
            match session.step().ok()? {
                server::Step::Wait => break,
                server::Step::Begin | server::Step::Append(_) | server::Step::Abort => {}
                server::Step::Sender(_) => session.sender(None),
                server::Step::Recipient(address) => session.recipient(Ok(address)),
                server::Step::Commit { .. } => session.answer(Report::Taken("ok".into())),
                server::Step::Send(bytes) => said.extend(bytes),
            }
        }
    }
    Some(said)
}

fn qmqp_says(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut session, mut said) = (qmqp::Session::default(), Vec::new());
    for piece in pieces {
        session.receive(piece);
        loop {
            match session.step().ok()? {
                qmqp::Step::Wait | qmqp::Step::Close => break,
                qmqp::Step::Begin | qmqp::Step::Append(_) | qmqp::Step::Abort => {}
                qmqp::Step::Commit { .. } => session.answer(Report::Taken("ok".into())),
                qmqp::Step::Send(bytes) => said.extend(bytes),
            }
        }
    }
    Some(said)
}

fuzz_target!(|input: &[u8]| {
    let (head, tail) = input.split_at(input.len() / 2);
    assert_eq!(qmtp_says(&[head, tail]), qmtp_says(&[input]));
    assert_eq!(qmqp_says(&[head, tail]), qmqp_says(&[input]));
});
