//! How a notice reads (queue-and-delivery.md §4.8).
//!
//! The text is in QSBMF, so that programs of the qmail family understand it,
//! by default inside a multipart/report (RFC 3462), so that all others do.
//! A notice of success or delay is always one, and is not QSBMF: whoever
//! reads QSBMF takes it for a failure.

mod charset;
mod words;

use address::Quoted;
use wire::dsn::EnvelopeId;

pub use charset::Charset;

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
mod tests;
