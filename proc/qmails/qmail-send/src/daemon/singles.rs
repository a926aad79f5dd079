//! Messages with a single recipient, as qmail-todo tells them: they are in
//! memory and in `todo`, and have no other file.
//!
//! Delivered, the envelope is removed, then the text. Not delivered, they go
//! back to qmail-todo, which preprocesses them as any other message; whatever
//! crash comes before that leaves them in `todo`, to be tried again.

use schedule::Channel;
use wire::todo::{Order, PutBack, Single};
use wire::trace::{Kind, TraceId};

use super::Daemon;
use crate::files::OpenMessage;
use crate::log::Log;

impl Daemon {
    pub(super) fn add_single(&mut self, single: Single, now: i64) {
        let channel = if single.is_remote {
            Channel::Remote
        } else {
            Channel::Local
        };
        let id = single.id;
        self.singles.insert(id, single);
        self.scheduler.add_new(channel, id, now);
    }

    /// The single message that a channel is to open, if it is one.
    pub(super) fn open_single(&mut self, id: u64) -> Option<OpenMessage> {
        self.singles.remove(&id).map(OpenMessage::single)
    }

    /// The first try is over.
    pub(super) fn single_delivered(&mut self, id: u64, trace: Option<TraceId>, log: &mut Log) {
        log.line(|lines| lines.end_message(id));
        self.forget_hold(id);
        self.events.tell(trace, id, Kind::Ended, |_| {});
        let command = self.outcomes.delivered(id);
        self.cleaner.ask(&mut self.pipes.clean, command);
    }

    /// The first try is over and something is left to do: tries until `due`,
    /// or a bounce.
    pub(super) fn put_back(&mut self, id: u64, due: i64, is_done: bool) {
        self.returning.insert(id, false);
        self.order(Order::PutBack(PutBack { id, due, is_done }));
    }

    /// Everything is due now; so is what qmail-todo has at the moment.
    pub(super) fn hurry_returning(&mut self) {
        self.returning.values_mut().for_each(|hurry| *hurry = true);
    }

    /// A message that qmail-todo has at the moment is due when it returns;
    /// says whether it is one.
    pub(super) fn hurry_one(&mut self, id: u64) -> bool {
        let hurry = self.returning.get_mut(&id);
        hurry.is_some_and(|hurry| {
            *hurry = true;
            true
        })
    }

    /// When a message that qmail-todo preprocessed is due, if it was tried.
    pub(super) fn due(&mut self, id: u64, due: Option<i64>, now: i64) -> Option<i64> {
        match self.returning.remove(&id) {
            Some(true) => Some(now),
            _ => due,
        }
    }

    /// qmail-clean answered for the envelopes of delivered messages.
    pub(super) fn envelopes_removed(&mut self, answers: Vec<(u64, bool)>, log: &mut Log) {
        for (id, is_done) in answers {
            if let Some(command) = self.outcomes.envelope_removed(id, is_done) {
                // In this order: when the number is free to be given away,
                // qmail-todo knows.
                self.order(Order::Ended(id));
                self.cleaner.ask(&mut self.pipes.clean, command);
            } else {
                log.warning(&format!(
                    "qmail-clean unable to clean up todo/{id}; will try again later"
                ));
                let now = os::clock::unix_seconds();
                self.scheduler.finish_later(id, now);
            }
        }
    }

    pub(super) fn order(&mut self, order: Order) {
        let mut wire = Vec::new();
        order.append(&mut wire);
        self.pipes.todo.send(&wire);
    }
}
