//! DKIM: mail of this site is signed by the key of its author's domain.
//!
//! Only what was handed in here: by a local program, by a client that may
//! relay, by a user who logged in and whose domain the author's is. What came
//! from strangers and goes on to others is not ours to vouch for, and neither
//! is a user who writes in the name of somebody else's domain. The key is the
//! signer's; this process shows it the header and gets a signature.

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
    let may_sign = |domain: &String| match handed_in(&header) {
        Some(By::Trusted) => true,
        Some(By::UserOf(own)) => own == *domain,
        None => false,
    };
    let Some(domain) = author(&header).filter(may_sign) else {
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

/// Who handed a message in.
#[derive(Debug, Eq, PartialEq)]
enum By {
    /// A local program, or a client that may relay.
    Trusted,
    /// A user of this domain.
    UserOf(String),
}

/// Reads how the message got here, from the lines that our own programs put
/// on top of it; `None` when it came from elsewhere.
fn handed_in(header: &[u8]) -> Option<By> {
    let mut received = Vec::new();
    for field in message::fields(header) {
        if field.is("Delivered-To") {
            return None;
        }
        if field.is("Received") {
            received.push(field.unfolded());
        }
    }
    let has = |text: &[u8], word: &str| text.windows(word.len()).any(|w| w == word.as_bytes());
    let queue = received.first()?;
    if !queue.trim_ascii_start().starts_with(b"(indimail ") {
        return None;
    }
    if !has(queue, " from network); ") {
        return (received.len() == 1).then_some(By::Trusted);
    }
    // What the client had a say in stands before the last `with`.
    let text = String::from_utf8_lossy(received.get(1)?);
    let (_, own) = text.rsplit_once(" with ")?;
    if own.contains(" (relay client) id ") {
        return Some(By::Trusted);
    }
    let (_, user) = own.split_once(" (user of ")?;
    let (domain, _) = user.split_once(") id ")?;
    Some(By::UserOf(domain.to_ascii_lowercase()))
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
        let user = || Some(By::UserOf("a.test".to_owned()));
        for (header, by) in [
            (local.to_owned(), Some(By::Trusted)),
            (smtp("ESMTPSA (TLSv1.3 X) (user of a.test)"), user()),
            (smtp("ESMTPA (user of A.test)"), user()),
            (
                smtp("ESMTPA (user of a.test)").replace(
                    "invoked from",
                    "invoked from 192.0.2.1 by host mx.test from",
                ),
                user(),
            ),
            (smtp("SMTP (relay client)"), Some(By::Trusted)),
            (smtp("ESMTPS (TLSv1.3 X)"), None),
            (smtp("ESMTP"), None),
            // A forward of what came from elsewhere.
            (format!("{local}{}", smtp("ESMTPSA (user of a.test)")), None),
            (format!("{local}Delivered-To: ann@a.test\n"), None),
            // Everything below our own lines is the client's word.
            (
                format!(
                    "{}Received: x with ESMTPSA (user of a.test) id\n",
                    smtp("ESMTP")
                ),
                None,
            ),
            (
                format!(
                    "{QUEUE}Received: from c (x with ESMTPA (user of a.test) id y@192.0.2.1)\n  \
                     by mx.test with SMTP id x; d\n"
                ),
                None,
            ),
            (String::new(), None),
            ("Received: by me\n".to_owned(), None),
        ] {
            assert_eq!(handed_in(header.as_bytes()), by, "{header}");
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
