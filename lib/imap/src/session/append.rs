//! APPEND: a message passes through in pieces.

use super::{Job as SessionJob, Phase, Session};
use crate::ask::{Answer, Question, Refusal};
use crate::input::Literal;
use crate::parse;

/// Where an APPEND stands.
#[derive(Debug)]
pub(super) struct Job {
    tag: String,
    /// What follows the message in its line.
    rest: &'static [u8],
    state: State,
}

#[derive(Debug)]
enum State {
    /// The driver decides whether it takes the message.
    Beginning(Literal),
    /// The client sends.
    Data,
    /// The driver writes a piece.
    Writing,
    /// The driver makes it visible.
    Ending,
    /// The driver throws it away.
    Aborting(String),
    /// It is visible; now this session learns of it.
    Told(String),
}

impl Job {
    pub(super) fn awaits_data(&self) -> bool {
        matches!(self.state, State::Data)
    }
}

impl Session {
    /// Whether the literal is the message of an APPEND; then it is taken care
    /// of.
    pub(super) fn take_append_literal(&mut self, literal: Literal, before: &[u8]) -> bool {
        let Some((tag, rest)) = parse::tag(before) else {
            return false;
        };
        let refused = match parse::append(rest) {
            None => return false,
            Some(Err(error)) => format!("BAD {error}"),
            Some(Ok(Err(_))) => "NO [TRYCREATE] no such folder".to_owned(),
            Some(Ok(Ok(_))) if literal.length == 0 => "NO an empty message is none".to_owned(),
            Some(Ok(Ok(_))) if self.config.message_bytes_max < literal.length => {
                "NO [TOOBIG] message is too large".to_owned()
            }
            Some(Ok(Ok(append))) => {
                let state = State::Beginning(literal);
                let rest: &[u8] = if append.utf8 { b")" } else { b"" };
                let job = SessionJob::Append(Job { tag, rest, state });
                self.ask(job, Question::AppendBegin(append, literal.length));
                return true;
            }
        };
        if !literal.synchronizing && self.config.message_bytes_max < literal.length {
            // It comes anyhow, and we would not even read it.
            self.line(format_args!("{tag} {refused}"));
            self.bye("message is too large");
            return true;
        }
        self.input.refuse();
        self.finish(&tag, &refused);
        true
    }

    pub(super) fn take_chunk(&mut self, bytes: Vec<u8>) {
        let SessionJob::Append(job) = std::mem::take(&mut self.job) else {
            unreachable!("only APPEND streams");
        };
        let job = Job {
            state: State::Writing,
            ..job
        };
        self.ask(SessionJob::Append(job), Question::AppendData(bytes));
    }

    pub(super) fn take_stream_end(&mut self, rest: &[u8]) {
        let SessionJob::Append(job) = std::mem::take(&mut self.job) else {
            unreachable!("only APPEND streams");
        };
        let (state, question) = if rest == job.rest {
            (State::Ending, Question::AppendEnd)
        } else {
            let text = "BAD APPEND takes one message".to_owned();
            (State::Aborting(text), Question::AppendAbort)
        };
        self.ask(SessionJob::Append(Job { state, ..job }), question);
    }

    pub(super) fn answer_append(&mut self, job: Job, answer: Answer) {
        let Job { tag, rest, state } = job;
        match (state, answer) {
            (State::Beginning(literal), Answer::Done(Ok(()))) => {
                if literal.synchronizing {
                    self.line(format_args!("+ go on"));
                }
                self.input.stream();
                let state = State::Data;
                self.job = SessionJob::Append(Job { tag, rest, state });
            }
            (State::Beginning(_), Answer::Done(Err(refusal))) => {
                self.input.refuse();
                self.finish(&tag, &format!("NO {}", refusal.text_of_target()));
            }
            (State::Writing, Answer::Done(Ok(()))) => {
                let state = State::Data;
                self.job = SessionJob::Append(Job { tag, rest, state });
            }
            (State::Writing, Answer::Done(Err(refusal))) => {
                self.input.skip_stream();
                let state = State::Aborting(format!("NO {}", refusal.text()));
                self.ask(
                    SessionJob::Append(Job { tag, rest, state }),
                    Question::AppendAbort,
                );
            }
            (State::Aborting(text), Answer::Done(_)) => self.finish(&tag, &text),
            (State::Ending, Answer::Appended(outcome)) => self.appended(tag, outcome),
            (State::Told(text), Answer::Entries(entries)) => {
                self.take_entries(entries);
                self.finish(&tag, &text);
            }
            (state, answer) => unreachable!("{answer:?} for APPEND in {state:?}"),
        }
    }

    fn appended(&mut self, tag: String, outcome: Result<(u32, u32), Refusal>) {
        match outcome {
            Ok((uid_validity, uid)) => {
                let text = format!("OK [APPENDUID {uid_validity} {uid}] APPEND done");
                if matches!(self.phase, Phase::Selected(..)) {
                    let (rest, state): (&[u8], _) = (b"", State::Told(text));
                    self.ask(
                        SessionJob::Append(Job { tag, rest, state }),
                        Question::Refresh,
                    );
                } else {
                    self.finish(&tag, &text);
                }
            }
            Err(refusal) => self.finish(&tag, &format!("NO {}", refusal.text_of_target())),
        }
    }
}
