//! DKIM: mail of this site is signed by the key of its author's domain.
//!
//! Only what was handed in here: by a local program, by a user who logged in,
//! by a client that may relay. What came from strangers and goes on to others
//! is not ours to vouch for. The key is the signer's; this process shows it
//! the header and gets a signature.

use std::path::Path;
use std::time::Duration;

use mailauth::{Signed, Signer};
use message::AddressList;
use run::{Home, Link};
use smtp::client::TextEncoder;
use wire::sign::{Reply, Request, VERSION};

use crate::failure::Failure;
use crate::stored::Stored;

/// How long the signer may take.
const SIGNER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest header that is looked at.
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// The field that goes before the message, lines ending in LF; empty when it
/// is not signed. A signer that should sign and cannot is a reason to wait:
/// the domain may tell others to refuse what is not signed.
pub fn signature(home: &Home, message: &Stored) -> Result<Vec<u8>, Failure> {
    let socket = home.socket("signer");
    if !socket.exists() {
        return Ok(Vec::new());
    }
    let header = message
        .header(HEADER_BYTES_MAX)
        .map_err(|_| Failure::Message)?;
    let Some(domain) = author(&header).filter(|_| is_ours(&header)) else {
        return Ok(Vec::new());
    };
    let mut key = Key::connect(&socket, domain)?;
    let Some(selector) = key.selector()? else {
        return Ok(Vec::new());
    };
    key.selector = selector.clone();
    let domain = key.domain.clone();
    let mut pieces = message.pieces();
    let mut encoder = Some(TextEncoder::without_dots());
    let signed = Signed::new(key, &domain, &selector).sign(|out| {
        let Some(encoding) = &mut encoder else {
            return Ok(false);
        };
        match pieces.next()? {
            Some(piece) => encoding.encode(piece, out),
            None => encoder.take().into_iter().for_each(|last| last.finish(out)),
        }
        Ok::<_, std::io::Error>(true)
    });
    let field = signed
        .map_err(|_| Failure::Message)?
        .map_err(Failure::Signer)?;
    Ok(field.into_iter().filter(|&b| b != b'\r').collect())
}

/// The domain of the author; a message of several has none.
fn author(header: &[u8]) -> Option<String> {
    let mut fields = message::fields(header).filter(|field| field.is("From"));
    let (from, None) = (fields.next()?, fields.next()) else {
        return None;
    };
    let list = AddressList::parse(&from.unfolded()).ok()?;
    let mut addresses = list.bare();
    let (address, None) = (addresses.next()?, addresses.next()) else {
        return None;
    };
    let at = address.iter().rposition(|&b| b == b'@')?;
    let domain = address::Domain::parse(std::str::from_utf8(&address[at + 1..]).ok()?).ok()?;
    Some(domain.as_str().to_owned())
}

/// Reads how the message got here, from the lines that our own programs put
/// on top of it.
fn is_ours(header: &[u8]) -> bool {
    let mut received = Vec::new();
    for field in message::fields(header) {
        if field.is("Delivered-To") {
            return false;
        }
        if field.is("Received") {
            received.push(field.unfolded());
        }
    }
    let has = |text: &[u8], word: &str| text.windows(word.len()).any(|w| w == word.as_bytes());
    let Some(queue) = received.first() else {
        return false;
    };
    if !queue.trim_ascii_start().starts_with(b"(indimail ") {
        return false;
    }
    if !has(queue, " from network); ") {
        return received.len() == 1;
    }
    let Some(server) = received.get(1) else {
        return false;
    };
    // What the client had a say in stands before the last `with`.
    let text = String::from_utf8_lossy(server);
    let Some((_, own)) = text.rsplit_once(" with ") else {
        return false;
    };
    let protocol = own.split(' ').next().unwrap_or_default();
    // RFC 3848: the A says that the client authenticated.
    protocol.contains("SMTP") && protocol.ends_with('A') || own.contains(" (relay client) id ")
}

/// A key that is with the signer.
struct Key {
    link: std::cell::RefCell<Link>,
    domain: String,
    selector: String,
}

impl Key {
    fn connect(socket: &Path, domain: String) -> Result<Self, Failure> {
        let link = Link::connect(socket, VERSION, SIGNER_TIMEOUT)
            .map_err(|error| Failure::Signer(run::chain(&error)))?;
        Ok(Self {
            link: link.into(),
            domain,
            selector: String::new(),
        })
    }

    fn ask(&self, request: &Request) -> Result<Reply, String> {
        let answer = self.link.borrow_mut().ask(request);
        answer.map_err(|error| run::chain(&error))
    }

    fn selector(&self) -> Result<Option<String>, Failure> {
        let question = Request::DkimKey {
            domain: self.domain.clone(),
        };
        match self.ask(&question).map_err(Failure::Signer)? {
            Reply::DkimKey(selector) => Ok(selector),
            Reply::Refused(text) => Err(Failure::Signer(text)),
            other => Err(Failure::Signer(format!("it says {other:?}"))),
        }
    }
}

impl Signer for Key {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let question = Request::DkimSign {
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            message: bytes.to_vec(),
        };
        match self.ask(&question)? {
            Reply::Signature(signature) => Ok(signature),
            Reply::Refused(text) => Err(text),
            _ => Err("it answers another question".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "Received: (indimail 7 invoked from network); 26 Sep 1995 04:46:53 -0000\n";

    #[test]
    fn only_mail_that_was_handed_in_here_is_ours() {
        let local = "Received: (indimail 7 invoked by uid 500); 26 Sep 1995 04:46:53 -0000\n";
        let smtp = |with: &str| {
            format!("{QUEUE}Received: from c (192.0.2.1)\n  by mx.test with {with} id x; date\n")
        };
        for (header, ours) in [
            (local.to_owned(), true),
            (smtp("ESMTPSA (TLSv1.3 X)"), true),
            (smtp("ESMTPA"), true),
            (
                smtp("ESMTPA").replace(
                    "invoked from",
                    "invoked from 192.0.2.1 by host mx.test from",
                ),
                true,
            ),
            (smtp("SMTP (relay client)"), true),
            (smtp("ESMTPS (TLSv1.3 X)"), false),
            (smtp("ESMTP"), false),
            // A forward of what came from elsewhere.
            (format!("{local}{}", smtp("ESMTPSA")), false),
            (format!("{local}Delivered-To: ann@a.test\n"), false),
            // Everything below our own lines is the client's word.
            (
                format!("{}Received: x with ESMTPSA id\n", smtp("ESMTP")),
                false,
            ),
            (
                format!(
                    "{QUEUE}Received: from c (x with ESMTPA y@192.0.2.1)\n  by mx.test with SMTP id x; d\n"
                ),
                false,
            ),
            (String::new(), false),
            ("Received: by me\n".to_owned(), false),
        ] {
            assert_eq!(is_ours(header.as_bytes()), ours, "{header}");
        }
    }

    #[test]
    fn the_author_decides_about_the_domain() {
        let author = |text: &str| author(text.as_bytes());
        assert_eq!(
            author("From: \"Ann, B\" <ann@A.test>\n").as_deref(),
            Some("a.test")
        );
        assert_eq!(author("From: a@b.test, c@d.test\n"), None);
        assert_eq!(author("From: a@b.test\nFrom: c@d.test\n"), None);
        assert_eq!(author("Subject: x\n"), None);
    }
}
