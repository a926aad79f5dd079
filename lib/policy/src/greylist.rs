//! Greylisting (smtp-receiving.md §2.13): the protocol between an SMTP server
//! and a greylisting server, and what that server remembers.
//!
//! A client that is not known must come again a little later, which mail
//! servers do and most senders of junk do not. One entry is kept for each
//! network, sender and recipient; a network for which an entry passed is
//! trusted as a whole for the lifetime.

mod context;
mod table;
mod whitelist;

use std::net::IpAddr;

pub use context::{BadContext, parse as parse_context, print as print_context};
pub use table::{Key, Limits, Outcome, State, Table};
pub use whitelist::Whitelist;

/// Largest datagram: the buffer of older servers.
pub const REQUEST_BYTES_MAX: usize = 2000;

/// What an SMTP server asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Address of the client.
    pub ip: IpAddr,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Envelope recipients.
    pub recipients: Vec<Vec<u8>>,
}

/// A datagram is not a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a greylisting request")]
pub struct BadRequest;

/// The datagrams that ask for all recipients; each fits the buffer of older
/// servers unless one address alone does not.
pub fn requests(ip: IpAddr, sender: &[u8], recipients: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let head = [
        b"I",
        ip.to_string().as_bytes(),
        b"\0F",
        &without_nul(sender),
        b"\0",
    ]
    .concat();
    let mut datagrams = vec![head.clone()];
    let mut is_empty = true;
    for recipient in recipients {
        let part = [b"T", &without_nul(recipient)[..], b"\0"].concat();
        let length = datagrams.last().map_or(0, Vec::len);
        if !is_empty && REQUEST_BYTES_MAX < length + part.len() + 1 {
            datagrams.push(head.clone());
        }
        is_empty = false;
        datagrams
            .last_mut()
            .into_iter()
            .for_each(|datagram| datagram.extend_from_slice(&part));
    }
    for datagram in &mut datagrams {
        datagram.push(0);
    }
    datagrams
}

fn without_nul(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|&b| b != 0).collect()
}

impl Request {
    /// Reads a datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, BadRequest> {
        let records = datagram.strip_suffix(b"\0\0").ok_or(BadRequest)?;
        let mut request: Option<Self> = None;
        let mut has_sender = false;
        for record in records.split(|&b| b == 0) {
            match (record.split_first(), &mut request) {
                (Some((b'I', text)), None) => {
                    let text = std::str::from_utf8(text).map_err(|_| BadRequest)?;
                    let ip: IpAddr = text.parse().map_err(|_| BadRequest)?;
                    request = Some(Self {
                        ip: ip.to_canonical(),
                        sender: Vec::new(),
                        recipients: Vec::new(),
                    });
                }
                (Some((b'F', sender)), Some(request)) if !has_sender => {
                    request.sender = sender.to_vec();
                    has_sender = true;
                }
                (Some((b'T', recipient)), Some(request)) if has_sender => {
                    request.recipients.push(recipient.to_vec());
                }
                _ => return Err(BadRequest),
            }
        }
        request.filter(|_| has_sender).ok_or(BadRequest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceptance_30_the_request_has_the_documented_bytes() {
        let ip = "192.0.2.1".parse().unwrap();
        let sent = requests(ip, b"a@b", &[b"c@local.test".to_vec()]);
        assert_eq!(sent, [b"I192.0.2.1\0Fa@b\0Tc@local.test\0\0".to_vec()]);
        let request = Request::parse(&sent[0]).unwrap();
        assert_eq!(request.recipients, [b"c@local.test".to_vec()]);
    }

    #[test]
    fn many_recipients_are_asked_for_in_several_datagrams() {
        let ip = "192.0.2.1".parse().unwrap();
        let many: Vec<Vec<u8>> = (0..200)
            .map(|n| format!("user{n}@local.test").into_bytes())
            .collect();
        let sent = requests(ip, b"", &many);
        assert!(1 < sent.len() && sent.iter().all(|d| d.len() <= REQUEST_BYTES_MAX));
        let all: Vec<Vec<u8>> = sent
            .iter()
            .flat_map(|datagram| Request::parse(datagram).unwrap().recipients)
            .collect();
        assert_eq!(all, many);
    }

    #[test]
    fn any_datagram_is_a_request_or_none() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            if let Ok(request) = Request::parse(&bytes) {
                let again = requests(request.ip, &request.sender, &request.recipients);
                assert_eq!(Request::parse(&again[0]).unwrap().ip, request.ip);
            }
            Ok(())
        });
    }
}
