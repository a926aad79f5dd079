//! The messages qmail-send was told and has not ended or put back: they stay
//! in `todo` meanwhile.

use std::collections::BTreeMap;

use queue::Room;
use wire::todo::Single;

/// Most of them on each channel; this and the size of an envelope that is
/// told bound what qmail-send keeps of them. Remote ones that wait for slow
/// hosts do not take the room of local ones.
const SINGLES_MAX: usize = 500;

/// Their numbers, and which are remote.
#[derive(Debug, Default)]
pub struct Singles {
    told: BTreeMap<u64, bool>,
    remote: usize,
}

impl Singles {
    /// What room there is.
    pub fn room(&self) -> Room {
        Room {
            local: self.told.len() - self.remote < SINGLES_MAX,
            remote: self.remote < SINGLES_MAX,
        }
    }

    /// A message was told.
    pub fn begin(&mut self, single: &Single) {
        self.end(single.id);
        self.told.insert(single.id, single.is_remote);
        self.remote += usize::from(single.is_remote);
    }

    /// Its first try ended.
    pub fn end(&mut self, id: u64) {
        if self.told.remove(&id) == Some(true) {
            self.remote -= 1;
        }
    }

    /// It is with qmail-send.
    pub fn contains(&self, id: u64) -> bool {
        self.told.contains_key(&id)
    }
}
