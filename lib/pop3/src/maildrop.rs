//! The messages of a session, as they were when it logged in.

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Bytes as they go over the wire, without doubled dots.
    pub size: u64,
    /// 1 to 70 bytes from `!` to `~` (RFC 1939 §7 UIDL).
    pub unique_id: String,
}

/// What QUIT does to the mailbox; numbers count from 0 in the order of
/// entries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Update {
    /// Messages to remove.
    pub deleted: Vec<usize>,
    /// Messages that were read and stay.
    pub read: Vec<usize>,
}

/// All of them, and what the session did so far.
#[derive(Debug)]
pub(crate) struct Maildrop {
    messages: Vec<(Entry, Mark)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    deleted: bool,
    read: bool,
}

impl Maildrop {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self {
            messages: entries
                .into_iter()
                .map(|entry| (entry, Mark::default()))
                .collect(),
        }
    }

    /// Marks a message as deleted; `false` when there is none of that number.
    pub(crate) fn delete(&mut self, number: u32) -> bool {
        let Some(at) = self.position(number) else {
            return false;
        };
        self.messages[at].1.deleted = true;
        true
    }

    pub(crate) fn mark_read(&mut self, at: usize) {
        if let Some((_, mark)) = self.messages.get_mut(at) {
            mark.read = true;
        }
    }

    /// Takes all marks of deletion away.
    pub(crate) fn reset(&mut self) {
        for (_, mark) in &mut self.messages {
            mark.deleted = false;
        }
    }

    /// Messages that are not deleted, with their numbers.
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let numbered = (1..).zip(&self.messages);
        numbered
            .filter(|(_, (_, mark))| !mark.deleted)
            .map(|(number, (entry, _))| (number, entry))
    }

    pub(crate) fn entry(&self, number: u32) -> Option<&Entry> {
        self.position(number).map(|at| &self.messages[at].0)
    }

    /// Where a message with this number stands, unless it is deleted.
    pub(crate) fn position(&self, number: u32) -> Option<usize> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let (_, mark) = self.messages.get(at)?;
        (!mark.deleted).then_some(at)
    }

    /// How many there are and their bytes.
    pub(crate) fn total(&self) -> (usize, u64) {
        self.present().fold((0, 0), |(count, bytes), (_, entry)| {
            (count + 1, bytes.saturating_add(entry.size))
        })
    }

    pub(crate) fn update(&self) -> Update {
        let mut update = Update::default();
        for (at, (_, mark)) in self.messages.iter().enumerate() {
            if mark.deleted {
                update.deleted.push(at);
            } else if mark.read {
                update.read.push(at);
            }
        }
        update
    }
}
