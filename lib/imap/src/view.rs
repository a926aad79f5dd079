//! A mailbox as one session sees it: sequence numbers, and what the client
//! has not been told yet.
//!
//! Invariant: a message keeps its sequence number until its EXPUNGE (or that
//! of one before it) is written, whatever other sessions do meanwhile.

use std::collections::BTreeSet;

use crate::command::{Access, Numbering};
use crate::flags::{Flags, SystemFlag};
use crate::folder::FolderName;
use crate::set::SequenceSet;

/// A message as the store describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// UID
    pub uid: u32,
    /// Flags, without `\Recent`.
    pub flags: Flags,
    /// `\Recent` for this session.
    pub recent: bool,
    /// INTERNALDATE in Unix seconds.
    pub internal_date: i64,
    /// Size with CRLF line ends, if that is known.
    pub size: Option<u64>,
    /// MODSEQ, 0 if the store has none.
    pub modseq: u64,
}

/// A mailbox when it is opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// UIDVALIDITY
    pub uid_validity: u32,
    /// UIDNEXT
    pub uid_next: u32,
    /// Messages by ascending UID.
    pub messages: Vec<Entry>,
}

/// A message in a view.
#[derive(Clone, Debug)]
pub struct Slot {
    /// What is known of it.
    pub entry: Entry,
    /// Removed, but the client has not been told.
    gone: bool,
    /// Flags changed, but the client has not been told.
    changed: bool,
}

impl Slot {
    /// A message that is there.
    pub fn new(entry: Entry) -> Self {
        Self {
            entry,
            gone: false,
            changed: false,
        }
    }
}

/// Whether EXPUNGE may be written now (RFC 3501 §7.4.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expunges {
    /// It may.
    Told,
    /// A command with sequence numbers is under way.
    Kept,
}

/// A selected mailbox.
#[derive(Debug)]
pub struct View {
    /// Which folder.
    pub folder: FolderName,
    /// How it was opened.
    pub access: Access,
    /// UIDVALIDITY
    pub uid_validity: u32,
    slots: Vec<Slot>,
    /// How many messages the client knows of.
    told: usize,
    recent_told: usize,
    /// Keywords the client knows of, or will as soon as `keywords_new` is
    /// told.
    keywords: BTreeSet<String>,
    keywords_new: bool,
}

impl View {
    /// The view of a client that is told everything in `snapshot`.
    pub fn new(folder: FolderName, access: Access, snapshot: Snapshot) -> Self {
        let slots: Vec<Slot> = snapshot.messages.into_iter().map(Slot::new).collect();
        Self {
            folder,
            access,
            uid_validity: snapshot.uid_validity,
            told: slots.len(),
            recent_told: slots.iter().filter(|slot| slot.entry.recent).count(),
            keywords: keywords(slots.iter().map(|slot| &slot.entry.flags)),
            keywords_new: false,
            slots,
        }
    }

    /// Takes the state of the mailbox as it is now.
    pub fn refresh(&mut self, now: Vec<Entry>) {
        let mut now = now.into_iter().peekable();
        for slot in &mut self.slots {
            while now.next_if(|entry| entry.uid < slot.entry.uid).is_some() {}
            match now.next_if(|entry| entry.uid == slot.entry.uid) {
                Some(entry) => {
                    note_keywords(&mut self.keywords, &mut self.keywords_new, &entry.flags);
                    slot.changed |= slot.entry.flags != entry.flags;
                    slot.entry.flags = entry.flags;
                    slot.entry.modseq = entry.modseq;
                    slot.entry.size = slot.entry.size.or(entry.size);
                }
                None => slot.gone = true,
            }
        }
        let known = self.slots.last().map_or(0, |slot| slot.entry.uid);
        for entry in now.filter(|entry| known < entry.uid) {
            note_keywords(&mut self.keywords, &mut self.keywords_new, &entry.flags);
            self.slots.push(Slot::new(entry));
        }
    }

    /// Notes that messages have been removed; `uids` ascend.
    pub fn remove(&mut self, uids: &[u32]) {
        for slot in &mut self.slots {
            slot.gone |= uids.binary_search(&slot.entry.uid).is_ok();
        }
    }

    /// Writes what the client does not know yet.
    pub fn tell(&mut self, out: &mut Vec<u8>, expunges: Expunges) {
        self.tell_keywords(out);
        if expunges == Expunges::Told {
            self.tell_expunges(out);
        }
        let recent = self.slots.iter().filter(|slot| slot.entry.recent).count();
        if self.told < self.slots.len() {
            self.told = self.slots.len();
            line(out, format_args!("* {} EXISTS", self.told));
            line(out, format_args!("* {recent} RECENT"));
            self.recent_told = recent;
        }
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if std::mem::take(&mut slot.changed) && !slot.gone {
                let flags = slot.entry.flags.print(slot.entry.recent);
                let uid = slot.entry.uid;
                line(
                    out,
                    format_args!("* {} FETCH (UID {uid} FLAGS {flags})", at + 1),
                );
            }
        }
    }

    /// Writes FLAGS when there are keywords the client has not heard of: it
    /// may rely on knowing all that FETCH shows (RFC 3501 §7.2.6).
    pub fn tell_keywords(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.keywords_new) {
            self.write_keywords(out);
        }
    }

    /// Writes FLAGS and PERMANENTFLAGS.
    pub fn write_keywords(&self, out: &mut Vec<u8>) {
        let mut flags: Vec<&str> = SystemFlag::ALL.into_iter().map(SystemFlag::name).collect();
        flags.extend(self.keywords.iter().map(String::as_str));
        let flags = flags.join(" ");
        line(out, format_args!("* FLAGS ({flags})"));
        let permanent = match self.access {
            Access::ReadWrite => format!("{flags} \\*"),
            Access::ReadOnly => String::new(),
        };
        line(
            out,
            format_args!("* OK [PERMANENTFLAGS ({permanent})] what can be kept"),
        );
    }

    fn tell_expunges(&mut self, out: &mut Vec<u8>) {
        let mut sequence = 1;
        let told = self.told;
        let mut at = 0;
        self.slots.retain(|slot| {
            // What the client never heard of needs no EXPUNGE.
            let known = at < told;
            at += 1;
            if !slot.gone {
                sequence += 1;
                return true;
            }
            if known {
                line(out, format_args!("* {sequence} EXPUNGE"));
                self.told -= 1;
            }
            false
        });
    }

    /// The messages a set names, as positions; `None` when it names sequence
    /// numbers that do not exist.
    pub fn targets(&self, numbering: Numbering, set: &SequenceSet) -> Option<Vec<usize>> {
        match numbering {
            Numbering::Sequence => {
                if self.told < set.largest().unwrap_or(0) as usize && 0 < self.told {
                    return None;
                }
                let numbers = set.resolve(self.told as u32);
                let ranges = numbers.ranges().iter();
                let end = |n: u32| (n as usize).min(self.told);
                Some(
                    ranges
                        .flat_map(|range| (*range.start()).max(1) as usize - 1..end(*range.end()))
                        .collect(),
                )
            }
            Numbering::Uid => {
                let numbers = set.resolve(self.uid_largest());
                let known = &self.slots[..self.told];
                let at = |uid: u32| known.partition_point(|slot| slot.entry.uid < uid);
                let after = |uid: u32| known.partition_point(|slot| slot.entry.uid <= uid);
                let ranges = numbers.ranges().iter();
                Some(
                    ranges
                        .flat_map(|range| at(*range.start())..after(*range.end()))
                        .collect(),
                )
            }
        }
    }

    /// The messages a command names, by UID and without those that are gone.
    pub fn target_uids(&self, numbering: Numbering, set: &SequenceSet) -> Option<Vec<u32>> {
        let targets = self.targets(numbering, set)?;
        let there = targets.into_iter().filter(|&at| !self.slots[at].gone);
        Some(there.map(|at| self.slots[at].entry.uid).collect())
    }

    /// A message by UID, with its sequence number.
    pub fn by_uid(&self, uid: u32) -> Option<(u32, &Slot)> {
        let known = &self.slots[..self.told];
        let at = known
            .binary_search_by_key(&uid, |slot| slot.entry.uid)
            .ok()?;
        Some((at as u32 + 1, &known[at]))
    }

    /// Takes the flags a STORE has left; says whether they are news.
    pub fn set_flags(&mut self, uid: u32, flags: Flags, modseq: u64) -> bool {
        note_keywords(&mut self.keywords, &mut self.keywords_new, &flags);
        match self.slot_mut(uid) {
            Some(slot) => {
                let news = slot.entry.flags != flags;
                slot.entry.flags = flags;
                slot.entry.modseq = modseq;
                slot.changed = false;
                news
            }
            None => false,
        }
    }

    /// Remembers the size of a message that was read.
    pub fn set_size(&mut self, uid: u32, size: u64) {
        if let Some(slot) = self.slot_mut(uid) {
            slot.entry.size = Some(size);
        }
    }

    /// Messages the client knows of that are still there.
    pub fn present(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (1..)
            .zip(&self.slots[..self.told])
            .filter(|(_, slot)| !slot.gone)
    }

    /// UIDs of messages marked `\Deleted`.
    pub fn deleted(&self) -> impl Iterator<Item = u32> {
        self.present()
            .filter(|(_, slot)| slot.entry.flags.has(SystemFlag::Deleted))
            .map(|(_, slot)| slot.entry.uid)
    }

    /// How many messages the client knows of.
    pub fn exists(&self) -> u32 {
        self.told as u32
    }

    /// How many of them are recent.
    pub fn recent(&self) -> usize {
        self.recent_told
    }

    /// The largest UID the client can mean by `*`.
    pub fn uid_largest(&self) -> u32 {
        self.slots[..self.told]
            .last()
            .map_or(0, |slot| slot.entry.uid)
    }

    fn slot_mut(&mut self, uid: u32) -> Option<&mut Slot> {
        let at = self
            .slots
            .binary_search_by_key(&uid, |slot| slot.entry.uid)
            .ok()?;
        Some(&mut self.slots[at])
    }
}

fn keywords<'a>(flags: impl Iterator<Item = &'a Flags>) -> BTreeSet<String> {
    let mut keywords = BTreeSet::new();
    for flags in flags {
        note_keywords(&mut keywords, &mut false, flags);
    }
    keywords
}

fn note_keywords(known: &mut BTreeSet<String>, new: &mut bool, flags: &Flags) {
    for keyword in flags.keywords() {
        if !known.contains(keyword) {
            known.insert(keyword.clone());
            *new = true;
        }
    }
}

/// Appends one line.
pub(crate) fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Writing to memory does not fail.
    let _ = write!(out, "{text}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(uids: &[u32]) -> Vec<Entry> {
        let entry = |&uid| Entry {
            uid,
            ..Entry::default()
        };
        uids.iter().map(entry).collect()
    }

    fn view(uids: &[u32]) -> View {
        let snapshot = Snapshot {
            messages: entries(uids),
            ..Snapshot::default()
        };
        View::new(FolderName::inbox(), Access::ReadWrite, snapshot)
    }

    fn told(view: &mut View, expunges: Expunges) -> String {
        let mut out = Vec::new();
        view.tell(&mut out, expunges);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_stay_until_expunges_are_told() {
        let mut view = view(&[10, 20, 30, 40]);
        view.refresh(entries(&[20, 40, 50]));
        assert_eq!(
            told(&mut view, Expunges::Kept),
            "* 5 EXISTS\r\n* 0 RECENT\r\n"
        );
        assert_eq!(view.by_uid(40).map(|(sequence, _)| sequence), Some(4));
        assert_eq!(
            told(&mut view, Expunges::Told),
            "* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n"
        );
        assert_eq!(view.by_uid(40).map(|(sequence, _)| sequence), Some(2));
        assert_eq!(told(&mut view, Expunges::Told), "");
    }

    #[test]
    fn a_keyword_is_introduced_before_it_is_used() {
        let mut view = view(&[10]);
        let mut flags = Flags::default();
        flags.add_keyword("$Work");
        view.refresh(vec![Entry {
            flags: flags.clone(),
            ..entries(&[10]).remove(0)
        }]);
        let text = told(&mut view, Expunges::Kept);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("* FLAGS ("), "{text}");
        assert!(lines[0].ends_with(" $Work)"), "{text}");
        assert!(lines[1].starts_with("* OK [PERMANENTFLAGS ("), "{text}");
        assert_eq!(lines[2], "* 1 FETCH (UID 10 FLAGS ($Work))");
        view.set_flags(10, Flags::default(), 0);
        view.set_flags(10, flags, 0);
        assert_eq!(told(&mut view, Expunges::Kept), "", "once is enough");
    }

    #[test]
    fn what_came_and_went_is_never_mentioned() {
        let mut view = view(&[10]);
        view.refresh(entries(&[10, 20, 30]));
        view.refresh(entries(&[10, 30]));
        assert_eq!(
            told(&mut view, Expunges::Told),
            "* 2 EXISTS\r\n* 0 RECENT\r\n"
        );
    }

    #[test]
    fn sets_name_what_is_there() {
        let view = view(&[10, 20, 30]);
        let uids = |numbering, set: &str| {
            view.target_uids(numbering, &SequenceSet::parse(set.as_bytes()).unwrap())
        };
        assert_eq!(uids(Numbering::Uid, "15:*"), Some(vec![20, 30]));
        assert_eq!(uids(Numbering::Uid, "99:*"), Some(vec![30]));
        assert_eq!(uids(Numbering::Uid, "11:19"), Some(vec![]));
        assert_eq!(uids(Numbering::Uid, "1:4294967295"), Some(vec![10, 20, 30]));
        assert_eq!(uids(Numbering::Sequence, "2:*"), Some(vec![20, 30]));
        assert_eq!(uids(Numbering::Sequence, "4"), None);
        assert_eq!(uids(Numbering::Sequence, "1:4294967295"), None);
    }

    #[test]
    fn the_client_can_always_follow() {
        // A client that applies EXPUNGE and EXISTS ends up with our messages.
        property::holds(|u| {
            let mut store: Vec<u32> = (1..=u.int_in_range(0..=6u32)?).collect();
            let mut next = store.len() as u32 + 1;
            let mut view = view(&store);
            let mut client = store.len();
            for _ in 0..u.int_in_range(0..=12u8)? {
                if u.arbitrary()? && !store.is_empty() {
                    store.remove(u.choose_index(store.len())?);
                } else {
                    store.push(next);
                    next += 1;
                }
                if u.arbitrary()? {
                    view.refresh(entries(&store));
                    let expunges = if u.arbitrary()? {
                        Expunges::Told
                    } else {
                        Expunges::Kept
                    };
                    for line in told(&mut view, expunges).lines() {
                        let mut words = line.split(' ').skip(1);
                        let number: usize = words.next().unwrap().parse().unwrap();
                        match words.next() {
                            Some("EXPUNGE") => {
                                assert!((1..=client).contains(&number));
                                client -= 1;
                            }
                            Some("EXISTS") => {
                                assert!(client <= number);
                                client = number;
                            }
                            _ => {}
                        }
                    }
                    assert_eq!(client, view.exists() as usize);
                }
            }
            view.refresh(entries(&store));
            told(&mut view, Expunges::Told);
            assert_eq!(
                view.present()
                    .map(|(_, slot)| slot.entry.uid)
                    .collect::<Vec<_>>(),
                store
            );
            Ok(())
        });
    }
}
