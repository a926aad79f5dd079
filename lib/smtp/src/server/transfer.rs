//! DATA and BDAT: the message itself, and its way into the queue.

use super::data::{BareNewline, Decoder, Framing};
use super::forged::ForgedResults;
use super::queue_reply::{Permanence, of_queue_code, queue_line};
use super::sender::number;
use super::{Moment, Note, Reply, Session, State, Step};
use message::HeaderWatch;
use policy::content::{Hit, Scanner};
use text::log::safe;
use wire::trace::Kind;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Transfer {
    decoder: Decoder,
    header: HeaderWatch,
    /// Stored bytes, without the header lines of our own.
    bytes: u64,
    /// The fields a submitted message gets when it lacks them.
    date: Option<String>,
    /// Faults found so far. The message is still read, so that the client
    /// hears about them.
    faults: Faults,
    /// The current chunk of a BDAT; `None` for DATA.
    chunk: Option<Chunk>,
    /// Looks for signatures and bodycheck's patterns.
    scanner: Option<Scanner>,
    /// The verifier looks at it.
    examined: bool,
    /// Takes out what others say in our name.
    forged: Option<ForgedResults>,
    /// Lines that go before the message.
    pub(super) extra_headers: Vec<u8>,
}

#[derive(Debug, Default)]
struct Faults {
    bare_newline: bool,
    looping: bool,
    too_big: bool,
}

impl Faults {
    /// The fault that is told, in an order that does not depend on where the
    /// message was cut into pieces.
    fn reply(&self) -> Option<Reply> {
        match self {
            Self {
                bare_newline: true, ..
            } => Some(Reply::BareNewline),
            Self { looping: true, .. } => Some(Reply::Looping),
            Self { too_big: true, .. } => Some(Reply::TooBig),
            _ => None,
        }
    }
}

/// What one BDAT announced.
#[derive(Debug)]
pub(super) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

impl Chunk {
    /// Octets that are still on their way.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

impl Session {
    pub(super) fn data(&mut self, now: &Moment) {
        let out_of_order = match &self.transaction {
            None if self.hello.is_none() => Some(Reply::HelloFirst),
            None => Some(Reply::MailFirst),
            Some(open) if open.chunks.is_some() || open.chunks_failed => Some(Reply::ChunksOpen),
            Some(open) if open.recipients.is_empty() => Some(Reply::RecipientFirst),
            Some(_) => None,
        };
        match out_of_order {
            Some(reply) => self.mistake(reply),
            None => self.begin_outside(Framing::Dots, None, now),
        }
    }

    /// RFC 3030 §2. Whatever the answer is, the octets are read first: they
    /// are no commands.
    pub(super) fn bdat(&mut self, argument: &[u8], now: &Moment) {
        let mut words = argument.split(|&b| b == b' ').filter(|w| !w.is_empty());
        let written = words.next().unwrap_or_default();
        let is_number = !written.is_empty() && written.iter().all(u8::is_ascii_digit);
        let last = words.next();
        let malformed = last.is_some_and(|word| !word.eq_ignore_ascii_case(b"LAST"));
        let size = match number(written) {
            Some(size) => size,
            // As RFC 5321 §4.2.2 has it, nothing has happened: without a size
            // there are no octets.
            None if !is_number => return self.mistake(Reply::ChunkSyntax),
            // More than anybody counts: where commands go on is not known.
            None => return self.leave(Reply::ChunkSyntax),
        };
        if malformed || words.next().is_some() {
            self.errors += 1;
            return self.skip_to(size, Reply::ChunkSyntax);
        }
        let chunk = Chunk {
            size,
            left: size,
            last: last.is_some(),
        };
        let Some(transaction) = &mut self.transaction else {
            self.errors += 1;
            self.skip_to(size, Reply::MailFirst);
            return;
        };
        if transaction.chunks_failed {
            self.errors += 1;
            self.skip_to(size, Reply::ChunkFailed);
        } else if let Some(mut transfer) = transaction.chunks.take() {
            transfer.chunk = Some(chunk);
            self.state = State::Receiving(*transfer);
        } else if transaction.recipients.is_empty() {
            self.errors += 1;
            self.skip_to(size, Reply::RecipientFirst);
        } else {
            self.begin_outside(Framing::Chunks, Some(chunk), now);
        }
    }

    pub(super) fn begin(&mut self, framing: Framing, chunk: Option<Chunk>, now: &Moment) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        let mut header = self.received(transaction, now);
        if let Some(spf) = &transaction.spf {
            header.extend_from_slice(self.received_spf(spf).as_bytes());
        }
        for warning in &self.config.warnings {
            header.extend_from_slice(format!("X-Spam-Warning: {warning}\n").as_bytes());
        }
        let examination = self.examination();
        let submitted = self.config.complete_headers && self.identity.is_some();
        let transfer = Transfer {
            decoder: Decoder::new(framing),
            header: HeaderWatch::default(),
            bytes: 0,
            date: submitted.then(|| tai::header_date(now.unix_seconds)),
            faults: Faults::default(),
            chunk,
            scanner: self.config.content.clone().map(Scanner::new),
            examined: examination.is_some(),
            forged: self
                .is_stranger()
                .then(|| ForgedResults::new(&self.config.host)),
            extra_headers: Vec::new(),
        };
        let step = Step::Begin {
            trace: transaction.trace,
            header,
            wishes: transaction.dsn.to_headers(),
        };
        self.steps.push_back(step);
        if let Some(examination) = examination {
            self.steps.push_back(Step::Examine(Box::new(examination)));
        }
        self.state = State::Beginning(transfer);
    }

    /// The queue is ready.
    pub(super) fn begun(&mut self, transfer: Transfer) {
        if transfer.chunk.is_none() {
            self.reply(Reply::GoAhead);
        }
        self.state = State::Receiving(transfer);
    }

    /// The queue is not ready. Octets that are on their way are skipped.
    pub(super) fn not_begun(&mut self, transfer: Transfer, code: u8, text: &str) {
        self.log(format!("qqt failure: {text} (code {code})"));
        match transfer.chunk {
            None => {
                self.transaction = None;
                self.reply(Reply::QueueAway);
            }
            Some(chunk) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.chunks_failed = true;
                }
                self.skip_to(chunk.left, Reply::QueueAway);
            }
        }
    }

    pub(super) fn skip_to(&mut self, left: u64, reply: Reply) {
        self.state = State::Skipping { left, reply };
    }

    /// Reads octets nobody wants; then answers.
    pub(super) fn skip(&mut self, left: u64, reply: Reply) -> bool {
        let here = usize::try_from(left).map_or(self.input.len(), |l| l.min(self.input.len()));
        self.input.drain(..here);
        let left = left - here as u64;
        if left == 0 {
            match self.errors <= super::ERRORS_MAX {
                true => self.reply(reply),
                false => self.leave(Reply::TooManyErrors),
            }
            return true;
        }
        self.state = State::Skipping { left, reply };
        false
    }

    /// Takes what has arrived of the message; `false` when more must come.
    pub(super) fn receive_message(&mut self, mut transfer: Transfer) -> bool {
        let here = match &transfer.chunk {
            None => self.input.len(),
            Some(chunk) => {
                usize::try_from(chunk.left).map_or(self.input.len(), |l| l.min(self.input.len()))
            }
        };
        let waiting = here == 0 && transfer.chunk.as_ref().is_none_or(|chunk| chunk.left != 0);
        if waiting {
            self.state = State::Receiving(transfer);
            return false;
        }
        let mut lines = Vec::with_capacity(here);
        let decoded = match transfer.faults.bare_newline {
            // The rest of a chunked message that failed is not looked at.
            true => Ok((here, false)),
            false => transfer.decoder.decode(&self.input[..here], &mut lines),
        };
        match (decoded, &mut transfer.chunk) {
            (Ok((used, over)), None) => {
                self.input.drain(..used);
                self.take_lines(&mut transfer, lines);
                match over {
                    true => self.finish(transfer),
                    false => self.state = State::Receiving(transfer),
                }
            }
            (Err(BareNewline), None) => {
                self.smuggler(&transfer);
            }
            (decoded, Some(chunk)) => {
                self.input.drain(..here);
                chunk.left -= here as u64;
                let (left, last, size) = (chunk.left, chunk.last, chunk.size);
                if decoded.is_err() {
                    transfer.faults.bare_newline = true;
                }
                self.take_lines(&mut transfer, lines);
                match left {
                    0 => self.end_of_chunk(transfer, size, last),
                    _ => self.state = State::Receiving(transfer),
                }
            }
        }
        true
    }

    /// Counts and passes on decoded lines.
    fn take_lines(&mut self, transfer: &mut Transfer, mut lines: Vec<u8>) {
        let end = match transfer.header.is_over() {
            true => None,
            false => transfer.header.look(&lines),
        };
        if self.config.hops_max <= transfer.header.hops {
            transfer.faults.looping = true;
        }
        transfer.bytes = transfer.bytes.saturating_add(lines.len() as u64);
        let max = self.config.message_bytes_max;
        if max != 0 && max < transfer.bytes {
            transfer.faults.too_big = true;
        }
        if let (Some(at), Some(date)) = (end, &transfer.date) {
            let missing = self.missing_fields(&transfer.header, date);
            lines.splice(at..at, missing);
        }
        if let Some(scanner) = &mut transfer.scanner {
            scanner.push(&lines);
        }
        if let Some(forged) = &mut transfer.forged {
            lines = forged.without(lines);
        }
        if transfer.faults.reply().is_none() && !lines.is_empty() {
            self.steps.push_back(Step::Append(lines));
        }
    }

    /// RFC 6409 §8.1, §8.2: what a submitted message must have.
    fn missing_fields(&self, header: &HeaderWatch, date: &str) -> Vec<u8> {
        let mut missing = String::new();
        if !header.has_date {
            missing += &format!("Date: {date}\n");
        }
        if let (false, Some(transaction)) = (header.has_message_id, &self.transaction) {
            let host = &self.config.host;
            missing += &format!("Message-ID: <{}@{host}>\n", transaction.trace);
        }
        missing.into_bytes()
    }

    /// A CR or LF alone within DATA: somebody may want to smuggle, and where
    /// the message ends is now a matter of opinion. Nothing that follows is
    /// believed.
    fn smuggler(&mut self, transfer: &Transfer) {
        self.note_refusal(Reply::BareNewline, transfer.bytes);
        self.steps.push_back(Step::Abort);
        self.leave(Reply::BareNewline);
    }

    fn end_of_chunk(&mut self, mut transfer: Transfer, size: u64, last: bool) {
        if last && transfer.decoder.finish().is_err() {
            transfer.faults.bare_newline = true;
        }
        if let Some(reply) = transfer.faults.reply() {
            self.note_refusal(reply, transfer.bytes);
            self.steps.push_back(Step::Abort);
            match last {
                true => self.transaction = None,
                false => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.chunks_failed = true;
                    }
                }
            }
            self.reply(reply);
        } else if last {
            self.finish(transfer);
        } else {
            if let Some(transaction) = &mut self.transaction {
                transaction.chunks = Some(Box::new(transfer));
            }
            self.reply_with(Reply::ChunkFine, size.to_string().as_bytes());
        }
    }

    /// The message is complete: it is refused, or the queue decides.
    fn finish(&mut self, mut transfer: Transfer) {
        if let Some(reply) = transfer.faults.reply() {
            self.note_refusal(reply, transfer.bytes);
            self.steps.push_back(Step::Abort);
            self.transaction = None;
            self.reply(reply);
            return;
        }
        let hit = transfer.scanner.take().and_then(Scanner::finish);
        if let Some(hit) = hit {
            self.found(&transfer, &hit);
            if !hit.blackhole {
                return;
            }
        }
        if !transfer.header.is_over()
            && let Some(date) = &transfer.date
        {
            let missing = self.missing_fields(&transfer.header, date);
            if !missing.is_empty() {
                self.steps.push_back(Step::Append(missing));
            }
        }
        if let Some(forged) = &mut transfer.forged {
            let rest = forged.finish();
            if !rest.is_empty() {
                self.steps.push_back(Step::Append(rest));
            }
        }
        match transfer.examined {
            true => {
                let end = Box::new(wire::verify::Request::End);
                self.steps.push_back(Step::AskVerifier(end));
                self.state = State::AskingVerdict(transfer);
            }
            false => self.commit(transfer),
        }
    }

    /// Says what was found in a message: the client hears it, or, of what is
    /// thrown away, only the log does.
    fn found(&mut self, transfer: &Transfer, hit: &Hit) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        transaction.discarded |= hit.blackhole;
        let (sender, bytes) = (safe(&transaction.sender), transfer.bytes);
        let description = safe(hit.description.as_bytes());
        let lines: Vec<String> = transaction
            .recipients
            .iter()
            .map(|recipient| {
                format!(
                    "virus/banned content: {description}: MAIL from <{sender}> RCPT <{}> Size: {bytes}",
                    safe(&recipient.address)
                )
            })
            .collect();
        lines.into_iter().for_each(|line| self.log(line));
        if !hit.blackhole {
            // RFC 5321 §4.2.1: one reply of two lines.
            let first = Reply::Content.line(b"").replacen("552 ", "552-", 1);
            self.send_line(&first);
            self.refuse_content(transfer, Reply::ContentIs, hit.description.as_bytes());
        }
    }

    /// A message that is complete is refused for what it says.
    pub(super) fn refuse_content(&mut self, transfer: &Transfer, reply: Reply, detail: &[u8]) {
        self.note_refusal(reply, transfer.bytes);
        self.steps.push_back(Step::Abort);
        self.transaction = None;
        self.reply_with(reply, detail);
    }

    pub(super) fn commit(&mut self, mut transfer: Transfer) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        let wanted = |recipient: &&super::Recipient| !recipient.discarded && !transaction.discarded;
        let recipients = transaction.recipients.iter().filter(wanted);
        let step = Step::Commit {
            sender: transaction.sender.clone(),
            recipients: recipients.map(|r| r.address.clone()).collect(),
            extra_headers: std::mem::take(&mut transfer.extra_headers),
        };
        self.steps.push_back(step);
        self.state = State::Committing(transfer);
    }

    /// The message is on disk. The reply goes first, then the log: a slow log
    /// must not make the client think it failed.
    pub(super) fn queued(&mut self, transfer: &Transfer, qp: u32, now: &Moment) {
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        self.idle_commands = 0;
        let text = format!("ok {} qp {qp}", now.unix_seconds);
        self.send_line(&format!("250 2.0.0 {text} trace {}", transaction.trace));
        for at in 0..transaction.recipients.len() {
            let facts = self.facts(&transaction, at, transfer.bytes);
            self.log(facts);
        }
        self.steps.push_back(Step::Event(Note {
            trace: transaction.trace,
            kind: Kind::Received,
            sender: transaction.sender,
            recipients: transaction
                .recipients
                .into_iter()
                .map(|r| r.address)
                .collect(),
            bytes: Some(transfer.bytes),
            text,
        }));
    }

    /// The queue did not take the message.
    pub(super) fn refused(&mut self, transfer: &Transfer, code: u8, text: &str) {
        let (permanence, words) = match (code, custom(text)) {
            (88, Some((permanence, words))) => (permanence, words),
            (88, None) => (Permanence::Temporary, of_queue_code(81).1.to_owned()),
            (code, _) => {
                let (permanence, words) = of_queue_code(code);
                (permanence, words.to_owned())
            }
        };
        let line = queue_line(permanence, &words);
        self.send_line(&line);
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        let class = match permanence {
            Permanence::Permanent => "permanent",
            Permanence::Temporary => "temporary",
        };
        for at in 0..transaction.recipients.len() {
            let facts = self.facts(&transaction, at, transfer.bytes);
            self.log(format!(
                "{words} ({class}): {facts} qp 0 code {code}: {text}"
            ));
        }
        self.steps.push_back(Step::Event(Note {
            trace: transaction.trace,
            kind: Kind::Refused,
            sender: transaction.sender,
            recipients: transaction
                .recipients
                .into_iter()
                .map(|r| r.address)
                .collect(),
            bytes: Some(transfer.bytes),
            text: line,
        }));
    }

    fn note_refusal(&mut self, reply: Reply, bytes: u64) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        let what = match reply {
            Reply::TooBig => "data size exceeded",
            Reply::Looping => "too many hops",
            Reply::ContentIs => "virus/banned content",
            Reply::Dmarc => "DMARC policy of the author's domain",
            _ => "Bare LF received",
        };
        let lines: Vec<String> = transaction
            .recipients
            .iter()
            .map(|recipient| {
                format!(
                    "{what}: MAIL from <{}> RCPT <{}> Size: {bytes}",
                    text::log::safe(&transaction.sender),
                    text::log::safe(&recipient.address)
                )
            })
            .collect();
        let note = Note {
            trace: transaction.trace,
            kind: Kind::Refused,
            sender: transaction.sender.clone(),
            recipients: transaction
                .recipients
                .iter()
                .map(|r| r.address.clone())
                .collect(),
            bytes: Some(bytes),
            text: reply.line(b""),
        };
        lines.into_iter().for_each(|line| self.log(line));
        self.steps.push_back(Step::Event(note));
    }
}

/// The custom text of exit code 88: `D` or `Z`, then words.
fn custom(text: &str) -> Option<(Permanence, String)> {
    /// Longest text of a filter in a reply.
    const CUSTOM_BYTES_MAX: usize = 450;
    let permanence = match text.as_bytes().first()? {
        b'D' => Permanence::Permanent,
        b'Z' => Permanence::Temporary,
        _ => return None,
    };
    let words = text::log::printable(&text.as_bytes()[1..], CUSTOM_BYTES_MAX);
    (2 <= words.len()).then_some((permanence, words))
}
