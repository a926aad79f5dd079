//! A client says anything in an authentication; nobody gets in whom the
//! lookup did not grant it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sasl::Mechanism;
use sasl::server::{Exchange, Question, Step};
use wire::lookup::{Login, Reply};

const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::ScramSha256,
];

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|&b| b == b'\n');
    let first = lines.next().unwrap_or_default();
    let choice = usize::from(first.first().copied().unwrap_or(0));
    let initial = (choice & 4 != 0).then(|| &first[1..]);
    let (mut exchange, mut step) = Exchange::start(MECHANISMS[choice % 4], initial, &[9; 32]);
    loop {
        step = match step {
            Step::Challenge(_) => match lines.next() {
                Some(line) => exchange.respond(line),
                None => break,
            },
            Step::Ask(Question::ScramParameters { .. }) => {
                exchange.answer(Reply::ScramParameters {
                    salt: b"salt".to_vec(),
                    iterations: 4096,
                })
            }
            Step::Ask(question) => {
                let _ = format!("{question:?}");
                exchange.answer(Reply::Login(Login::Refused))
            }
            Step::Granted(account) => panic!("{account:?} was let in"),
            Step::Refused(_) => break,
        };
    }
});
