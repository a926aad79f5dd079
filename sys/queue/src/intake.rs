//! A message on its way in: what both queue writers do beside writing.

use message::{Collector, Filter, Received};
use wire::dsn::Dsn;
use wire::trace::{Event, TraceId};

use crate::additions::message_id;
use crate::{Additions, Disk, EnvelopeHead, Error, Queued, Recipients, Text, Writer};

/// Most recipients named in the trace event.
const RECIPIENTS_TRACED_MAX: usize = 50;
/// Most bytes of header lines for the `e` record.
const EXTRA_HEADER_BYTES_MAX: usize = 64 * 1024;
/// The line that names the recipients of mail in quarantine.
const QUARANTINE_HEADER: &[u8] = b"X-Quarantine-ID: ";

/// A message whose text is arriving.
#[derive(Debug)]
pub struct Intake<'a> {
    text: Text<'a, Disk>,
    additions: &'a Additions,
    trace: TraceId,
    collector: Collector,
    filter: Filter,
    queue: String,
    bytes: u64,
    redirect: Option<Vec<u8>>,
    notes: Vec<u8>,
}

/// A message whose text is there and whose recipients are arriving.
#[derive(Debug)]
pub struct Addressing<'a> {
    recipients: Recipients<'a, Disk>,
    additions: &'a Additions,
    trace: TraceId,
    collected: Vec<message::Collected>,
    queue: String,
    bytes: u64,
    sender: String,
    /// Those of the caller, as far as the trace names them.
    traced: Vec<String>,
    /// How many there are.
    total: u64,
    /// Those of the caller, a comma before each, when they do not get the
    /// message.
    replaced: Vec<u8>,
    /// What the sender wants to be told, as lines for the `h` record.
    wishes: Vec<u8>,
    /// Those who keep a copy; they come last.
    archived: Vec<Vec<u8>>,
    /// Who gets the message instead of its recipients.
    quarantine: Option<Vec<u8>>,
    /// Header lines about the message, before those of the caller.
    notes: Vec<u8>,
}

impl<'a> Intake<'a> {
    /// Starts a message with its `Received` line.
    pub fn begin(
        writer: &'a Writer<Disk>,
        additions: &'a Additions,
        received: &Received,
        trace: TraceId,
    ) -> Result<Self, Error> {
        let mut text = writer.begin()?;
        let line = received.to_string();
        text.write(line.as_bytes())?;
        Ok(Self {
            text,
            additions,
            trace,
            collector: additions.collector(),
            filter: additions.filter(),
            queue: writer.layout().name(),
            bytes: line.len() as u64,
            redirect: None,
            notes: Vec::new(),
        })
    }

    /// Adds a header line, without its newline, for the `e` record.
    pub fn note(&mut self, line: &[u8]) {
        self.notes.extend_from_slice(line);
        self.notes.push(b'\n');
    }

    /// Sends the message to this address instead of its recipients.
    pub fn redirect(&mut self, address: &[u8]) {
        self.redirect = Some(address.to_vec());
    }

    /// Takes the next bytes of the message.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let Self {
            text,
            collector,
            filter,
            bytes,
            ..
        } = self;
        collector.push(piece);
        filter.push(piece, |kept| {
            *bytes += kept.len() as u64;
            text.write(kept)
        })
    }

    /// The text is complete, the envelope starts.
    pub fn envelope(self, head: EnvelopeHead<'_>) -> Result<Addressing<'a>, Error> {
        let Self {
            mut text,
            additions,
            mut bytes,
            ..
        } = self;
        self.filter.finish(|kept| {
            bytes += kept.len() as u64;
            text.write(kept)
        })?;
        let mut recipients = text.envelope(head)?;
        let mut total = 0;
        for recipient in additions.recipients() {
            recipients.add(recipient)?;
            total += 1;
        }
        let quarantine = self
            .redirect
            .or_else(|| additions.quarantine().map(<[u8]>::to_vec));
        if let Some(address) = &quarantine {
            recipients.add(address)?;
            total += 1;
        }
        let mut archived = Vec::new();
        additions.archive().of_sender(head.sender, &mut archived);
        Ok(Addressing {
            recipients,
            additions,
            trace: self.trace,
            collected: self.collector.finish(),
            queue: self.queue,
            bytes,
            sender: printable(head.sender),
            traced: Vec::new(),
            total,
            replaced: Vec::new(),
            archived,
            wishes: Vec::new(),
            quarantine,
            notes: self.notes,
        })
    }
}

impl Addressing<'_> {
    /// Takes one recipient.
    pub fn add(&mut self, recipient: &[u8]) -> Result<(), Error> {
        if self.traced.len() < RECIPIENTS_TRACED_MAX {
            self.traced.push(printable(recipient));
        }
        let archive = self.additions.archive();
        archive.of_recipient(recipient, &mut self.archived);
        let Some(quarantine) = &self.quarantine else {
            self.total += 1;
            return self.recipients.add(recipient);
        };
        // Mail to the quarantine itself is where it should be.
        let stays = recipient.eq_ignore_ascii_case(quarantine);
        if !stays && self.replaced.len() + recipient.len() < EXTRA_HEADER_BYTES_MAX {
            self.replaced.push(b',');
            let safe = recipient.iter().filter(|b| !b.is_ascii_control());
            self.replaced.extend(safe);
        }
        Ok(())
    }

    /// Takes the lines that say what the sender wants to be told. Whoever
    /// wrote them, what they are not is left out.
    pub fn wish(&mut self, lines: &[u8]) {
        self.wishes = Dsn::from_headers(lines).to_headers();
    }

    /// Puts the message into the queue, with these header lines for the `e`
    /// record, and tells the trace event what it is about.
    pub fn commit(mut self, extra_headers: &[u8], event: &mut Event) -> Result<Queued, Error> {
        for address in std::mem::take(&mut self.archived) {
            self.recipients.add(&address)?;
            self.total += 1;
        }
        let mut extra = self.notes;
        extra.append(&mut complete_lines(extra_headers)?);
        if let Some(address) = &self.quarantine
            && !self.replaced.is_empty()
        {
            extra.extend_from_slice(QUARANTINE_HEADER);
            extra.extend_from_slice(address);
            extra.append(&mut self.replaced);
        }
        let mut env_headers = self.additions.env_headers(self.trace, &self.collected);
        env_headers.append(&mut self.wishes);
        extra.extend(
            extra
                .last()
                .is_some_and(|&last| last != b'\n')
                .then_some(b'\n'),
        );
        let queued = self.recipients.commit(&extra, &env_headers)?;
        event.queue = Some(self.queue);
        event.message = Some(queued.id);
        event.sender = Some(self.sender);
        event.recipients = self.traced;
        event.total = Some(self.total);
        event.message_id = message_id(&self.collected);
        event.bytes = Some(self.bytes);
        Ok(queued)
    }

    /// The fields `LOGHEADERS` wants in the log.
    pub fn log_lines(&self) -> Vec<String> {
        self.additions.log_lines(&self.collected)
    }
}

/// Header fields with a newline at the end, or nothing.
fn complete_lines(lines: &[u8]) -> Result<Vec<u8>, Error> {
    let mut lines: Vec<u8> = lines.to_vec();
    if lines.is_empty() {
        return Ok(lines);
    }
    let fits = lines.len() < EXTRA_HEADER_BYTES_MAX && !lines.contains(&0);
    if !fits || !message::are_fields(&lines) {
        return Err(Error::ExtraHeaders);
    }
    if !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    Ok(lines)
}

fn printable(address: &[u8]) -> String {
    text::log::printable(address, address.len())
}

#[cfg(test)]
mod tests {
    use message::Origin;
    use run::{Home, Settings};
    use wire::trace::Kind;

    use super::*;
    use crate::{Durability, Layout, create};

    #[test]
    fn policies_of_the_site_shape_text_and_envelope() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        for (name, content) in [
            ("removeheaders", "Bcc\n"),
            ("logheaders", "subject\n"),
            ("quarantine", "jail@example.org\n"),
            ("extraqueue", "log@example.org\n"),
            ("mailarchive", "T:bob@*:copy-%u@example.org\n"),
        ] {
            std::fs::write(home.control().join(name), content).unwrap();
        }
        let additions = Additions::configured(&Settings::of_files(&home)).unwrap();
        let root = home.queues().join("queue1");
        create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        let writer = Writer::new(layout.clone(), Disk::new(), Durability::default());
        let received = Received {
            pid: 7,
            origin: Origin::User(1),
            client: None,
            time: 0,
        };
        let trace = TraceId::new(1, 2);
        let mut intake = Intake::begin(&writer, &additions, &received, trace).unwrap();
        for piece in b"Subject: s\nBcc: eve\nTo: ann\n\nBcc: body\n".chunks(4) {
            intake.write(piece).unwrap();
        }
        let head = EnvelopeHead {
            uid: 1,
            pid: 7,
            sender: b"",
        };
        let mut addressing = intake.envelope(head).unwrap();
        addressing.add(b"ann@example.org").unwrap();
        addressing.add(b"bob@example.org").unwrap();
        assert_eq!(addressing.log_lines(), ["subject: s"]);
        addressing.wish(b"X-Indimail-Dsn: RET=HDRS ENVID=1\nX-Evil: 1\n");
        let mut event = Event::new(trace, 0.0, "test", 7, Kind::Queued);
        let queued = addressing.commit(b"X: y", &mut event).unwrap();
        assert_eq!(event.recipients, ["ann@example.org", "bob@example.org"]);
        let mess = std::fs::read_to_string(layout.mess(queued.id)).unwrap();
        assert!(
            mess.ends_with("\nSubject: s\nTo: ann\n\nBcc: body\n"),
            "{mess}"
        );
        assert_eq!(
            event.total,
            Some(3),
            "with those of the site, without the caller's"
        );
        assert_eq!(event.bytes, Some(mess.len() as u64));
        let envelope = std::fs::read_to_string(layout.todo(queued.id)).unwrap();
        let expected = "u1\0p7\0F\0Tlog@example.org\0Tjail@example.org\0\
             Tcopy-bob@example.org\0eX: y\nX-Quarantine-ID: jail@example.org,ann@example.org,bob@example.org\n\0h";
        assert!(envelope.starts_with(expected), "{envelope:?}");
        let wishes = "\nX-Indimail-Dsn: RET=HDRS ENVID=1\n\0";
        assert!(envelope.ends_with(wishes), "{envelope:?}");
    }
}
