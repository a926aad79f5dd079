//! QMTP: messages of strangers, as many as they like on one connection.
//!
//! A message, a sender, and a netstring of recipients; one answer for each
//! recipient, in their order. The first byte of a message says how its lines
//! end.

use crate::input::{Address, Input};
use crate::{Fault, Report};

/// Most recipients of one message, refused ones included.
pub const RECIPIENTS_MAX: usize = 20_000;

/// What the driver has to do next.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing, until bytes arrive.
    Wait,
    /// Open a message.
    Begin,
    /// Write these bytes, lines ending in LF.
    Append(Vec<u8>),
    /// May this sender write? [`Session::sender`]
    Sender(Vec<u8>),
    /// May mail come for this recipient? [`Session::recipient`]
    Recipient(Vec<u8>),
    /// The message is complete: [`Session::answer`].
    Commit {
        /// Envelope sender.
        sender: Vec<u8>,
        /// Envelope recipients, as [`Session::recipient`] was told.
        recipients: Vec<Vec<u8>>,
    },
    /// Forget the message: nobody gets it.
    Abort,
    /// Send these bytes.
    Send(Vec<u8>),
}

/// A session.
#[derive(Debug, Default)]
pub struct Session {
    input: Input,
    state: State,
    envelope: Envelope,
}

/// The envelope of the message that is arriving.
#[derive(Debug, Default)]
struct Envelope {
    sender: Vec<u8>,
    /// What every recipient is told whom the queue would have got.
    refused: Option<Report>,
    recipients: Vec<Vec<u8>>,
    /// For each recipient why it is refused.
    reports: Vec<Option<Report>>,
}

#[derive(Debug, Default)]
enum State {
    /// The length of a message, or the end of the connection.
    #[default]
    Between,
    /// The byte that tells how lines end.
    Kind(u64),
    Message(Lines),
    SenderLength,
    Sender(Address),
    /// The driver is asked about the sender.
    AskingSender,
    /// The length of all recipients.
    All,
    /// The length of a recipient, or their end.
    Next,
    Recipient(Address),
    /// The driver is asked about a recipient.
    AskingRecipient,
    /// The comma behind all recipients.
    Last,
    /// The queue is asked.
    Committing,
    /// The answers are to be sent.
    Answering(Report),
}

/// The rest of a message.
#[derive(Debug)]
struct Lines {
    left: u64,
    /// CR LF ends a line, not LF.
    crlf: bool,
    /// A CR whose LF may follow.
    after_cr: bool,
}

impl Lines {
    fn decode(&mut self, piece: &[u8]) -> Vec<u8> {
        if !self.crlf {
            return piece.to_vec();
        }
        let mut out = Vec::with_capacity(piece.len() + 1);
        for &byte in piece {
            if std::mem::take(&mut self.after_cr) && byte != b'\n' {
                out.push(b'\r');
            }
            match byte {
                b'\r' => self.after_cr = true,
                byte => out.push(byte),
            }
        }
        if self.left == 0 && std::mem::take(&mut self.after_cr) {
            out.push(b'\r');
        }
        out
    }
}

impl Session {
    /// Takes bytes from the client.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Says whether the client may go now.
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Between) && self.input.is_empty()
    }

    /// Goes on until there is something to do.
    pub fn step(&mut self) -> Result<Step, Fault> {
        loop {
            if let Some(step) = self.advance()? {
                return Ok(step);
            }
        }
    }

    /// Takes the answer to [`Step::Sender`]: why this one may not write.
    pub fn sender(&mut self, refused: Option<Report>) {
        self.envelope.refused = refused;
        self.state = State::All;
    }

    /// Takes the answer to [`Step::Recipient`]: the address to send to, or why
    /// not.
    pub fn recipient(&mut self, verdict: Result<Vec<u8>, Report>) {
        self.envelope.push(verdict);
        self.state = State::Next;
    }

    /// What became of the message of the last [`Step::Commit`].
    pub fn answer(&mut self, report: Report) {
        self.state = State::Answering(report);
    }

    fn advance(&mut self) -> Result<Option<Step>, Fault> {
        let wait = Ok(Some(Step::Wait));
        let input = &mut self.input;
        match &mut self.state {
            State::Between => {
                match input.length()? {
                    None => return wait,
                    // There is no room for the first byte.
                    Some(0) => return Err(Fault::Malformed),
                    Some(length) => self.state = State::Kind(length),
                }
            }
            State::Kind(left) => {
                let mut first = 1;
                let crlf = match input.content(&mut first) {
                    [] => return wait,
                    b"\n" => false,
                    b"\r" => true,
                    _ => return Err(Fault::Malformed),
                };
                let left = *left - 1;
                self.envelope = Envelope::default();
                self.state = State::Message(Lines {
                    left,
                    crlf,
                    after_cr: false,
                });
                return Ok(Some(Step::Begin));
            }
            State::Message(lines) => {
                let piece = input.content(&mut lines.left).to_vec();
                let decoded = lines.decode(&piece);
                if !decoded.is_empty() {
                    return Ok(Some(Step::Append(decoded)));
                }
                if lines.left != 0 || !input.comma()? {
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
                let Some(sender) = sender else {
                    let text = "unacceptable sender (#5.1.7)";
                    self.sender(Some(Report::Never(text.to_owned())));
                    return Ok(None);
                };
                self.envelope.sender.clone_from(&sender);
                self.state = State::AskingSender;
                return Ok(Some(Step::Sender(sender)));
            }
            State::All => {
                let Some(length) = input.length()? else {
                    return wait;
                };
                input.enter(length);
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
                if self.envelope.reports.len() == RECIPIENTS_MAX {
                    return Err(Fault::TooMuch);
                }
                self.state = State::Recipient(Address::new(length));
            }
            State::Recipient(address) => {
                let Some(recipient) = address.read(input)? else {
                    return wait;
                };
                return Ok(self.ask(recipient));
            }
            State::Last => {
                if !input.comma()? {
                    return wait;
                }
                return Ok(Some(self.close_envelope()));
            }
            State::AskingSender | State::AskingRecipient | State::Committing => return wait,
            State::Answering(report) => {
                let out = self.envelope.answers(report);
                self.state = State::Between;
                return Ok(Some(Step::Send(out)));
            }
        }
        Ok(None)
    }

    fn ask(&mut self, recipient: Option<Vec<u8>>) -> Option<Step> {
        match (recipient, &self.envelope.refused) {
            (Some(recipient), None) => {
                self.state = State::AskingRecipient;
                return Some(Step::Recipient(recipient));
            }
            (Some(_), Some(refused)) => {
                let refused = refused.clone();
                self.recipient(Err(refused));
            }
            (None, _) => {
                let text = "sorry, I can't handle that recipient (#5.1.3)";
                self.recipient(Err(Report::Never(text.to_owned())));
            }
        }
        None
    }

    fn close_envelope(&mut self) -> Step {
        if self.envelope.recipients.is_empty() {
            // Each recipient has its report.
            self.state = State::Answering(Report::Later(String::new()));
            return Step::Abort;
        }
        self.state = State::Committing;
        Step::Commit {
            sender: std::mem::take(&mut self.envelope.sender),
            recipients: std::mem::take(&mut self.envelope.recipients),
        }
    }
}

impl Envelope {
    fn push(&mut self, verdict: Result<Vec<u8>, Report>) {
        match verdict {
            Ok(address) => {
                self.recipients.push(address);
                self.reports.push(None);
            }
            Err(report) => self.reports.push(Some(report)),
        }
    }

    /// One answer for each recipient.
    fn answers(&self, report: &Report) -> Vec<u8> {
        let mut out = Vec::new();
        for refused in &self.reports {
            refused.as_ref().unwrap_or(report).append(&mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use text::netstring;

    #[derive(Debug, Default, Eq, PartialEq)]
    struct Seen {
        messages: Vec<Vec<u8>>,
        envelopes: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
        sent: Vec<u8>,
        may_go: bool,
    }

    fn refused() -> Report {
        Report::Never("no".into())
    }

    /// Talks to a session that takes what does not begin with `x`.
    fn talk(pieces: &[&[u8]]) -> Result<Seen, Fault> {
        let (mut session, mut seen) = (Session::default(), Seen::default());
        for piece in pieces {
            session.receive(piece);
            loop {
                match session.step()? {
                    Step::Wait => break,
                    Step::Begin => seen.messages.push(Vec::new()),
                    Step::Append(bytes) => seen.messages.last_mut().unwrap().extend(bytes),
                    Step::Sender(sender) => {
                        session.sender(sender.starts_with(b"x").then(refused));
                    }
                    Step::Recipient(address) => session.recipient(match address.first() {
                        Some(b'x') => Err(refused()),
                        _ => Ok(address),
                    }),
                    Step::Abort => drop(seen.messages.pop()),
                    Step::Commit { sender, recipients } => {
                        seen.envelopes.push((sender, recipients));
                        session.answer(Report::Taken("ok 1 qp 2".into()));
                    }
                    Step::Send(bytes) => seen.sent.extend(bytes),
                }
            }
        }
        seen.may_go = session.is_between_messages();
        Ok(seen)
    }

    fn package(message: &[u8], sender: &[u8], recipients: &[Vec<u8>]) -> Vec<u8> {
        let (mut out, mut inner) = (Vec::new(), Vec::new());
        netstring::append(&mut out, message);
        netstring::append(&mut out, sender);
        for recipient in recipients {
            netstring::append(&mut inner, recipient);
        }
        netstring::append(&mut out, &inner);
        out
    }

    fn strings(text: &[&str]) -> Vec<Vec<u8>> {
        text.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn each_recipient_is_answered_in_its_order() {
        let two = strings(&["ann@b", "x@c", "bob@b"]);
        let all = [
            package(b"\nS: t\n\nhi\n", b"a@b", &two),
            package(b"\rS: t\r\n\r\nhi\r\n", b"", &strings(&["ann@b"])),
        ]
        .concat();
        let seen = talk(&[&all]).unwrap();
        assert_eq!(seen.messages, strings(&["S: t\n\nhi\n", "S: t\n\nhi\n"]));
        let first = (b"a@b".to_vec(), strings(&["ann@b", "bob@b"]));
        assert_eq!(seen.envelopes, [first, (Vec::new(), strings(&["ann@b"]))]);
        let sent = String::from_utf8(seen.sent).unwrap();
        assert_eq!(sent, "10:Kok 1 qp 2,3:Dno,10:Kok 1 qp 2,10:Kok 1 qp 2,");
        assert!(seen.may_go);
    }

    #[test]
    fn a_message_for_nobody_is_not_queued() {
        let seen = talk(&[&package(b"\nx", b"a@b", &strings(&["x@c"]))]).unwrap();
        assert_eq!((seen.envelopes.len(), seen.messages.len()), (0, 0));
        assert_eq!(seen.sent, b"3:Dno,");
        let seen = talk(&[&package(b"\nx", b"x", &strings(&["ann@b", "bob@b"]))]).unwrap();
        assert_eq!(seen.sent, b"3:Dno,3:Dno,");
        let seen = talk(&[&package(b"\nx", b"a\0b", &strings(&["ann@b"]))]).unwrap();
        assert_eq!(seen.sent, b"29:Dunacceptable sender (#5.1.7),");
        let long = vec![vec![b'a'; 1000]];
        let seen = talk(&[&package(b"\nx", b"a@b", &long)]).unwrap();
        let refused = b"46:Dsorry, I can't handle that recipient (#5.1.3),";
        assert_eq!(seen.sent, refused);
    }

    #[test]
    fn a_cr_without_its_lf_stays_what_it_is() {
        let seen = talk(&[&package(b"\ra\r\rb\nc\r\nd\r", b"", &strings(&["a"]))]).unwrap();
        assert_eq!(seen.messages, [b"a\r\rb\nc\nd\r"]);
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        property::holds(|u| {
            let mut all = Vec::new();
            let mut count = 0;
            for _ in 0..u.int_in_range(0..=3)? {
                let kind = *u.choose(b"\r\n")?;
                let message = [&[kind][..], &property::bytes(u)?].concat();
                let recipients = property::several(u, property::bytes)?;
                count += recipients.len();
                all.extend(package(&message, &property::bytes(u)?, &recipients));
            }
            let (head, tail) = all.split_at(u.int_in_range(0..=all.len())?);
            let seen = talk(&[head, tail]).unwrap();
            assert_eq!(seen, talk(&[&all]).unwrap());
            assert!(seen.may_go);
            let (mut rest, mut answers) = (&seen.sent[..], 0);
            while let Some((_, used)) = netstring::take(rest, 1000).unwrap() {
                (rest, answers) = (&rest[used..], answers + 1);
            }
            assert_eq!((answers, rest.len()), (count, 0));
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
    fn more_recipients_than_anybody_has_end_the_session() {
        let many = vec![b"x".to_vec(); RECIPIENTS_MAX + 1];
        assert_eq!(
            talk(&[&package(b"\n", b"", &many)]).unwrap_err(),
            Fault::TooMuch
        );
        assert!(talk(&[&package(b"\n", b"", &many[1..])]).unwrap().may_go);
        assert_eq!(talk(&[b"0:,"]).unwrap_err(), Fault::Malformed);
        assert_eq!(talk(&[b"1:x"]).unwrap_err(), Fault::Malformed);
    }
}
