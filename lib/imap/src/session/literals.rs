//! Literals: which are waited for, and which are refused unseen.

use super::{Job, Phase, Session};
use crate::input::{Literal, tag_of};

impl Session {
    /// A literal is announced in a command that is not APPEND, or is one.
    pub(super) fn take_literal(&mut self, literal: Literal, bytes_max: usize) {
        let guest = matches!(self.phase, Phase::Guest);
        let idle = matches!(self.job, Job::None);
        let before = self.input.before_literal().to_vec();
        if !guest && idle && self.take_append_literal(literal, &before) {
            return;
        }
        let fits = literal.length.saturating_add(before.len() as u64) < bytes_max as u64;
        if idle && fits {
            self.input.accept();
            if literal.synchronizing {
                self.line(format_args!("+ go on"));
            }
            return;
        }
        let tag = tag_of(&before).unwrap_or_else(|| "*".into());
        if guest || !literal.synchronizing {
            // Nothing that large belongs into a command, and it would come
            // whether we wait for it or not.
            self.line(format_args!("{tag} BAD literal is too large"));
            return self.bye("literal is too large");
        }
        self.input.refuse();
        self.job = Job::None;
        self.bad(&tag, "[TOOBIG] literal is too large");
    }
}
