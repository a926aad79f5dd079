//! What follows from the outcome of deliveries, on disk, in its order.
//!
//! qmail-send reports, logs and waits around this; what is done to files, and
//! what must not be done a second time because a file could not be removed,
//! is here. Commands for qmail-clean come out as values, so that none can be
//! given before its turn.

use std::collections::BTreeSet;
use std::io;

use schedule::Channel;
use wire::clean::Command;

use crate::progress::{
    close_channel, end, forget_failures, has_recipients, mark_done, note_failure, remainder,
};
use crate::{FileSystem, Info, Layout, Remainder};

/// The outcomes of one queue's deliveries, until nothing is left of them.
#[derive(Debug)]
pub struct Outcomes<F> {
    files: F,
    layout: Layout,
    /// Recipients to be marked once their outcome is on record.
    marks: Vec<Mark>,
    /// Channels without recipients whose file could not be removed: nobody is
    /// delivered to again.
    through: BTreeSet<(Channel, u64)>,
    /// Messages with one recipient, delivered, whose envelopes could not be
    /// removed.
    delivered: BTreeSet<u64>,
    /// Messages whose bounce is in the queue, and whose files could not be
    /// removed: there is no second one.
    bounced: BTreeSet<u64>,
}

/// A recipient in the file of its channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The channel.
    pub channel: Channel,
    /// The message.
    pub id: u64,
    /// Where its record begins.
    pub offset: u64,
}

/// A channel of a message was closed.
#[derive(Debug)]
pub enum Closed {
    /// The other one has recipients.
    Half,
    /// No recipient is left.
    Whole,
    /// Whether the other one has recipients is not known.
    Unknown(io::Error),
}

/// What is left to do for a message without recipients.
#[derive(Debug)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// It is delivered: its envelope is to be removed.
    Envelope(Command),
    /// A notice of what failed, then [`Outcomes::bounced`].
    Bounce(Info),
    /// [`Outcomes::end`].
    End(Info),
}

impl<F: FileSystem> Outcomes<F> {
    /// Of this queue.
    pub fn new(files: F, layout: Layout) -> Self {
        Self {
            files,
            layout,
            marks: Vec::new(),
            through: BTreeSet::new(),
            delivered: BTreeSet::new(),
            bounced: BTreeSet::new(),
        }
    }

    /// A recipient is done, for better or, with a paragraph for its sender,
    /// worse. On an error it is not done: without the note nobody would ever
    /// know. It is marked by [`Outcomes::mark`], when there is something to
    /// be marked.
    pub fn settle(
        &mut self,
        id: u64,
        failure: Option<&[u8]>,
        mark: Option<Mark>,
    ) -> io::Result<()> {
        if let Some(paragraph) = failure {
            note_failure(&self.files, &self.layout, id, paragraph)?;
        }
        self.marks.extend(mark);
        Ok(())
    }

    /// The outcomes so far are on record: marks their recipients. What could
    /// not be marked is delivered again.
    pub fn mark(&mut self) -> Vec<(Mark, io::Error)> {
        let marks = std::mem::take(&mut self.marks);
        let failed = marks.into_iter().filter_map(|mark| {
            let Mark {
                channel,
                id,
                offset,
            } = mark;
            let marked = mark_done(&self.files, &self.layout, channel, id, offset);
            marked.err().map(|error| (mark, error))
        });
        failed.collect()
    }

    /// No recipient of a message is left on a channel. On an error its file
    /// is still there; the message is tried later, and closed instead of
    /// opened then.
    pub fn close(&mut self, channel: Channel, id: u64) -> io::Result<Closed> {
        if let Err(error) = close_channel(&self.files, &self.layout, channel, id) {
            self.through.insert((channel, id));
            return Err(error);
        }
        self.through.remove(&(channel, id));
        Ok(
            match has_recipients(&self.files, &self.layout, channel.other(), id) {
                Ok(true) => Closed::Half,
                Ok(false) => Closed::Whole,
                Err(error) => Closed::Unknown(error),
            },
        )
    }

    /// Finds out what is left to do for a message without recipients.
    pub fn left(&mut self, id: u64) -> io::Result<Left> {
        if self.delivered.remove(&id) {
            return Ok(Left::Envelope(self.delivered(id)));
        }
        Ok(match remainder(&self.files, &self.layout, id)? {
            Remainder::Nothing => Left::Nothing,
            Remainder::End(info) => Left::End(info),
            Remainder::Bounce(info) if self.bounced.contains(&id) => {
                forget_failures(&self.files, &self.layout, id)?;
                Left::End(info)
            }
            Remainder::Bounce(info) => Left::Bounce(info),
        })
    }

    /// The notice of what failed is in the queue: there is never another one.
    pub fn bounced(&mut self, id: u64) -> io::Result<()> {
        self.bounced.insert(id);
        self.discard(id)
    }

    /// Nobody is to be told of what failed.
    pub fn discard(&self, id: u64) -> io::Result<()> {
        forget_failures(&self.files, &self.layout, id)
    }

    /// Nothing is left to tell: the sender's record goes, then the text.
    pub fn end(&mut self, id: u64) -> io::Result<Command> {
        end(&self.files, &self.layout, id)?;
        self.bounced.remove(&id);
        Ok(Command::Message(id))
    }

    /// Somebody wants a message gone: everything goes but its sender's record,
    /// which is [`Outcomes::end`]'s. The notice goes first, so that what a
    /// crash leaves is the message with fewer recipients, and never a notice.
    pub fn forget(&mut self, id: u64) -> io::Result<()> {
        self.discard(id)?;
        Channel::ALL
            .into_iter()
            .try_for_each(|channel| close_channel(&self.files, &self.layout, channel, id))
    }

    /// A message with one recipient and no files is delivered: its envelope
    /// goes, then its text.
    pub fn delivered(&mut self, id: u64) -> Command {
        Command::Todo(id)
    }

    /// The envelope of such a message was removed, and qmail-todo knows; what
    /// comes then. `None` when it could not be: [`Outcomes::left`] tries
    /// again.
    pub fn envelope_removed(&mut self, id: u64, is_done: bool) -> Option<Command> {
        if !is_done {
            self.delivered.insert(id);
        }
        is_done.then_some(Command::Message(id))
    }
}

impl<F> Outcomes<F> {
    /// Nobody is to be delivered to on this channel any more.
    pub fn is_through(&self, channel: Channel, id: u64) -> bool {
        self.through.contains(&(channel, id))
    }

    /// Only the envelope of this message is left to be removed.
    pub fn is_delivered(&self, id: u64) -> bool {
        self.delivered.contains(&id)
    }
}
