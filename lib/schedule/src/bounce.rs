//! Bounces: what is written down of a failure, and who is told
//! (queue-and-delivery.md §4.8). How the message reads is in `report`.

use address::verp_origin;

use crate::Wording;

/// The envelope sender of double bounces; a bounce to it is dropped.
const DOUBLE_BOUNCE_SENDER: &[u8] = b"#@[]";
/// What a sender begins with that BATV is not to sign.
const BATV_TAG: &[u8] = b"sb*-";
/// Appended to a report when the message became too old.
const TOO_OLD: &[u8] =
    b"I'm not going to try again; this message has been in the queue too long.\n";

/// What becomes of the failures of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bounce {
    /// A notice to the sender.
    Single(Notice),
    /// The message was a bounce itself: a notice to the postmaster.
    Double(Notice),
    /// The message was a bounce, and nobody here wants to know.
    DiscardDouble,
    /// The message was a double bounce.
    DiscardTriple,
}

/// Envelope of a notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Envelope recipient.
    pub recipient: Vec<u8>,
}

impl Bounce {
    /// Decides by the sender of the message that failed.
    pub fn for_sender(sender: &[u8], wording: &Wording) -> Self {
        match sender {
            DOUBLE_BOUNCE_SENDER => Self::DiscardTriple,
            b"" if wording.double_to.is_empty() || wording.double_to[0] == b'@' => {
                Self::DiscardDouble
            }
            b"" => Self::Double(Notice {
                sender: DOUBLE_BOUNCE_SENDER.to_vec(),
                recipient: [&wording.double_to[..], b"@", &wording.double_host].concat(),
            }),
            sender => Self::Single(Notice {
                sender: Vec::new(),
                recipient: notice_recipient(sender).unwrap_or_default().to_vec(),
            }),
        }
    }
}

/// Cuts the tag off a sender that is not to be signed.
fn without_tag(sender: &[u8]) -> &[u8] {
    sender.strip_prefix(BATV_TAG).unwrap_or(sender)
}

/// Who gets a notice about a message of this sender, if anybody does.
pub fn notice_recipient(sender: &[u8]) -> Option<&[u8]> {
    match sender {
        b"" | DOUBLE_BOUNCE_SENDER => None,
        sender => Some(without_tag(verp_origin(sender))),
    }
}

/// Says whether a report ends with the sentence of [`final_report`].
pub fn is_final(report: &[u8]) -> bool {
    report.ends_with(TOO_OLD)
}

/// The report of a deferral that is the last one.
pub fn final_report(report: &[u8]) -> Vec<u8> {
    let mut report = report.to_vec();
    if !report.is_empty() && !report.ends_with(b"\n") {
        report.push(b'\n');
    }
    report.extend_from_slice(TOO_OLD);
    report
}

/// One failed recipient as `bounce/N` keeps it: no blank line inside, one at
/// the end.
pub fn paragraph(recipient: &[u8], report: &[u8]) -> Vec<u8> {
    let mut out = vec![b'<'];
    out.extend(recipient.iter().map(|&b| if b == b'\n' { b'_' } else { b }));
    out.extend_from_slice(b">:\n");
    let mut report = report.to_vec();
    if !report.ends_with(b"\n") {
        report.push(b'\n');
    }
    // A newline right after a newline would end the paragraph.
    let mut before = b'\n';
    for byte in report {
        let kept = if byte == b'\n' && before == b'\n' {
            b'/'
        } else {
            byte
        };
        out.push(kept);
        before = kept;
    }
    if before != b'\n' {
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording() -> Wording {
        Wording {
            from: b"MAILER-DAEMON".to_vec(),
            host: b"m.example".to_vec(),
            double_to: b"postmaster".to_vec(),
            double_host: b"m.example".to_vec(),
            ..Wording::default()
        }
    }

    #[test]
    fn a_report_never_has_a_blank_line_inside() {
        assert_eq!(
            paragraph(b"a\nb@c", b"one\n\n\ntwo"),
            b"<a_b@c>:\none\n/\ntwo\n\n"
        );
        property::holds(|u| {
            let report = property::bytes(u)?;
            let text = paragraph(b"a@b", &report);
            let inner = &text[..text.len() - 1];
            assert!(!inner.windows(2).any(|pair| pair == b"\n\n"), "{text:?}");
            assert!(text.ends_with(b"\n\n"));
            Ok(())
        });
    }

    #[test]
    fn an_old_message_says_why_it_is_given_up() {
        let text = paragraph(
            b"a@b",
            &final_report(b"Connected but greeting failed. (#4.4.2)"),
        );
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "<a@b>:\nConnected but greeting failed. (#4.4.2)\nI'm not going to try again; this \
             message has been in the queue too long.\n\n"
        );
    }

    #[test]
    fn who_gets_the_bounce_follows_from_the_sender() {
        let mut wording = wording();
        assert_eq!(notice_recipient(b"#@[]"), None);
        let single = |to: &[u8]| {
            Bounce::Single(Notice {
                sender: Vec::new(),
                recipient: to.to_vec(),
            })
        };
        assert_eq!(Bounce::for_sender(b"ann@x", &wording), single(b"ann@x"));
        assert_eq!(
            Bounce::for_sender(b"list-@x-@[]", &wording),
            single(b"list-@x")
        );
        assert_eq!(
            Bounce::for_sender(b"sb*-ann-list@x", &wording),
            single(b"ann-list@x")
        );
        assert_eq!(
            Bounce::for_sender(b"", &wording),
            Bounce::Double(Notice {
                sender: b"#@[]".to_vec(),
                recipient: b"postmaster@m.example".to_vec()
            })
        );
        assert_eq!(Bounce::for_sender(b"#@[]", &wording), Bounce::DiscardTriple);
        wording.double_to = b"@".to_vec();
        assert_eq!(Bounce::for_sender(b"", &wording), Bounce::DiscardDouble);
    }
}
