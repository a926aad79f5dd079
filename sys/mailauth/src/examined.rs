//! A message on its way: its header is kept, its body hashed as it flows by,
//! so that size is no way around an examination.

use mail_auth::AuthenticatedMessage;
use wire::verify::Message;

use crate::body::{BodyHash, BodyHashes};

/// Longest header that is examined.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Signatures of one message that are looked at; each costs a question to the
/// DNS and an RSA operation.
const SIGNATURES_MAX: usize = 8;

/// A message, collected for examination.
pub struct Examined {
    pub(crate) about: Message,
    /// With lines that end in CR LF, as signatures are about them.
    header: Vec<u8>,
    state: State,
}

enum State {
    /// In the header; at the start of a line or not.
    Header { at_start: bool },
    /// In the body.
    Body(BodyHashes),
    /// The header does not end.
    TooLong,
}

impl Examined {
    /// Begins.
    pub fn new(about: Message) -> Self {
        Self {
            about,
            header: Vec::new(),
            state: State::Header { at_start: true },
        }
    }

    /// Takes bytes whose lines end in LF.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let (State::Header { at_start }, false) = (&self.state, rest.is_empty()) {
            let end = rest.iter().position(|&b| b == b'\n');
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            let is_over = *at_start && line == b"\n";
            match line.strip_suffix(b"\n") {
                Some(line) => {
                    self.header.extend_from_slice(line);
                    self.header.extend_from_slice(b"\r\n");
                }
                None => self.header.extend_from_slice(line),
            }
            rest = after;
            self.state = if HEADER_BYTES_MAX < self.header.len() {
                self.header = Vec::new();
                State::TooLong
            } else if is_over {
                State::Body(wanted_hashes(&self.header))
            } else {
                State::Header {
                    at_start: end.is_some(),
                }
            };
        }
        if let State::Body(hashes) = &mut self.state {
            hashes.push(rest);
        }
    }

    /// How much memory it takes.
    pub fn size(&self) -> usize {
        self.header.len()
    }

    /// The header, and the hashes of the body.
    pub(crate) fn finish(self) -> Finished {
        let hashes = match self.state {
            State::Body(hashes) => hashes,
            State::Header { .. } | State::TooLong => wanted_hashes(&self.header),
        };
        Finished {
            about: self.about,
            header: self.header,
            hashes: hashes.finish(),
        }
    }
}

/// What the signatures in a header want to know about the body, which begins
/// before the first empty line where that is not a field.
fn wanted_hashes(header: &[u8]) -> BodyHashes {
    let message = parse(header);
    let wanted = message.iter().flat_map(|message| &message.body_hashes);
    let mut hashes = BodyHashes::new(wanted.map(|(how, algorithm, ..)| (*how, *algorithm)));
    hashes.push(message.as_ref().map_or(b"", |message| message.raw_body()));
    hashes
}

fn parse(header: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    let mut message = AuthenticatedMessage::parse(header)?;
    message.dkim_headers.truncate(SIGNATURES_MAX);
    Some(message)
}

/// A message that is complete.
pub(crate) struct Finished {
    pub(crate) about: Message,
    header: Vec<u8>,
    hashes: Vec<BodyHash>,
}

impl Finished {
    /// As the library knows it; `None` without any field, or with a header
    /// longer than any that is examined.
    pub(crate) fn message(&self) -> Option<AuthenticatedMessage<'_>> {
        let mut message = parse(&self.header)?;
        message.body_hashes = self.hashes.clone();
        Some(message)
    }
}

impl std::fmt::Debug for Examined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examined").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> Message {
        Message {
            sender: wire::verify::Sender {
                ip: [192, 0, 2, 1].into(),
                helo: String::new(),
                sender: String::new(),
                host: "mx.test".into(),
                rules: None,
                guess: None,
                explanation: None,
            },
            spf: None,
            client: None,
        }
    }

    #[test]
    fn a_body_that_flows_by_has_the_hashes_of_one_that_was_kept() {
        let field = |how: &str, algorithm: &str| {
            format!(
                "DKIM-Signature: v=1; a={algorithm}; c=relaxed/{how}; d=a.test; s=s; h=from; \
                 bh=eA==; b=eA==\n"
            )
        };
        let header = field("relaxed", "rsa-sha256")
            + &field("simple", "rsa-sha256")
            + &field("relaxed", "rsa-sha1")
            + "From: ann@a.test\n";
        property::holds(|u| {
            let mut text = header.clone().into_bytes();
            for _ in 0..u.int_in_range(0..=20)? {
                let pieces: [&[u8]; 7] = [b"\n", b"\n", b" ", b"\t", b"x", b".", b"a b  c \n"];
                text.extend_from_slice(u.choose(&pieces)?);
            }
            let mut examined = Examined::new(about());
            let (head, tail) = text.split_at(u.int_in_range(0..=text.len())?);
            examined.push(head);
            examined.push(tail);
            let finished = examined.finish();
            let whole = String::from_utf8_lossy(&text).replace('\n', "\r\n");
            let kept = AuthenticatedMessage::parse(whole.as_bytes()).unwrap();
            let flown = finished.message().unwrap();
            assert_eq!(flown.body_hashes, kept.body_hashes);
            assert_eq!(flown.from, kept.from);
            Ok(())
        });
    }

    #[test]
    fn a_header_without_an_end_is_given_up() {
        let mut examined = Examined::new(about());
        let line = "X: ".to_owned() + &"y".repeat(70) + "\n";
        for _ in 0..HEADER_BYTES_MAX / 70 {
            examined.push(line.as_bytes());
        }
        assert_eq!(examined.size(), 0);
        examined.push(b"\nbody\n");
        assert!(examined.finish().message().is_none());
    }
}
