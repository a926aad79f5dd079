//! What the sender of a message wants to be told about it (RFC 3461): from
//! the SMTP server or sendmail through the queue to qmail-send and
//! qmail-remote.
//!
//! In the `h` record of an envelope these wishes are header lines of their
//! own, so the queue's files keep their documented format:
//!
//! ```text
//! X-Indimail-Dsn: RET=HDRS ENVID=QQ314159
//! X-Indimail-Dsn-To: bob@b.example NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob@a.example
//! ```
//!
//! The first line may have a `NOTIFY` for all recipients without a line of
//! their own. Addresses are xtext. qmail-todo rewrites them together with the
//! recipients, so that qmail-send finds a recipient's line by its address.
//! Delivery programs get the first line and their recipient's as variables.
//!
//! REQUIRETLS (RFC 8689) takes the same way, as `REQUIRETLS=YES` in the first
//! line: it, too, is a wish for the whole way of a message.
//!
//! Every value is printable ASCII once it is parsed, whoever wrote it.

mod values;

use text::xtext;

pub use values::{EnvelopeId, Notify, Original, Return};

/// The header line about the message.
pub const HEADER: &str = "X-Indimail-Dsn";
/// The header line about one recipient.
pub const RECIPIENT_HEADER: &str = "X-Indimail-Dsn-To";
/// The variable that carries these lines to queue programs.
pub const VARIABLE: &str = "INDIMAIL_DSN";
/// The variables delivery programs find [`HEADER`] and [`RECIPIENT_HEADER`]
/// in.
pub const DELIVERY_VARIABLES: [&str; 2] = ["X_INDIMAIL_DSN", "X_INDIMAIL_DSN_TO"];
/// Most bytes of the lines of one message.
pub const BYTES_MAX: usize = 64 * 1024;

/// What is wanted for one recipient.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wish {
    /// When to report; by default a failure only.
    pub notify: Option<Notify>,
    /// Whom the sender wrote to.
    pub original: Option<Original>,
}

/// What is wanted for a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dsn {
    /// How much a report repeats.
    pub ret: Option<Return>,
    /// What it names.
    pub envelope_id: Option<EnvelopeId>,
    /// Rather no delivery than one over a connection that others can read
    /// (RFC 8689).
    pub require_tls: bool,
    /// For recipients without a wish of their own.
    pub notify: Option<Notify>,
    /// For single recipients, by envelope address.
    pub recipients: Vec<(Vec<u8>, Wish)>,
}

impl Wish {
    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.notify.is_none() && self.original.is_none()
    }

    /// The parameters of RCPT, each after a blank.
    pub fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(notify) = self.notify {
            out.extend_from_slice(format!(" NOTIFY={notify}").as_bytes());
        }
        if let Some(original) = &self.original {
            out.extend_from_slice(b" ORCPT=");
            out.extend_from_slice(&original.value());
        }
        out
    }

    /// The line about a recipient with this wish.
    fn line(&self, recipient: &[u8]) -> Vec<u8> {
        let mut line = format!("{RECIPIENT_HEADER}: ").into_bytes();
        line.extend_from_slice(&xtext::encode(recipient));
        line.extend_from_slice(&self.parameters());
        line.push(b'\n');
        line
    }

    /// Bytes this wish takes in an envelope.
    pub fn bytes(&self, recipient: &[u8]) -> usize {
        match self.is_empty() {
            true => 0,
            false => self.line(recipient).len(),
        }
    }
}

impl Dsn {
    /// Finds the lines among others; what makes no sense in them counts as
    /// not said.
    pub fn from_headers(lines: &[u8]) -> Self {
        let mut dsn = Self::default();
        for line in lines.split(|&b| b == b'\n') {
            if let Some(words) = value(line, HEADER) {
                dsn.take_words(words);
            } else if let Some(words) = value(line, RECIPIENT_HEADER)
                && let Some((address, wish)) = recipient_of(words)
            {
                dsn.recipients.push((address, wish));
            }
        }
        dsn
    }

    /// Puts together what the variables of a delivery program say.
    pub fn from_variables(message: &[u8], recipient: &[u8]) -> Self {
        let mut dsn = Self::default();
        dsn.take_words(message);
        dsn.recipients.extend(recipient_of(recipient));
        dsn
    }

    /// The lines for an `h` record, at most [`BYTES_MAX`] bytes; empty when
    /// nothing is wanted. Recipients beyond that are as if nothing was said.
    pub fn to_headers(&self) -> Vec<u8> {
        let mut out = self.message_line();
        for (recipient, wish) in self.recipients.iter().filter(|(_, wish)| !wish.is_empty()) {
            let line = wish.line(recipient);
            if BYTES_MAX < out.len() + line.len() {
                break;
            }
            out.extend_from_slice(&line);
        }
        out
    }

    /// The lines for the delivery to one recipient.
    pub fn for_delivery(&self, recipient: &[u8]) -> Vec<u8> {
        let wish = self.wish(recipient);
        let message = Self {
            notify: None,
            recipients: Vec::new(),
            ..self.clone()
        };
        let mut out = message.message_line();
        if !wish.is_empty() {
            out.extend_from_slice(&wish.line(recipient));
        }
        out
    }

    /// What is wanted for a recipient.
    pub fn wish(&self, recipient: &[u8]) -> Wish {
        let own = self.recipients.iter().find(|(key, _)| key == recipient);
        let mut wish = own.map(|(_, wish)| wish.clone()).unwrap_or_default();
        wish.notify = wish.notify.or(self.notify);
        wish
    }

    /// When a recipient's sender wants a report.
    pub fn notify(&self, recipient: &[u8]) -> Notify {
        let own = self.recipients.iter().find(|(key, _)| key == recipient);
        let own = own.and_then(|(_, wish)| wish.notify);
        own.or(self.notify).unwrap_or(Notify::DEFAULT)
    }

    /// What is wanted for a message that goes on to other recipients with
    /// the same sender (RFC 3461 §5.2.7.1). Success was the arrival here; the
    /// rest goes along.
    pub fn forwarded(&self, recipients: &[Vec<u8>]) -> Self {
        let own = self.recipients.first().map(|(_, wish)| wish.clone());
        let own = own.unwrap_or_default();
        let notify = own.notify.or(self.notify).map(|notify| Notify {
            success: false,
            ..notify
        });
        let wish = Wish {
            notify,
            original: own.original,
        };
        let one_by_one = wish.original.is_some();
        let recipients = recipients.iter().filter(|_| one_by_one);
        Self {
            ret: self.ret,
            envelope_id: self.envelope_id.clone(),
            require_tls: self.require_tls,
            notify,
            recipients: recipients.map(|to| (to.clone(), wish.clone())).collect(),
        }
    }

    /// Says whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The parameters of MAIL, each after a blank.
    pub fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.ret {
            Some(Return::Full) => out.extend_from_slice(b" RET=FULL"),
            Some(Return::Headers) => out.extend_from_slice(b" RET=HDRS"),
            None => {}
        }
        if let Some(id) = &self.envelope_id {
            out.extend_from_slice(b" ENVID=");
            out.extend_from_slice(&xtext::encode(id.as_bytes()));
        }
        out
    }

    fn message_line(&self) -> Vec<u8> {
        let mut words = self.parameters();
        if self.require_tls {
            words.extend_from_slice(b" REQUIRETLS=YES");
        }
        if let Some(notify) = self.notify {
            words.extend_from_slice(format!(" NOTIFY={notify}").as_bytes());
        }
        match words.is_empty() {
            true => words,
            false => [HEADER.as_bytes(), b":", &words[..], b"\n"].concat(),
        }
    }

    fn take_words(&mut self, words: &[u8]) {
        for (name, value) in pairs(words) {
            match name {
                b"RET" => self.ret = Return::parse(value),
                b"ENVID" => self.envelope_id = EnvelopeId::parse(value),
                b"NOTIFY" => self.notify = Notify::parse(value),
                b"REQUIRETLS" => self.require_tls = true,
                _ => {}
            }
        }
    }
}

/// These header lines with the recipients of wishes rewritten; `None` when
/// there are no wishes for single recipients.
pub fn rewrite_recipients(lines: &[u8], rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let start = format!("{RECIPIENT_HEADER}:");
    let is_wish = |line: &&[u8]| line.starts_with(start.as_bytes());
    lines.split(|&b| b == b'\n').find(is_wish)?;
    let mut dsn = Dsn::from_headers(lines);
    for (recipient, _) in &mut dsn.recipients {
        *recipient = rewrite(recipient);
    }
    Some([others(lines), dsn.to_headers()].concat())
}

/// The header lines that are not about reports.
pub fn others(lines: &[u8]) -> Vec<u8> {
    let lines = lines.split_inclusive(|&b| b == b'\n');
    let is_other = |line: &&[u8]| !line.starts_with(HEADER.as_bytes());
    lines.filter(is_other).collect::<Vec<_>>().concat()
}

fn value<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    line.strip_prefix(name.as_bytes())?.strip_prefix(b":")
}

/// `KEY=value` words.
fn pairs(words: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    words.split(|&b| b == b' ').filter_map(|word| {
        let equals = word.iter().position(|&b| b == b'=')?;
        Some((&word[..equals], &word[equals + 1..]))
    })
}

fn recipient_of(words: &[u8]) -> Option<(Vec<u8>, Wish)> {
    let words = words.strip_prefix(b" ").unwrap_or(words);
    let end = words.iter().position(|&b| b == b' ')?;
    let address = xtext::decode(&words[..end])?;
    let mut wish = Wish::default();
    for (name, value) in pairs(&words[end..]) {
        match name {
            b"NOTIFY" => wish.notify = Notify::parse(value),
            b"ORCPT" => wish.original = Original::parse(value),
            _ => {}
        }
    }
    Some((address, wish))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_survive_the_queue() {
        let lines = b"X-Indimail-Trace: 0123456789abcdef\n\
            X-Indimail-Dsn: RET=HDRS ENVID=a+2Bb\n\
            X-Indimail-Dsn-To: bob@b.example NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+20y@z\n\
            X-Indimail-Dsn-To: a+20b@c NOTIFY=NEVER\n";
        let dsn = Dsn::from_headers(lines);
        assert_eq!(dsn.ret, Some(Return::Headers));
        assert_eq!(dsn.envelope_id.as_ref().unwrap().as_bytes(), b"a+b");
        let wish = dsn.wish(b"bob@b.example");
        assert_eq!(wish.original.unwrap().address(), b"x y@z");
        assert_eq!(dsn.notify(b"a b@c"), Notify::NEVER);
        assert_eq!(dsn.notify(b"other@c"), Notify::DEFAULT);
        assert_eq!(Dsn::from_headers(&dsn.to_headers()), dsn);
        assert_eq!([others(lines), dsn.to_headers()].concat(), lines);
        let one = dsn.for_delivery(b"a b@c");
        let expected =
            b"X-Indimail-Dsn: RET=HDRS ENVID=a+2Bb\nX-Indimail-Dsn-To: a+20b@c NOTIFY=NEVER\n";
        assert_eq!(one, expected);
    }

    #[test]
    fn the_need_of_tls_stays_with_the_message_wherever_it_goes() {
        let mut dsn = Dsn {
            require_tls: true,
            ..Dsn::default()
        };
        assert!(dsn.parameters().is_empty() && !dsn.is_empty());
        let line = b"X-Indimail-Dsn: REQUIRETLS=YES\n";
        assert_eq!(dsn.to_headers(), line);
        assert_eq!(dsn.for_delivery(b"a@b"), line);
        assert!(Dsn::from_headers(line).require_tls);
        assert!(Dsn::from_variables(b" REQUIRETLS=YES", b"").require_tls);
        assert!(dsn.forwarded(&[b"a@b".to_vec()]).require_tls);
        dsn.ret = Some(Return::Full);
        assert_eq!(Dsn::from_headers(&dsn.to_headers()), dsn);
    }

    #[test]
    fn a_wish_for_all_holds_where_none_is_nearer() {
        let dsn = Dsn::from_headers(
            b"X-Indimail-Dsn: NOTIFY=NEVER\nX-Indimail-Dsn-To: a@b NOTIFY=FAILURE\n",
        );
        assert_eq!(dsn.notify(b"a@b"), Notify::DEFAULT);
        assert_eq!(dsn.notify(b"c@d"), Notify::NEVER);
        assert_eq!(
            dsn.for_delivery(b"c@d"),
            b"X-Indimail-Dsn-To: c@d NOTIFY=NEVER\n"
        );
    }

    #[test]
    fn the_lines_follow_rewritten_recipients() {
        let add = |address: &[u8]| [b"joe-", address].concat();
        let lines = b"Subject: s\nX-Indimail-Dsn: RET=FULL\nX-Indimail-Dsn-To: a@v NOTIFY=NEVER\n";
        let rewritten = rewrite_recipients(lines, add).unwrap();
        let expected =
            b"Subject: s\nX-Indimail-Dsn: RET=FULL\nX-Indimail-Dsn-To: joe-a@v NOTIFY=NEVER\n";
        assert_eq!(rewritten, expected);
        assert_eq!(rewrite_recipients(b"X-Indimail-Dsn: RET=FULL\n", add), None);
    }

    #[test]
    fn whatever_is_parsed_is_printed_and_parsed_as_the_same() {
        property::holds(|u| {
            let mut dsn = Dsn {
                ret: u
                    .choose(&[None, Some(Return::Full), Some(Return::Headers)])?
                    .to_owned(),
                envelope_id: EnvelopeId::of_text(u.arbitrary()?),
                ..Dsn::default()
            };
            for _ in 0..u.int_in_range(0..=4)? {
                let (success, failure, delay) = u.arbitrary()?;
                let notify = Notify {
                    success,
                    failure,
                    delay,
                };
                let value: Vec<u8> = [b"rfc822;", &xtext::encode(u.arbitrary()?)[..]].concat();
                let wish = Wish {
                    notify: Some(notify),
                    original: Original::parse(&value),
                };
                dsn.recipients.push((u.arbitrary()?, wish));
            }
            let lines = dsn.to_headers();
            assert!(lines.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')));
            assert_eq!(Dsn::from_headers(&lines), dsn);
            Ok(())
        });
        property::holds(|u| {
            let lines = property::bytes(u)?;
            let dsn = Dsn::from_headers(&lines);
            assert_eq!(
                Dsn::from_headers(&dsn.to_headers()).to_headers(),
                dsn.to_headers()
            );
            Ok(())
        });
    }

    #[test]
    fn a_forward_keeps_what_still_makes_sense() {
        let dsn = Dsn::from_headers(
            b"X-Indimail-Dsn: ENVID=7\nX-Indimail-Dsn-To: a@b NOTIFY=SUCCESS ORCPT=rfc822;x@y\n",
        );
        assert_eq!(
            dsn.forwarded(&[b"c@d".to_vec()]).to_headers(),
            b"X-Indimail-Dsn: ENVID=7 NOTIFY=NEVER\n\
              X-Indimail-Dsn-To: c@d NOTIFY=NEVER ORCPT=rfc822;x@y\n"
        );
        assert!(Dsn::default().forwarded(&[b"c@d".to_vec()]).is_empty());
    }

    #[test]
    fn the_lines_are_bounded() {
        let wish = Wish {
            notify: Some(Notify::NEVER),
            original: None,
        };
        let dsn = Dsn {
            recipients: (0..10_000)
                .map(|n| (format!("u{n}@x").into_bytes(), wish.clone()))
                .collect(),
            ..Dsn::default()
        };
        assert!(dsn.to_headers().len() <= BYTES_MAX);
    }
}
