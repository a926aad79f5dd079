//! What the records of an index add up to.

use std::collections::VecDeque;

use super::record::{Record, flags};
use crate::flags::{Flags, KEYWORDS_MAX};
use crate::name::FileName;

/// Expunges that are remembered, to tell clients that come back.
const EXPUNGED_MAX: usize = 20_000;

/// One message of a folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// UID.
    pub uid: u32,
    /// Flags.
    pub flags: Flags,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes with CR LF line ends, once somebody counted
    /// ([`crate::Mailbox::wire_size`]).
    pub wire_size: Option<u64>,
    /// When it arrived, seconds since 1970.
    pub internal_date: i64,
    /// Modification sequence (RFC 7162).
    pub modseq: u64,
    pub(crate) name: FileName,
}

impl Message {
    /// The file.
    pub fn name(&self) -> &FileName {
        &self.name
    }
}

/// The sum of an index.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) uid_next: u32,
    pub(crate) highest_modseq: u64,
    /// By UID.
    pub(crate) messages: Vec<Message>,
    /// By number.
    pub(crate) keywords: Vec<String>,
    /// By modification sequence.
    pub(crate) expunged: VecDeque<(u32, u64)>,
    /// Expunges up to here are forgotten.
    pub(crate) forgotten: u64,
    pub(crate) stamp: Option<(i128, i128)>,
    /// Messages below this UID were recent for some session already.
    pub(crate) claimed: u32,
}

/// What a record did, as a session wants to know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// A message is new.
    New(u32),
    /// A message has other flags.
    Flags(u32),
    /// A message is gone.
    Vanished(u32),
    /// Nothing a client could see.
    None,
}

impl State {
    /// Applies one record. A record that makes no sense changes nothing.
    pub(crate) fn apply(&mut self, record: Record) -> Effect {
        match record {
            Record::Add {
                uid,
                modseq,
                size,
                wire_size,
                internal_date,
                keywords,
                name,
            } => {
                let last = self.messages.last().map_or(0, |message| message.uid);
                if uid <= last || uid == u32::MAX {
                    return Effect::None;
                }
                self.uid_next = self.uid_next.max(uid + 1);
                self.saw(modseq);
                self.messages.push(Message {
                    uid,
                    flags: flags(&name, keywords, self.keywords.len()),
                    size,
                    wire_size,
                    internal_date,
                    modseq,
                    name,
                });
                Effect::New(uid)
            }
            Record::Update {
                uid,
                modseq,
                keywords,
                place,
                suffix,
            } => {
                let known = self.keywords.len();
                self.saw(modseq);
                let Some(message) = self.message_mut(uid) else {
                    return Effect::None;
                };
                message.name = message.name.with_suffix(place, &suffix);
                message.modseq = message.modseq.max(modseq);
                let old = message.flags;
                message.flags = flags(&message.name, keywords, known);
                if message.flags == old {
                    Effect::None
                } else {
                    Effect::Flags(uid)
                }
            }
            Record::Expunge { uid, modseq } => {
                self.saw(modseq);
                let found = self.position(uid);
                if let Ok(position) = found {
                    self.messages.remove(position);
                }
                self.expunged.push_back((uid, modseq));
                if EXPUNGED_MAX < self.expunged.len()
                    && let Some((_, modseq)) = self.expunged.pop_front()
                {
                    self.forgotten = self.forgotten.max(modseq);
                }
                found.map_or(Effect::None, |_| Effect::Vanished(uid))
            }
            Record::Keyword { number, name } => {
                if usize::from(number) == self.keywords.len() && self.keywords.len() < KEYWORDS_MAX
                {
                    self.keywords.push(name);
                }
                Effect::None
            }
            Record::Stamp { new, cur } => {
                self.stamp = Some((new, cur));
                Effect::None
            }
            Record::WireSize { uid, size } => {
                if let Some(message) = self.message_mut(uid) {
                    message.wire_size = Some(size);
                }
                Effect::None
            }
            Record::Forgotten { modseq } => {
                self.forgotten = self.forgotten.max(modseq);
                Effect::None
            }
            Record::Claimed { uid } => {
                self.claimed = self.claimed.max(uid);
                Effect::None
            }
        }
    }

    /// Applies many records; expunging a large part of a folder costs one
    /// pass, not one a message.
    pub(crate) fn apply_all(&mut self, records: Vec<Record>, mut effect: impl FnMut(Effect)) {
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            if !matches!(record, Record::Expunge { .. }) {
                effect(self.apply(record));
                continue;
            }
            let mut gone = vec![record];
            while let Some(record) = records.next_if(|r| matches!(r, Record::Expunge { .. })) {
                gone.push(record);
            }
            self.expunge(&gone, &mut effect);
        }
    }

    /// The records that make this state from an empty one.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let keywords = self.keywords.iter().enumerate().map(|(number, name)| {
            let number = number as u8;
            Record::Keyword {
                number,
                name: name.clone(),
            }
        });
        let forgotten = Record::Forgotten {
            modseq: self.forgotten,
        };
        let expunged = self
            .expunged
            .iter()
            .map(|&(uid, modseq)| Record::Expunge { uid, modseq });
        let messages = self.messages.iter().map(|message| Record::Add {
            uid: message.uid,
            modseq: message.modseq,
            size: message.size,
            wire_size: message.wire_size,
            internal_date: message.internal_date,
            keywords: message.flags.keywords,
            name: message.name.clone(),
        });
        let claimed = Record::Claimed { uid: self.claimed };
        let stamp = self.stamp.map(|(new, cur)| Record::Stamp { new, cur });
        keywords
            .chain([forgotten])
            .chain(expunged)
            .chain(messages)
            .chain([claimed])
            .chain(stamp)
    }

    /// Messages that no session which may change the folder has seen.
    pub(crate) fn unclaimed(&self) -> &[Message] {
        let from = self
            .messages
            .partition_point(|message| message.uid < self.claimed);
        &self.messages[from..]
    }

    /// The message with this UID.
    pub(crate) fn message(&self, uid: u32) -> Option<&Message> {
        self.position(uid)
            .ok()
            .map(|position| &self.messages[position])
    }

    /// A modification sequence above all so far. It follows the clock, so
    /// that it does not go back even when the end of an index is lost.
    pub(crate) fn modseq_next(&self) -> u64 {
        let (seconds, nanoseconds) = os::clock::now();
        let clock = seconds.unsigned_abs() * 1_000_000 + u64::from(nanoseconds / 1000);
        (self.highest_modseq + 1).max(clock)
    }

    /// Records as of which the file is worth being written anew.
    pub(crate) fn records_min(&self) -> usize {
        self.messages.len() + self.expunged.len() + self.keywords.len()
    }

    fn saw(&mut self, modseq: u64) {
        // RFC 7162 §3.1: 63 bits.
        let modseq = modseq.min(i64::MAX as u64 - 1);
        self.highest_modseq = self.highest_modseq.max(modseq);
    }

    fn expunge(&mut self, gone: &[Record], effect: &mut impl FnMut(Effect)) {
        if gone.len() < 8 {
            for record in gone {
                effect(self.apply(record.clone()));
            }
            return;
        }
        let uids: std::collections::HashSet<u32> = gone
            .iter()
            .filter_map(|record| match record {
                Record::Expunge { uid, .. } => Some(*uid),
                _ => None,
            })
            .collect();
        self.messages.retain(|message| {
            let stays = !uids.contains(&message.uid);
            if !stays {
                effect(Effect::Vanished(message.uid));
            }
            stays
        });
        for record in gone {
            self.apply(record.clone());
        }
    }

    fn message_mut(&mut self, uid: u32) -> Option<&mut Message> {
        let position = self.position(uid).ok()?;
        Some(&mut self.messages[position])
    }

    fn position(&self, uid: u32) -> Result<usize, usize> {
        self.messages
            .binary_search_by_key(&uid, |message| message.uid)
    }
}
