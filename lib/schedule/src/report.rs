//! How a notice reads (queue-and-delivery.md §4.8).
//!
//! The text is in QSBMF, so that programs of the qmail family understand it,
//! by default inside a multipart/report (RFC 3462), so that all others do.
//! A notice of success or delay is always one, and is not QSBMF: whoever
//! reads QSBMF takes it for a failure.

use address::Quoted;
use wire::dsn::EnvelopeId;

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
    /// `bounceformat`.
    pub form: Form,
}

/// How bounces are built.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// RFC 3462 and RFC 3464, with QSBMF as the text for people.
    #[default]
    Report,
    /// QSBMF and the message as the parts of a multipart/mixed.
    Mixed,
    /// QSBMF alone.
    Plain,
}

impl Form {
    /// Reads the control file; what it does not know is the modern form.
    pub fn parse(word: &[u8]) -> Self {
        match word {
            b"mixed" => Self::Mixed,
            b"plain" => Self::Plain,
            _ => Self::Report,
        }
    }
}

/// What is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// Recipients failed.
    Failure,
    /// Recipients of a bounce failed.
    DoubleFailure,
    /// Recipients have the message.
    Success,
    /// Recipients are still tried, until this Unix time.
    Delay {
        /// Unix time of the last try.
        until: i64,
    },
}

/// How much of the message is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copied {
    /// The start of it, perhaps all.
    Message,
    /// Its header.
    Header,
}

/// Which bytes a part has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Charset {
    /// ASCII alone.
    #[default]
    Ascii,
    /// UTF-8.
    Utf8,
    /// Nobody knows (RFC 1428).
    Unknown,
}

impl Charset {
    /// Looks at a text.
    pub fn of(text: &[u8]) -> Self {
        match std::str::from_utf8(text) {
            Ok(text) if text.is_ascii() => Self::Ascii,
            Ok(_) => Self::Utf8,
            Err(_) => Self::Unknown,
        }
    }

    /// The charset of both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ascii, other) => other,
            (this, Self::Ascii) => this,
            (Self::Utf8, Self::Utf8) => Self::Utf8,
            _ => Self::Unknown,
        }
    }
}

/// The parts of one notice that do not come from files.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What the site says.
    pub wording: &'a Wording,
    /// What is told.
    pub news: News,
    /// Its recipient.
    pub recipient: &'a [u8],
    /// Sender of the message it is about, for `Return-Path`.
    pub original_sender: &'a [u8],
    /// The recipient that failed last.
    pub bounced: &'a [u8],
    /// What the sender calls the message.
    pub envelope_id: Option<&'a EnvelopeId>,
    /// Unix time at which the message came.
    pub arrival: i64,
    /// How much of it is repeated.
    pub copied: Copied,
    /// Bytes of the text for people.
    pub text: Charset,
    /// Bytes of the message.
    pub message: Charset,
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
        let mut out = Vec::new();
        field(&mut out, "Date", tai::header_date(self.now).as_bytes());
        if !self.bounced.is_empty() {
            let address = [b"<", self.bounced, b">"].concat();
            field(&mut out, "X-Bounced-Address", &address);
        }
        field(&mut out, "From", &Quoted(&from).to_vec());
        field(&mut out, "To", &Quoted(self.recipient).to_vec());
        let id = format!("<{}.{}.bounce@", self.now, self.unguessable);
        let id = [id.as_bytes(), &wording.host, b">"].concat();
        field(&mut out, "Message-ID", &id);
        field(&mut out, "Auto-Submitted", b"auto-replied");
        self.mime_fields(&mut out);
        field(&mut out, "Subject", self.subject());
        if self.form() != Form::Plain {
            out.extend_from_slice(format!("\n--{}\n", self.boundary()).as_bytes());
        }
        if self.form() == Form::Report {
            out.extend_from_slice(match self.text {
                Charset::Ascii => b"",
                Charset::Utf8 => {
                    b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
                }
                Charset::Unknown => {
                    &b"Content-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n"[..]
                }
            });
        }
        out.push(b'\n');
        out.extend_from_slice(&self.first_paragraph());
        out
    }

    /// What follows the paragraphs: in a multipart/report the part for
    /// programs begins, and the recipients' fields go after it.
    pub fn after_paragraphs(&self) -> Vec<u8> {
        let mut out = self.break_line().as_bytes().to_vec();
        out.push(b'\n');
        if self.form() != Form::Report {
            return out;
        }
        let part = format!(
            "--{}\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; ",
            self.boundary()
        );
        out.extend_from_slice(part.as_bytes());
        let host = self.wording.host.iter();
        out.extend(host.map(|&b| if b.is_ascii_graphic() { b } else { b'_' }));
        out.push(b'\n');
        if let Some(id) = self.envelope_id {
            field(&mut out, "Original-Envelope-Id", id.as_bytes());
        }
        field(
            &mut out,
            "Arrival-Date",
            tai::header_date(self.arrival).as_bytes(),
        );
        out.push(b'\n');
        out
    }

    /// Opens the part with the message.
    pub fn before_message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let kind = match (self.form(), self.copied) {
            (Form::Plain, _) => None,
            (Form::Report, Copied::Header) => Some("text/rfc822-headers"),
            (Form::Report | Form::Mixed, _) => Some("message/rfc822"),
        };
        if let Some(kind) = kind {
            let part = format!("--{}\nContent-Type: {kind}\n", self.boundary());
            out.extend_from_slice(part.as_bytes());
            if self.form() == Form::Report && self.message != Charset::Ascii {
                out.extend_from_slice(b"Content-Transfer-Encoding: 8bit\n");
            }
            out.push(b'\n');
        }
        let path = [b"<", &Quoted(self.original_sender).to_vec()[..], b">"].concat();
        field(&mut out, "Return-Path", &path);
        out
    }

    /// Closes the message; `is_cut` when not all of it was copied. A part
    /// that has nothing but a header need not say so.
    pub fn tail(&self, is_cut: bool) -> Vec<u8> {
        let is_header = self.copied == Copied::Header && self.form() == Form::Report;
        let mut out = Vec::new();
        if is_cut && !is_header {
            out.extend_from_slice(b"\n\n--- End of message stripped.\n");
        }
        if self.form() != Form::Plain {
            out.extend_from_slice(format!("\n--{}--\n", self.boundary()).as_bytes());
        }
        out
    }

    /// How this notice is built.
    pub fn form(&self) -> Form {
        match self.news {
            News::Failure | News::DoubleFailure => self.wording.form,
            News::Success | News::Delay { .. } => Form::Report,
        }
    }

    fn mime_fields(&self, out: &mut Vec<u8>) {
        let kind = match self.form() {
            Form::Plain => return,
            Form::Mixed => "multipart/mixed",
            Form::Report => "multipart/report; report-type=delivery-status",
        };
        let kind = format!("{kind}; boundary=\"{}\"", self.boundary());
        field(out, "MIME-Version", b"1.0");
        field(out, "Content-Type", kind.as_bytes());
        let is_ascii = self.text.and(self.message) == Charset::Ascii;
        if self.form() == Form::Report && !is_ascii {
            field(out, "Content-Transfer-Encoding", b"8bit");
        }
    }

    fn subject(&self) -> &[u8] {
        match self.news {
            News::Failure => &self.wording.subject,
            News::DoubleFailure => &self.wording.double_subject,
            News::Success => b"success notice",
            News::Delay { .. } => b"delay notice",
        }
    }

    fn first_paragraph(&self) -> Vec<u8> {
        let custom = match self.news {
            News::Failure => &self.wording.message[..],
            News::DoubleFailure => &self.wording.double_message,
            News::Success | News::Delay { .. } => b"",
        };
        if !custom.is_empty() {
            return [custom, b"\n"].concat();
        }
        let greeting = match self.news {
            News::Failure | News::DoubleFailure => "Hi. This is",
            News::Success | News::Delay { .. } => "This is",
        };
        let mut out = format!("{greeting} the qmail-send program at ").into_bytes();
        out.extend_from_slice(&self.wording.host);
        out.extend_from_slice(match self.news {
            News::DoubleFailure => {
                b".\nI tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
            }
            News::Failure => {
                &b".\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\
                  This is a permanent error; I've given up. Sorry it didn't work out.\n\n"[..]
            }
            News::Success => {
                b".\nYour message has reached the following addresses. You asked to be told.\n\n"
            }
            News::Delay { .. } => {
                b".\nI was not able to deliver your message to the following addresses yet.\n"
            }
        });
        if let News::Delay { until } = self.news {
            let date = tai::header_date(until);
            let text = format!("I keep trying until {date}; you need not send it again.\n\n");
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    fn break_line(&self) -> &'static str {
        match (self.news, self.form()) {
            (News::Failure, Form::Plain) => "--- Below this line is a copy of the message.\n",
            (News::DoubleFailure, Form::Plain) => "--- Below this line is the original bounce.\n",
            (News::Failure, _) => "--- Enclosed is a copy of the message.\n",
            (News::DoubleFailure, _) => "--- Enclosed is the original bounce.\n",
            (News::Success | News::Delay { .. }, _) => {
                "--- Enclosed is the header of the message.\n"
            }
        }
    }

    fn boundary(&self) -> String {
        format!("{}.{}", self.now, self.unguessable)
    }
}

/// One header field, whatever its value is.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let safe = |&b: &u8| if b.is_ascii_control() { b'_' } else { b };
    out.extend(value.iter().map(safe));
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Fate, paragraph};

    const FAILURE: &[u8] = b"No such user. (#5.1.1)\n";

    fn wording(form: Form) -> Wording {
        Wording {
            from: b"MAILER-DAEMON".to_vec(),
            host: b"m.example".to_vec(),
            subject: b"failure notice".to_vec(),
            double_subject: b"failure notice".to_vec(),
            form,
            ..Wording::default()
        }
    }

    fn report(wording: &Wording) -> Report<'_> {
        Report {
            wording,
            news: News::Failure,
            recipient: b"ann@x",
            original_sender: b"ann@x",
            bounced: b"joe@y",
            envelope_id: None,
            arrival: 812_090_000,
            copied: Copied::Message,
            text: Charset::Ascii,
            message: Charset::Ascii,
            now: 812_090_813,
            unguessable: "0123",
        }
    }

    fn whole(report: &Report<'_>, text: &[u8], message: &[u8]) -> Vec<u8> {
        let fate = Fate {
            recipient: b"joe@y",
            original: None,
            action: Action::Failed,
            text,
            retry_until: None,
        };
        let fields = match report.form() {
            Form::Report => fate.fields(),
            _ => Vec::new(),
        };
        [
            report.head(),
            paragraph(b"joe@y", text),
            report.after_paragraphs(),
            fields,
            report.before_message(),
            message.to_vec(),
            report.tail(false),
        ]
        .concat()
    }

    #[test]
    fn a_single_bounce_reads_like_this() {
        let wording = wording(Form::Report);
        let id = EnvelopeId::of_text(b"QQ 1").unwrap();
        let mut report = report(&wording);
        report.envelope_id = Some(&id);
        let text = whole(&report, FAILURE, b"Subject: hi\n\nhi\n");
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "Date: 26 Sep 1995 04:46:53 -0000
X-Bounced-Address: <joe@y>
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
Original-Envelope-Id: QQ 1
Arrival-Date: 26 Sep 1995 04:33:20 -0000

Final-Recipient: rfc822; joe@y
Action: failed
Status: 5.1.1
Diagnostic-Code: x-qmail; No such user. (#5.1.1)

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
    fn the_classic_form_is_a_text_alone() {
        let wording = wording(Form::Plain);
        let text = whole(&report(&wording), FAILURE, b"Subject: hi\n\nhi\n");
        let text = String::from_utf8(text).unwrap();
        let (header, body) = text.split_once("\n\n").unwrap();
        assert!(!header.contains("MIME") && header.ends_with("Subject: failure notice"));
        assert_eq!(
            body,
            "Hi. This is the qmail-send program at m.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<joe@y>:
No such user. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <ann@x>
Subject: hi

hi
"
        );
    }

    #[test]
    fn the_mixed_form_has_the_text_and_the_message() {
        let wording = wording(Form::Mixed);
        let text = whole(&report(&wording), FAILURE, b"Subject: hi\n\nhi\n");
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"812090813.0123\"\n\
             Subject: failure notice\n\n--812090813.0123\n\nHi. This is the"
        ));
        assert!(text.ends_with(
            "(#5.1.1)\n\n--- Enclosed is a copy of the message.\n\n--812090813.0123\n\
             Content-Type: message/rfc822\n\nReturn-Path: <ann@x>\nSubject: hi\n\nhi\n\n\
             --812090813.0123--\n"
        ));
    }

    #[test]
    fn a_double_bounce_says_so_and_a_cut_message_too() {
        let wording = wording(Form::Report);
        let report = Report {
            news: News::DoubleFailure,
            ..report(&wording)
        };
        let head = String::from_utf8(report.head()).unwrap();
        assert!(head.ends_with(
            "Hi. This is the qmail-send program at m.example.
I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
        ));
        let tail = String::from_utf8(report.tail(true)).unwrap();
        assert_eq!(
            tail,
            "\n\n--- End of message stripped.\n\n--812090813.0123--\n"
        );
    }

    #[test]
    fn a_header_alone_says_by_its_type_that_it_is_one() {
        let wording = wording(Form::Report);
        let report = Report {
            copied: Copied::Header,
            ..report(&wording)
        };
        let before = String::from_utf8(report.before_message()).unwrap();
        assert!(before.contains("\nContent-Type: text/rfc822-headers\n\nReturn-Path:"));
        assert_eq!(report.tail(true), b"\n--812090813.0123--\n");
    }

    #[test]
    fn news_that_are_no_failure_are_not_taken_for_one() {
        let wording = wording(Form::Plain);
        for news in [News::Success, News::Delay { until: 0 }] {
            let report = Report {
                news,
                ..report(&wording)
            };
            let head = String::from_utf8(report.head()).unwrap();
            assert!(head.contains("multipart/report"), "{head}");
            assert!(!head.contains("Hi. This is the"), "{head}");
        }
    }

    #[test]
    fn what_is_told_of_a_failure_can_neither_add_fields_nor_end_a_part() {
        arbtest::arbtest(|u| {
            let form = *u.choose(&[Form::Report, Form::Mixed, Form::Plain])?;
            let wording = wording(form);
            let (sender, bounced, text, message): (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) =
                u.arbitrary()?;
            let report = Report {
                recipient: &sender,
                original_sender: &sender,
                bounced: &bounced,
                text: Charset::of(&text),
                message: Charset::of(&message),
                unguessable: "a number nobody can guess",
                ..report(&wording)
            };
            let out = whole(&report, &text, &message);
            let header_end = out.windows(2).position(|pair| pair == b"\n\n").unwrap();
            let fields = out[..header_end].split(|&b| b == b'\n').count();
            let is_8bit = form == Form::Report && !(text.is_ascii() && message.is_ascii());
            let expected = match form {
                Form::Plain => 6,
                Form::Mixed | Form::Report => 8 + usize::from(is_8bit),
            };
            assert_eq!(fields, expected + usize::from(!bounced.is_empty()));
            let boundary = format!("--{}", report.boundary()).into_bytes();
            let lines = out.split(|&b| b == b'\n');
            let ends = lines.filter(|line| line.starts_with(&boundary)).count();
            let expected = match form {
                Form::Plain => 0,
                Form::Mixed => 3,
                Form::Report => 4,
            };
            assert_eq!(ends, expected);
            Ok(())
        });
    }
}
