//! FETCH, one message after the other, as fast as the client reads.

use std::collections::VecDeque;

use super::selected::kept;
use super::{Job as SessionJob, Message, Session};
use crate::ask::{Answer, Question};
use crate::command::{Access, Item, Numbering, SectionText};
use crate::date;
use crate::envelope::{self, Detail};
use crate::flags::{Change, Flags, SystemFlag};
use crate::mime::{self, Kind, Part};
use crate::search::Extent;
use crate::section;
use crate::set::SequenceSet;
use crate::write;

/// Where a FETCH stands.
#[derive(Debug)]
pub(super) struct Job {
    tag: String,
    numbering: Numbering,
    items: Vec<Item>,
    uids: VecDeque<u32>,
    /// What the items need of each message.
    extent: Option<Extent>,
    /// Messages whose `\Seen` this FETCH has set: their flags are told.
    seen: Vec<u32>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Runnable,
    /// `\Seen` is being set.
    Marking,
    /// Sizes are being counted.
    Measuring,
    /// A message is being read.
    Reading(u32),
}

impl Job {
    pub(super) fn is_runnable(&self) -> bool {
        self.state == State::Runnable
    }
}

impl Session {
    pub(super) fn fetch(
        &mut self,
        tag: String,
        numbering: Numbering,
        set: &SequenceSet,
        mut items: Vec<Item>,
    ) {
        let Some(uids) = self.view().target_uids(numbering, set) else {
            return self.bad(&tag, "no such message");
        };
        if numbering == Numbering::Uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let job = Box::new(Job {
            tag,
            numbering,
            extent: items.iter().filter_map(extent).max(),
            items,
            uids: uids.into(),
            seen: Vec::new(),
            state: State::Runnable,
        });
        self.mark_seen(job);
    }

    /// Sets `\Seen` before anything is sent, so that the flags sent are true.
    fn mark_seen(&mut self, mut job: Box<Job>) {
        let marks = |item: &Item| matches!(item, Item::Section { peek: false, .. });
        let view = self.view();
        if view.access == Access::ReadWrite && job.items.iter().any(marks) {
            let unseen = |uid: &u32| {
                let slot = view.by_uid(*uid);
                slot.is_some_and(|(_, slot)| !slot.entry.flags.has(SystemFlag::Seen))
            };
            let uids: Vec<u32> = job.uids.iter().copied().filter(unseen).collect();
            if !uids.is_empty() {
                let mut flags = Flags::default();
                flags.set(SystemFlag::Seen);
                job.seen.clone_from(&uids);
                job.state = State::Marking;
                let change = Change::Add;
                let question = Question::Store {
                    uids,
                    change,
                    flags,
                };
                return self.ask(SessionJob::Fetch(job), question);
            }
        }
        self.measure(job);
    }

    /// Counts the sizes that nobody has counted yet, all in one go.
    fn measure(&mut self, mut job: Box<Job>) {
        let view = self.view();
        if job.items.contains(&Item::Size) {
            let unknown = |uid: &u32| {
                view.by_uid(*uid)
                    .is_some_and(|(_, s)| s.entry.size.is_none())
            };
            let uids: Vec<u32> = job.uids.iter().copied().filter(unknown).collect();
            if !uids.is_empty() {
                job.state = State::Measuring;
                return self.ask(SessionJob::Fetch(job), Question::Measure(uids));
            }
        }
        job.state = State::Runnable;
        self.job = SessionJob::Fetch(job);
    }

    /// Sends messages until one has to be read or enough is waiting.
    pub(super) fn run_fetch(&mut self, mut job: Box<Job>) {
        while self.output.len() < super::OUTPUT_BYTES_MAX {
            let Some(&uid) = job.uids.front() else {
                return self.finish_telling(&job.tag, "OK FETCH done", kept(job.numbering));
            };
            let message = self.kept(uid);
            match (job.extent, message) {
                (Some(extent), None) => {
                    job.state = State::Reading(uid);
                    return self.ask(SessionJob::Fetch(job), Question::Read { uid, extent });
                }
                (_, message) => {
                    job.uids.pop_front();
                    self.write_message(&job, uid, message.as_ref());
                }
            }
        }
        self.job = SessionJob::Fetch(job);
    }

    pub(super) fn answer_fetch(&mut self, mut job: Box<Job>, answer: Answer) {
        match (job.state, answer) {
            (State::Marking, Answer::Stored(outcome)) => {
                // A folder that cannot be marked can be read all the same.
                for (uid, flags, modseq) in outcome.unwrap_or_default() {
                    self.view_mut().set_flags(uid, flags, modseq);
                }
                self.tell_keywords();
                self.measure(job);
            }
            (State::Measuring, Answer::Sizes(sizes)) => {
                for (uid, size) in sizes {
                    self.view_mut().set_size(uid, size);
                }
                job.state = State::Runnable;
                self.job = SessionJob::Fetch(job);
            }
            (State::Reading(uid), Answer::Text(outcome)) => {
                job.uids.pop_front();
                job.state = State::Runnable;
                match outcome {
                    Ok(Some(text)) if job.extent == Some(Extent::Whole) => {
                        self.view_mut().set_size(uid, text.len() as u64);
                        let message = self.keep(uid, text);
                        self.write_message(&job, uid, Some(&message));
                    }
                    Ok(Some(text)) => {
                        let message = header_only(uid, text);
                        self.write_message(&job, uid, Some(&message));
                    }
                    // Gone meanwhile: its EXPUNGE comes with the next NOOP.
                    Ok(None) => {}
                    Err(refusal) => {
                        let text = format!("NO {}", refusal.text());
                        return self.finish_telling(&job.tag, &text, kept(job.numbering));
                    }
                }
                self.job = SessionJob::Fetch(job);
            }
            (state, answer) => unreachable!("{answer:?} for FETCH in {state:?}"),
        }
    }

    fn write_message(&mut self, job: &Job, uid: u32, message: Option<&Message>) {
        let super::Phase::Selected(_, view) = &self.phase else {
            return;
        };
        let Some((sequence, slot)) = view.by_uid(uid) else {
            return;
        };
        let out = &mut self.output;
        out.extend_from_slice(format!("* {sequence} FETCH (").as_bytes());
        let flags = || format!("FLAGS {}", slot.entry.flags.print(slot.entry.recent));
        for (at, item) in job.items.iter().enumerate() {
            if 0 < at {
                out.push(b' ');
            }
            match item {
                Item::Flags => out.extend_from_slice(flags().as_bytes()),
                Item::Uid => out.extend_from_slice(format!("UID {uid}").as_bytes()),
                Item::InternalDate => {
                    let date = date::print_date_time(slot.entry.internal_date);
                    out.extend_from_slice(format!("INTERNALDATE \"{date}\"").as_bytes());
                }
                Item::Size => {
                    let size = slot.entry.size.unwrap_or_default();
                    out.extend_from_slice(format!("RFC822.SIZE {size}").as_bytes());
                }
                item => {
                    // `extent` says that these need the message.
                    if let Some(message) = message {
                        let (headers, body) = write_item(out, item, message);
                        self.counters.headers += headers;
                        self.counters.body += body;
                    }
                }
            }
        }
        if job.seen.binary_search(&uid).is_ok() && !job.items.contains(&Item::Flags) {
            out.extend_from_slice(format!(" {}", flags()).as_bytes());
        }
        out.extend_from_slice(b")\r\n");
    }
}

/// Appends an item that needs the message; bytes of headers and bodies sent.
fn write_item(out: &mut Vec<u8>, item: &Item, message: &Message) -> (u64, u64) {
    let (text, part) = (&message.text[..], &*message.part);
    match item {
        Item::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            envelope::write_envelope(out, &text[part.header.clone()]);
            (0, 0)
        }
        Item::Body => {
            out.extend_from_slice(b"BODY ");
            envelope::write_structure(out, text, part, Detail::Basic);
            (0, 0)
        }
        Item::BodyStructure => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            envelope::write_structure(out, text, part, Detail::Extended);
            (0, 0)
        }
        Item::Section {
            label,
            section: wanted,
            partial,
            ..
        } => {
            out.extend_from_slice(label.as_bytes());
            if let Some((first, _)) = partial {
                out.extend_from_slice(format!("<{first}>").as_bytes());
            }
            out.push(b' ');
            let found = section::section(text, part, wanted);
            let Some(found) = found else {
                out.extend_from_slice(b"NIL");
                return (0, 0);
            };
            let found = match partial {
                Some(partial) => section::partial(&found, *partial),
                None => &found,
            };
            write::literal(out, found);
            let bytes = found.len() as u64;
            match wanted.text {
                SectionText::All | SectionText::Text => (0, bytes),
                _ => (bytes, 0),
            }
        }
        Item::Flags | Item::Uid | Item::InternalDate | Item::Size => (0, 0),
    }
}

/// What an item needs of the message.
fn extent(item: &Item) -> Option<Extent> {
    match item {
        Item::Flags | Item::Uid | Item::InternalDate | Item::Size => None,
        Item::Envelope => Some(Extent::Header),
        Item::Body | Item::BodyStructure => Some(Extent::Whole),
        Item::Section { section, .. } => Some(match (&section.part[..], &section.text) {
            ([], SectionText::Header | SectionText::Fields(_) | SectionText::FieldsNot(_)) => {
                Extent::Header
            }
            _ => Extent::Whole,
        }),
    }
}

/// A message of which only the header is known.
fn header_only(uid: u32, text: Vec<u8>) -> Message {
    let end = crate::header::header_end(&text);
    let part = Part {
        header: 0..end,
        body: end..end,
        content_type: mime::ContentType::plain(),
        kind: Kind::Leaf,
    };
    Message {
        uid,
        text: text.into(),
        part: part.into(),
    }
}
