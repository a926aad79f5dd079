//! Bounces: what is written down of a failure, and the message made of it
//! (queue-and-delivery.md §4.8).
//!
//! The text is in QSBMF, so that programs of the qmail family understand it,
//! inside a multipart/report (RFC 3462), so that all others do.

use address::{Quoted, verp_origin};

/// The envelope sender of double bounces; a bounce to it is dropped.
const DOUBLE_BOUNCE_SENDER: &[u8] = b"#@[]";
/// What a signed sender begins with (BATV).
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
                recipient: without_tag(verp_origin(sender)).to_vec(),
            }),
        }
    }
}

/// Cuts `sb*-SIGNATURE-` off a signed sender.
fn without_tag(sender: &[u8]) -> &[u8] {
    let Some(rest) = sender.strip_prefix(BATV_TAG) else {
        return sender;
    };
    match rest.iter().position(|&b| b == b'-') {
        Some(end) if rest[..end].iter().all(u8::is_ascii_alphanumeric) => &rest[end + 1..],
        _ => rest,
    }
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

/// What a site says in its bounces; see the control files of these names.
#[derive(Clone, Debug, Default)]
pub struct Wording {
    /// `bouncefrom`.
    pub from: Vec<u8>,
    /// `bouncehost`.
    pub host: Vec<u8>,
    /// `bouncesubject`.
    pub subject: Vec<u8>,
    /// `doublebouncesubject`.
    pub double_subject: Vec<u8>,
    /// `bouncemessage`; empty means the usual text.
    pub message: Vec<u8>,
    /// `doublebouncemessage`; empty means the usual text.
    pub double_message: Vec<u8>,
    /// `doublebounceto`.
    pub double_to: Vec<u8>,
    /// `doublebouncehost`.
    pub double_host: Vec<u8>,
}

/// The parts of one notice that do not come from files.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What the site says.
    pub wording: &'a Wording,
    /// Single or double.
    pub is_double: bool,
    /// Its recipient.
    pub recipient: &'a [u8],
    /// Sender of the message that failed, for `Return-Path`.
    pub original_sender: &'a [u8],
    /// Unix time.
    pub now: i64,
    /// Random digits nobody can guess, for the boundary and the Message-ID.
    pub unguessable: &'a str,
}

impl Report<'_> {
    /// Header and first part up to the recipients' paragraphs.
    pub fn head(&self) -> Vec<u8> {
        let wording = self.wording;
        let from = [&wording.from[..], b"@", &wording.host].concat();
        let subject = if self.is_double {
            &wording.double_subject
        } else {
            &wording.subject
        };
        let mut out = Vec::new();
        let mut field = |name: &str, value: &[u8]| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend(
                value
                    .iter()
                    .map(|&b| if b == b'\n' || b == b'\r' { b'_' } else { b }),
            );
            out.push(b'\n');
        };
        field("Date", tai::header_date(self.now).as_bytes());
        field("From", &Quoted(&from).to_vec());
        field("To", &Quoted(self.recipient).to_vec());
        let id = format!("<{}.{}.bounce@", self.now, self.unguessable);
        field("Message-ID", &[id.as_bytes(), &wording.host, b">"].concat());
        field("Auto-Submitted", b"auto-replied");
        field("MIME-Version", b"1.0");
        let kind = format!(
            "multipart/report; report-type=delivery-status; boundary=\"{}\"",
            self.boundary()
        );
        field("Content-Type", kind.as_bytes());
        field("Subject", subject);
        out.extend_from_slice(format!("\n--{}\n\n", self.boundary()).as_bytes());
        out.extend_from_slice(&self.first_paragraph());
        out
    }

    /// Opens the part for programs; [`delivery_status`] goes after it.
    pub fn before_status(&self) -> Vec<u8> {
        let mut out = break_line(self.is_double).as_bytes().to_vec();
        let part = format!(
            "\n--{}\nContent-Type: message/delivery-status\n\n",
            self.boundary()
        );
        out.extend_from_slice(part.as_bytes());
        out.extend_from_slice(b"Reporting-MTA: dns; ");
        out.extend(
            self.wording
                .host
                .iter()
                .map(|&b| if b < 33 { b'_' } else { b }),
        );
        out.extend_from_slice(b"\n\n");
        out
    }

    /// Opens the part with the message.
    pub fn before_message(&self) -> Vec<u8> {
        let mut out =
            format!("--{}\nContent-Type: message/rfc822\n\n", self.boundary()).into_bytes();
        let path: Vec<u8> = Quoted(self.original_sender)
            .to_vec()
            .iter()
            .map(|&b| if b.is_ascii_control() { b'_' } else { b })
            .collect();
        out.extend_from_slice(b"Return-Path: <");
        out.extend_from_slice(&path);
        out.extend_from_slice(b">\n");
        out
    }

    /// Closes the message; `is_cut` when not all of it was copied.
    pub fn tail(&self, is_cut: bool) -> Vec<u8> {
        let cut = if is_cut {
            "\n\n--- End of message stripped.\n"
        } else {
            ""
        };
        format!("{cut}\n--{}--\n", self.boundary()).into_bytes()
    }

    fn first_paragraph(&self) -> Vec<u8> {
        let custom = if self.is_double {
            &self.wording.double_message
        } else {
            &self.wording.message
        };
        if !custom.is_empty() {
            return [&custom[..], b"\n"].concat();
        }
        let mut out = b"Hi. This is the qmail-send program at ".to_vec();
        out.extend_from_slice(&self.wording.host);
        out.extend_from_slice(if self.is_double {
            b".\nI tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
        } else {
            b".\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\
              This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        });
        out
    }

    fn boundary(&self) -> String {
        format!("{}.{}", self.now, self.unguessable)
    }
}

/// The paragraph that ends the readable part.
pub fn break_line(is_double: bool) -> &'static str {
    if is_double {
        "--- Enclosed is the original bounce.\n"
    } else {
        "--- Enclosed is a copy of the message.\n"
    }
}

/// The per-recipient fields of RFC 3464 for the paragraphs of `bounce/N`.
pub fn delivery_status(paragraphs: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let text = String::from_utf8_lossy(paragraphs);
    for paragraph in text.split("\n\n") {
        let Some((first, report)) = paragraph.split_once(">:\n") else {
            continue;
        };
        let Some(recipient) = first.strip_prefix('<') else {
            continue;
        };
        let printable: String = recipient
            .chars()
            .map(|c| if c.is_control() { '_' } else { c })
            .collect();
        let fields = format!(
            "Final-Recipient: rfc822; {printable}\nAction: failed\nStatus: {}\n\n",
            status_code(report).unwrap_or("5.0.0")
        );
        out.extend_from_slice(fields.as_bytes());
    }
    out
}

/// The last `#5.x.y` of a report (RFC 3463).
fn status_code(report: &str) -> Option<&str> {
    report.rmatch_indices("#5.").find_map(|(at, _)| {
        let code = &report[at + 1..];
        let end = code
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(code.len());
        let code = code[..end].trim_end_matches('.');
        let numbers: Vec<&str> = code.split('.').collect();
        let valid = numbers.len() == 3 && numbers.iter().all(|n| (1..=3).contains(&n.len()));
        valid.then_some(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording() -> Wording {
        Wording {
            from: b"MAILER-DAEMON".to_vec(),
            host: b"m.example".to_vec(),
            subject: b"failure notice".to_vec(),
            double_subject: b"failure notice".to_vec(),
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
        arbtest::arbtest(|u| {
            let report: Vec<u8> = u.arbitrary()?;
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
            Bounce::for_sender(b"sb*-1a2b-ann@x", &wording),
            single(b"ann@x")
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

    #[test]
    fn a_single_bounce_reads_like_this() {
        let wording = wording();
        let report = Report {
            wording: &wording,
            is_double: false,
            recipient: b"ann@x",
            original_sender: b"ann@x",
            now: 812_090_813,
            unguessable: "0123",
        };
        let failures = paragraph(b"joe@y", b"No such user. (#5.1.1)\n");
        let text = [
            report.head(),
            failures.clone(),
            report.before_status(),
            delivery_status(&failures),
            report.before_message(),
            b"Subject: hi\n\nhi\n".to_vec(),
            report.tail(false),
        ]
        .concat();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "Date: 26 Sep 1995 04:46:53 -0000
From: MAILER-DAEMON@m.example
To: ann@x
Message-ID: <812090813.0123.bounce@m.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"812090813.0123\"
Subject: failure notice

--812090813.0123

Hi. This is the qmail-send program at m.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<joe@y>:
No such user. (#5.1.1)

--- Enclosed is a copy of the message.

--812090813.0123
Content-Type: message/delivery-status

Reporting-MTA: dns; m.example

Final-Recipient: rfc822; joe@y
Action: failed
Status: 5.1.1

--812090813.0123
Content-Type: message/rfc822

Return-Path: <ann@x>
Subject: hi

hi

--812090813.0123--
"
        );
    }

    #[test]
    fn a_double_bounce_says_so_and_a_cut_message_too() {
        let wording = wording();
        let report = Report {
            wording: &wording,
            is_double: true,
            recipient: b"postmaster@m.example",
            original_sender: b"",
            now: 0,
            unguessable: "x",
        };
        let head = String::from_utf8(report.head()).unwrap();
        assert!(head.ends_with(
            "Hi. This is the qmail-send program at m.example.
I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
        ));
        let tail = String::from_utf8(report.tail(true)).unwrap();
        assert_eq!(tail, "\n\n--- End of message stripped.\n\n--0.x--\n");
    }
}
