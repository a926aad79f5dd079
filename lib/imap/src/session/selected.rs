//! Commands on the messages of the selected folder, but SEARCH and FETCH.

use super::{Job as SessionJob, Phase, Session};
use crate::ask::{Answer, Copied, Question, Refusal};
use crate::command::{Access, Command, Echo, Numbering, Transfer};
use crate::flags::{Change, Flags};
use crate::folder::FolderName;
use crate::set::{self, Numbers, SequenceSet};
use crate::view::{Entry, Expunges};

/// Where such a command stands.
#[derive(Debug)]
pub(super) enum Job {
    Idle {
        tag: String,
    },
    /// Something changed while idling.
    IdleRefresh {
        tag: String,
    },
    /// Tell what is new, then end the command.
    Refresh {
        tag: String,
        text: String,
    },
    /// EXPUNGE: first see what others have marked.
    ExpungeRefresh {
        tag: String,
        only: Option<SequenceSet>,
    },
    Expunge {
        tag: String,
    },
    /// CLOSE: messages go without a word.
    CloseExpunge {
        tag: String,
    },
    Close {
        tag: String,
        text: &'static str,
    },
    Store {
        tag: String,
        numbering: Numbering,
        echo: Echo,
    },
    Copy {
        tag: String,
        to: FolderName,
        transfer: Transfer,
    },
}

impl Session {
    pub(super) fn selected_command(&mut self, tag: String, command: Command) {
        let writes = matches!(
            command,
            Command::Store { .. } | Command::Expunge(_) | Command::Copy(_, _, _, Transfer::Move)
        );
        if writes && self.view().access == Access::ReadOnly {
            return self.refuse(&tag, Refusal::ReadOnly);
        }
        match command {
            Command::Check => self.noop(tag, "OK CHECK done"),
            Command::Idle => self.idle(tag),
            Command::Unselect => {
                let text = "OK UNSELECT done";
                self.ask_selected(Job::Close { tag, text }, Question::Close);
            }
            Command::Close => self.close(tag),
            Command::Expunge(only) => {
                self.ask_selected(Job::ExpungeRefresh { tag, only }, Question::Refresh);
            }
            Command::Search(numbering, search) => self.search(tag, numbering, search),
            Command::Sort(numbering, criteria, search) => {
                self.sort(tag, numbering, criteria, search);
            }
            Command::Thread(numbering, threading, search) => {
                self.thread(tag, numbering, threading, search);
            }
            Command::Fetch(numbering, set, items) => self.fetch(tag, numbering, &set, items),
            Command::Store {
                numbering,
                set,
                change,
                echo,
                flags,
            } => self.store(tag, numbering, &set, change, echo, flags),
            Command::Copy(numbering, set, to, transfer) => {
                self.copy(tag, numbering, &set, to, transfer);
            }
            command => self.user_command(tag, command),
        }
    }

    /// Ends a command after telling what is new.
    pub(super) fn noop(&mut self, tag: String, text: &str) {
        if matches!(self.phase, Phase::Selected(..)) {
            let text = text.to_owned();
            self.ask_selected(Job::Refresh { tag, text }, Question::Refresh);
        } else {
            self.finish(&tag, text);
        }
    }

    pub(super) fn idle(&mut self, tag: String) {
        self.line(format_args!("+ idling"));
        if matches!(self.phase, Phase::Selected(..)) {
            // What changed before the driver watches must not be missed.
            self.ask_selected(Job::IdleRefresh { tag }, Question::Refresh);
        } else {
            self.job = SessionJob::Selected(Job::Idle { tag });
        }
    }

    /// Takes the state of the folder into the view.
    pub(super) fn take_entries(&mut self, entries: Result<Option<Vec<Entry>>, Refusal>) {
        match entries {
            Ok(Some(entries)) => self.view_mut().refresh(entries),
            Ok(None) | Err(Refusal::Temporary) => {}
            // The folder is no more, or no longer the one whose UIDs the
            // client knows.
            Err(_) => self.bye("[UNAVAILABLE] the folder has gone, please come back"),
        }
    }

    pub(super) fn answer_selected(&mut self, job: Job, answer: Answer) {
        match (job, answer) {
            (Job::IdleRefresh { tag }, Answer::Entries(entries)) => {
                self.take_entries(entries);
                if let Phase::Selected(_, view) = &mut self.phase {
                    view.tell(&mut self.output, Expunges::Told);
                    self.job = SessionJob::Selected(Job::Idle { tag });
                }
            }
            (Job::Refresh { tag, text }, Answer::Entries(entries)) => {
                self.take_entries(entries);
                if matches!(self.phase, Phase::Selected(..)) {
                    self.finish(&tag, &text);
                }
            }
            (Job::ExpungeRefresh { tag, only }, Answer::Entries(entries)) => {
                self.take_entries(entries);
                if matches!(self.phase, Phase::Selected(..)) {
                    self.expunge(tag, only);
                }
            }
            (Job::Expunge { tag }, Answer::Removed(outcome)) => match outcome {
                Ok(uids) => {
                    self.view_mut().remove(&uids);
                    self.finish(&tag, "OK EXPUNGE done");
                }
                Err(refusal) => self.refuse(&tag, refusal),
            },
            (Job::CloseExpunge { tag }, Answer::Removed(_)) => {
                let text = "OK CLOSE done";
                self.ask_selected(Job::Close { tag, text }, Question::Close);
            }
            (Job::Close { tag, text }, Answer::Done(_)) => {
                self.leave_folder();
                self.finish(&tag, text);
            }
            (
                Job::Store {
                    tag,
                    numbering,
                    echo,
                },
                Answer::Stored(outcome),
            ) => self.stored(&tag, numbering, echo, outcome),
            (Job::Copy { tag, to, transfer }, Answer::Copied(outcome)) => match outcome {
                Ok(copied) => self.copied(tag, &to, transfer, &copied),
                Err(refusal) => self.finish(&tag, &format!("NO {}", refusal.text_of_target())),
            },
            (job, answer) => unreachable!("{answer:?} for {job:?}"),
        }
    }

    fn close(&mut self, tag: String) {
        let uids: Vec<u32> = self.view().deleted().collect();
        if self.view().access == Access::ReadWrite && !uids.is_empty() {
            self.ask_selected(Job::CloseExpunge { tag }, Question::Remove(uids));
        } else {
            let text = "OK CLOSE done";
            self.ask_selected(Job::Close { tag, text }, Question::Close);
        }
    }

    fn leave_folder(&mut self) {
        self.kept = None;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Guest) {
            Phase::Selected(user, _) => Phase::User(user),
            other => other,
        };
    }

    fn expunge(&mut self, tag: String, only: Option<SequenceSet>) {
        let view = self.view();
        let only: Option<Numbers> = only.map(|set| set.resolve(view.uid_largest()));
        let uids: Vec<u32> = view
            .deleted()
            .filter(|&uid| only.as_ref().is_none_or(|only| only.contains(uid)))
            .collect();
        if uids.is_empty() {
            return self.finish(&tag, "OK EXPUNGE done");
        }
        self.ask_selected(Job::Expunge { tag }, Question::Remove(uids));
    }

    fn store(
        &mut self,
        tag: String,
        numbering: Numbering,
        set: &SequenceSet,
        change: Change,
        echo: Echo,
        flags: Flags,
    ) {
        let Some(uids) = self.view().target_uids(numbering, set) else {
            return self.bad(&tag, "no such message");
        };
        if uids.is_empty() {
            return self.finish_telling(&tag, "OK STORE done", kept(numbering));
        }
        let job = Job::Store {
            tag,
            numbering,
            echo,
        };
        let question = Question::Store {
            uids,
            change,
            flags,
        };
        self.ask_selected(job, question);
    }

    fn stored(
        &mut self,
        tag: &str,
        numbering: Numbering,
        echo: Echo,
        outcome: Result<Vec<(u32, Flags, u64)>, Refusal>,
    ) {
        let stored = match outcome {
            Ok(stored) => stored,
            Err(refusal) => {
                let text = format!("NO {}", refusal.text());
                return self.finish_telling(tag, &text, kept(numbering));
            }
        };
        let mut told = Vec::new();
        for (uid, flags, modseq) in stored {
            let view = self.view_mut();
            view.set_flags(uid, flags, modseq);
            let Some((sequence, slot)) = view.by_uid(uid) else {
                continue;
            };
            if echo == Echo::Flags {
                let flags = slot.entry.flags.print(slot.entry.recent);
                told.push(match numbering {
                    Numbering::Uid => format!("* {sequence} FETCH (UID {uid} FLAGS {flags})"),
                    Numbering::Sequence => format!("* {sequence} FETCH (FLAGS {flags})"),
                });
            }
        }
        self.tell_keywords();
        for text in told {
            self.line(format_args!("{text}"));
        }
        self.finish_telling(tag, "OK STORE done", kept(numbering));
    }

    fn copy(
        &mut self,
        tag: String,
        numbering: Numbering,
        set: &SequenceSet,
        to: FolderName,
        transfer: Transfer,
    ) {
        let Some(uids) = self.view().target_uids(numbering, set) else {
            return self.bad(&tag, "no such message");
        };
        if uids.is_empty() {
            return self.finish(&tag, "OK nothing to do");
        }
        let job = Job::Copy {
            tag,
            to: to.clone(),
            transfer,
        };
        self.ask_selected(job, Question::Copy { uids, to, transfer });
    }

    fn copied(&mut self, tag: String, to: &FolderName, transfer: Transfer, copied: &Copied) {
        let here: Vec<u32> = copied.pairs.iter().map(|&(uid, _)| uid).collect();
        let there: Vec<u32> = copied.pairs.iter().map(|&(_, uid)| uid).collect();
        let code = match here.is_empty() {
            true => String::new(),
            false => format!(
                "[COPYUID {} {} {}] ",
                copied.uid_validity,
                set::print(&here),
                set::print(&there)
            ),
        };
        match transfer {
            Transfer::Copy => {
                let text = format!("OK {code}COPY done");
                if *to == self.view().folder {
                    self.ask_selected(Job::Refresh { tag, text }, Question::Refresh);
                } else {
                    self.finish(&tag, &text);
                }
            }
            Transfer::Move => {
                // RFC 6851 §4.3: the UIDs are told before the messages go.
                self.line(format_args!("* OK {code}moved"));
                self.view_mut().remove(&here);
                if *to == self.view().folder {
                    let text = "OK MOVE done".to_owned();
                    self.ask_selected(Job::Refresh { tag, text }, Question::Refresh);
                } else {
                    self.finish(&tag, "OK MOVE done");
                }
            }
        }
    }

    fn ask_selected(&mut self, job: Job, question: Question) {
        self.ask(SessionJob::Selected(job), question);
    }
}

/// During a command with sequence numbers these must not move.
pub(super) fn kept(numbering: Numbering) -> Expunges {
    match numbering {
        Numbering::Sequence => Expunges::Kept,
        Numbering::Uid => Expunges::Told,
    }
}
