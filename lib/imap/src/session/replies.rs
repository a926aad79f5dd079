//! What the client is told: ends of commands, and what happened meanwhile.

use super::{BAD_COMMANDS_MAX, Phase, Session, Step};
use crate::ask::Refusal;
use crate::view::{Expunges, line};

impl Session {
    /// Ends a command that has no sequence numbers.
    pub(super) fn finish(&mut self, tag: &str, text: &str) {
        self.finish_telling(tag, text, Expunges::Told);
    }

    /// Ends a command: first what other sessions did, then the tagged line.
    pub(super) fn finish_telling(&mut self, tag: &str, text: &str, expunges: Expunges) {
        if let Phase::Selected(_, view) = &mut self.phase {
            view.tell(&mut self.output, expunges);
        }
        self.line(format_args!("{tag} {text}"));
    }

    /// Introduces keywords before they are used.
    pub(super) fn tell_keywords(&mut self) {
        if let Phase::Selected(_, view) = &mut self.phase {
            view.tell_keywords(&mut self.output);
        }
    }

    pub(super) fn refuse(&mut self, tag: &str, refusal: Refusal) {
        self.finish(tag, &format!("NO {}", refusal.text()));
    }

    /// Ends a command that was none.
    pub(super) fn bad(&mut self, tag: &str, text: &str) {
        self.line(format_args!("{tag} BAD {text}"));
        self.bad_commands += 1;
        if BAD_COMMANDS_MAX <= self.bad_commands {
            self.bye("too many errors");
        }
    }

    pub(super) fn line(&mut self, text: std::fmt::Arguments<'_>) {
        line(&mut self.output, text);
    }

    pub(super) fn flush(&mut self) -> Step {
        Step::Send(std::mem::take(&mut self.output))
    }
}
