//! QMQP: one message from a host that trusts us with its queue.
//!
//! One netstring holds the message, the sender and each recipient as
//! netstrings; one answer. Nobody is refused here but addresses that nobody
//! can have: who may connect is decided before.

use crate::input::{Address, Input};
use crate::{Fault, Report};

/// Most recipients of the one message.
pub const RECIPIENTS_MAX: usize = 1_000_000;

/// What the driver has to do next.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing, until bytes arrive.
    Wait,
    /// Open a message.
    Begin,
    /// Write these bytes to it.
    Append(Vec<u8>),
    /// It is complete; then [`Session::answer`].
    Commit {
        /// Envelope sender.
        sender: Vec<u8>,
        /// Envelope recipients.
        recipients: Vec<Vec<u8>>,
    },
    /// Forget the message.
    Abort,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Everything is said.
    Close,
}

/// A session.
#[derive(Debug, Default)]
pub struct Session {
    input: Input,
    state: State,
    sender: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    has_bad_address: bool,
}

#[derive(Debug, Default)]
enum State {
    /// The length of everything.
    #[default]
    All,
    /// The length of the message.
    Length,
    /// The message.
    Message(u64),
    /// The length of the sender.
    SenderLength,
    Sender(Address),
    /// The length of a recipient, or the end.
    Next,
    Recipient(Address),
    /// The comma behind everything.
    Last,
    /// The queue is asked.
    Committing,
    /// The answer is to be sent.
    Answering(Report),
    Ended,
}

impl Session {
    /// Takes bytes from the client.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Goes on until there is something to do.
    pub fn step(&mut self) -> Result<Step, Fault> {
        loop {
            if let Some(step) = self.advance()? {
                return Ok(step);
            }
        }
    }

    /// What became of the message of the last [`Step::Commit`].
    pub fn answer(&mut self, report: Report) {
        self.state = State::Answering(report);
    }

    fn advance(&mut self) -> Result<Option<Step>, Fault> {
        let wait = Ok(Some(Step::Wait));
        let input = &mut self.input;
        match &mut self.state {
            State::All => {
                let Some(length) = input.length()? else {
                    return wait;
                };
                input.enter(length);
                self.state = State::Length;
            }
            State::Length => {
                let Some(length) = input.length()? else {
                    return wait;
                };
                self.state = State::Message(length);
                return Ok(Some(Step::Begin));
            }
            State::Message(left) => {
                let piece = input.content(left).to_vec();
                if !piece.is_empty() {
                    return Ok(Some(Step::Append(piece)));
                }
                if *left != 0 || !input.comma()? {
                    return wait;
                }
                self.state = State::SenderLength;
            }
            State::SenderLength => {
                let Some(length) = input.length()? else {
                    return wait;
                };
                self.state = State::Sender(Address::new(length));
            }
            State::Sender(address) => {
                let Some(sender) = address.read(input)? else {
                    return wait;
                };
                self.has_bad_address |= sender.is_none();
                self.sender = sender.unwrap_or_default();
                self.state = State::Next;
            }
            State::Next if input.is_at_end() => {
                input.leave();
                self.state = State::Last;
            }
            State::Next => {
                let Some(length) = input.length()? else {
                    return wait;
                };
                self.state = State::Recipient(Address::new(length));
            }
            State::Recipient(address) => {
                let Some(recipient) = address.read(input)? else {
                    return wait;
                };
                match recipient {
                    None => self.has_bad_address = true,
                    Some(_) if self.recipients.len() == RECIPIENTS_MAX => {
                        return Err(Fault::TooMuch);
                    }
                    Some(recipient) => self.recipients.push(recipient),
                }
                self.state = State::Next;
            }
            State::Last => {
                if !input.comma()? {
                    return wait;
                }
                return Ok(Some(self.close_envelope()));
            }
            State::Committing => return wait,
            State::Answering(report) => {
                let mut out = Vec::new();
                report.append(&mut out);
                self.state = State::Ended;
                return Ok(Some(Step::Send(out)));
            }
            State::Ended => return Ok(Some(Step::Close)),
        }
        Ok(None)
    }

    fn close_envelope(&mut self) -> Step {
        if self.has_bad_address {
            let text = "sorry, I can't accept addresses like that (#5.1.3)";
            self.state = State::Answering(Report::Never(text.to_owned()));
            return Step::Abort;
        }
        self.state = State::Committing;
        Step::Commit {
            sender: std::mem::take(&mut self.sender),
            recipients: std::mem::take(&mut self.recipients),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use text::netstring;

    /// What a session makes of pieces: the message, the envelope, the answers.
    #[derive(Debug, Default, Eq, PartialEq)]
    struct Seen {
        message: Vec<u8>,
        envelope: Option<(Vec<u8>, Vec<Vec<u8>>)>,
        sent: Vec<u8>,
        closed: bool,
    }

    fn talk(pieces: &[&[u8]]) -> Result<Seen, Fault> {
        let (mut session, mut seen) = (Session::default(), Seen::default());
        for piece in pieces {
            session.receive(piece);
            loop {
                match session.step()? {
                    Step::Wait => break,
                    Step::Begin | Step::Abort => {}
                    Step::Append(bytes) => seen.message.extend(bytes),
                    Step::Commit { sender, recipients } => {
                        seen.envelope = Some((sender, recipients));
                        session.answer(Report::Taken("ok 1 qp 2".into()));
                    }
                    Step::Send(bytes) => seen.sent.extend(bytes),
                    Step::Close => {
                        seen.closed = true;
                        break;
                    }
                }
            }
        }
        Ok(seen)
    }

    fn request(message: &[u8], addresses: &[Vec<u8>]) -> Vec<u8> {
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        netstring::append(&mut inner, message);
        for address in addresses {
            netstring::append(&mut inner, address);
        }
        netstring::append(&mut outer, &inner);
        outer
    }

    #[test]
    fn what_a_client_packs_is_unpacked_wherever_it_is_cut() {
        property::holds(|u| {
            let message = property::bytes(u)?;
            let mut addresses = property::several(u, property::bytes)?;
            addresses.push(b"a@b".to_vec());
            let all = request(&message, &addresses);
            let (head, tail) = all.split_at(u.int_in_range(0..=all.len())?);
            let seen = talk(&[head, tail]).unwrap();
            assert_eq!(seen, talk(&[&all]).unwrap());
            assert!(seen.closed && seen.message == message);
            let is_bad = |address: &Vec<u8>| 999 < address.len() || address.contains(&0);
            match seen.envelope {
                None => {
                    assert!(addresses.iter().any(is_bad));
                    let refused = b"51:Dsorry, I can't accept addresses like that (#5.1.3),";
                    assert_eq!(seen.sent, refused);
                }
                Some((sender, recipients)) => {
                    assert!(!addresses.iter().any(is_bad));
                    assert_eq!((&sender, &recipients[..]), (&addresses[0], &addresses[1..]));
                    assert_eq!(seen.sent, b"10:Kok 1 qp 2,");
                }
            }
            Ok(())
        });
    }

    #[test]
    fn bytes_of_any_kind_end_in_a_fault_or_wait() {
        property::holds(|u| {
            let _ = talk(&[&property::bytes(u)?]);
            Ok(())
        });
    }

    #[test]
    fn netstrings_that_stick_out_or_lie_are_refused() {
        for (bytes, fault) in [
            (&b"3:5:ab"[..], Fault::Malformed),
            (b"05:", Fault::Malformed),
            (b":", Fault::Malformed),
            (b"200000001:", Fault::TooMuch),
            (b"1000000000", Fault::TooMuch),
            (b"12:1:ax", Fault::Malformed),
            (b"8:1:a,1:b,x", Fault::Malformed),
            (b"6:1:a,1:b,", Fault::Malformed),
            (b"4:1:a,", Fault::Malformed),
            (b"0:,", Fault::Malformed),
        ] {
            let name = String::from_utf8_lossy(bytes);
            assert_eq!(talk(&[bytes]).unwrap_err(), fault, "{name}");
        }
        assert!(!talk(&[b"199999999:199999900:"]).unwrap().closed);
    }
}
