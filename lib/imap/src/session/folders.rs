//! Commands about folders, and SELECT.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Job as SessionJob, Phase, Session, User};
use crate::ask::{Answer, Counts, FolderChange, Question, Quota, Refusal};
use crate::command::{Access, Command, List, StatusItem};
use crate::flags::SystemFlag;
use crate::folder::{self, FolderName};
use crate::view::{Expunges, Snapshot, View};
use crate::write;

/// Where a command about folders stands.
#[derive(Debug)]
pub(super) enum Job {
    Select {
        tag: String,
        folder: FolderName,
        access: Access,
    },
    List {
        tag: String,
        list: List,
    },
    /// LIST with STATUS: the folders still to be counted.
    ListStatus {
        tag: String,
        items: Vec<StatusItem>,
        current: FolderName,
        left: VecDeque<FolderName>,
    },
    Status {
        tag: String,
        folder: FolderName,
        items: Vec<StatusItem>,
    },
    Quota {
        tag: String,
        root_of: Option<FolderName>,
    },
    Change {
        tag: String,
        done: &'static str,
    },
}

/// The only quota root: the user's.
const QUOTA_ROOT: &str = "ROOT";

impl Session {
    /// Begins a command about folders; gives back a command that is none.
    pub(super) fn folder_command(&mut self, tag: &str, command: Command) -> Option<Command> {
        let tag = tag.to_owned();
        let (change, done) = match command {
            Command::Create(folder) => (FolderChange::Create(folder), "OK CREATE done"),
            Command::Delete(folder) => (FolderChange::Delete(folder), "OK DELETE done"),
            Command::Rename(from, to) => (FolderChange::Rename(from, to), "OK RENAME done"),
            Command::Subscribe(folder) => (FolderChange::Subscribe(folder), "OK SUBSCRIBE done"),
            Command::Unsubscribe(folder) => {
                (FolderChange::Unsubscribe(folder), "OK UNSUBSCRIBE done")
            }
            Command::Select(folder, access) => {
                let question = Question::Open(folder.clone(), access);
                let job = Job::Select {
                    tag,
                    folder,
                    access,
                };
                self.ask(SessionJob::Folders(job), question);
                return None;
            }
            Command::List(list) => {
                self.ask(
                    SessionJob::Folders(Job::List { tag, list }),
                    Question::Folders,
                );
                return None;
            }
            Command::Status(folder, items) => {
                let question = Question::Status(folder.clone());
                let job = Job::Status { tag, folder, items };
                self.ask(SessionJob::Folders(job), question);
                return None;
            }
            Command::GetQuotaRoot(folder) => {
                let root_of = Some(folder);
                self.ask(
                    SessionJob::Folders(Job::Quota { tag, root_of }),
                    Question::Quota,
                );
                return None;
            }
            Command::GetQuota(root) => {
                if root.eq_ignore_ascii_case(QUOTA_ROOT.as_bytes()) {
                    let root_of = None;
                    self.ask(
                        SessionJob::Folders(Job::Quota { tag, root_of }),
                        Question::Quota,
                    );
                } else {
                    self.finish(&tag, "NO [NONEXISTENT] no such quota root");
                }
                return None;
            }
            Command::Namespace => {
                self.line(format_args!("* NAMESPACE ((\"\" \".\")) NIL NIL"));
                self.finish(&tag, "OK NAMESPACE done");
                return None;
            }
            Command::Enable(names) => {
                let mut enabled = String::new();
                if names.iter().any(|name| name == "UTF8=ACCEPT") {
                    self.utf8 = true;
                    enabled.push_str(" UTF8=ACCEPT");
                }
                self.line(format_args!("* ENABLED{enabled}"));
                self.finish(&tag, "OK ENABLE done");
                return None;
            }
            Command::BadName(text) => {
                self.finish(&tag, &format!("NO {text}"));
                return None;
            }
            command => return Some(command),
        };
        let job = Job::Change { tag, done };
        self.ask(SessionJob::Folders(job), Question::Folder(change));
        None
    }

    pub(super) fn answer_folders(&mut self, job: Job, answer: Answer) {
        match (job, answer) {
            (
                Job::Select {
                    tag,
                    folder,
                    access,
                },
                Answer::Mailbox(outcome),
            ) => self.selected(&tag, folder, access, outcome),
            (Job::List { tag, list }, Answer::Folders(Ok((folders, subscribed)))) => {
                self.list(tag, &list, &folders, &subscribed);
            }
            (
                Job::ListStatus {
                    tag,
                    items,
                    current,
                    left,
                },
                Answer::Status(counts),
            ) => {
                // RFC 5819 §2: a folder that cannot be counted has no STATUS.
                if let Ok(counts) = counts {
                    self.write_status(&current, &items, &counts);
                }
                self.next_status(tag, items, left);
            }
            (Job::Status { tag, folder, items }, Answer::Status(outcome)) => match outcome {
                Ok(counts) => {
                    self.write_status(&folder, &items, &counts);
                    self.finish(&tag, "OK STATUS done");
                }
                Err(refusal) => self.refuse(&tag, refusal),
            },
            (Job::Quota { tag, root_of }, Answer::Quota(Ok(quota))) => {
                self.quota(&tag, root_of.as_ref(), quota);
            }
            (Job::Change { tag, done }, Answer::Done(Ok(()))) => self.finish(&tag, done),
            (Job::List { tag, .. }, Answer::Folders(Err(refusal)))
            | (Job::Quota { tag, .. }, Answer::Quota(Err(refusal)))
            | (Job::Change { tag, .. }, Answer::Done(Err(refusal))) => self.refuse(&tag, refusal),
            (job, answer) => unreachable!("{answer:?} for {job:?}"),
        }
    }

    fn selected(
        &mut self,
        tag: &str,
        folder: FolderName,
        access: Access,
        outcome: Result<Snapshot, Refusal>,
    ) {
        self.kept = None;
        let user = match std::mem::replace(&mut self.phase, Phase::Guest) {
            Phase::User(user) | Phase::Selected(user, _) => user,
            // A session that ended meanwhile stays ended.
            over => {
                self.phase = over;
                return;
            }
        };
        match outcome {
            // RFC 3501 §6.3.1: a SELECT that fails leaves nothing selected.
            Err(refusal) => {
                self.phase = Phase::User(user);
                self.refuse(tag, refusal);
            }
            Ok(snapshot) => self.enter_folder(tag, user, folder, access, snapshot),
        }
    }

    fn enter_folder(
        &mut self,
        tag: &str,
        user: User,
        folder: FolderName,
        access: Access,
        snapshot: Snapshot,
    ) {
        let (uid_validity, uid_next) = (snapshot.uid_validity, snapshot.uid_next);
        let unseen = snapshot
            .messages
            .iter()
            .position(|entry| !entry.flags.has(SystemFlag::Seen));
        let view = View::new(folder, access, snapshot);
        self.line(format_args!("* {} EXISTS", view.exists()));
        self.line(format_args!("* {} RECENT", view.recent()));
        view.write_keywords(&mut self.output);
        if let Some(at) = unseen {
            self.line(format_args!("* OK [UNSEEN {}] first unseen", at + 1));
        }
        self.line(format_args!(
            "* OK [UIDVALIDITY {uid_validity}] UIDs are valid"
        ));
        self.line(format_args!("* OK [UIDNEXT {uid_next}] next UID"));
        self.phase = Phase::Selected(user, Box::new(view));
        self.finish_telling(
            tag,
            match access {
                Access::ReadWrite => "OK [READ-WRITE] SELECT done",
                Access::ReadOnly => "OK [READ-ONLY] EXAMINE done",
            },
            Expunges::Kept,
        );
    }

    fn list(
        &mut self,
        tag: String,
        list: &List,
        folders: &[FolderName],
        subscribed: &[FolderName],
    ) {
        if !list.lsub && list.patterns.iter().all(Vec::is_empty) {
            // RFC 3501 §6.3.8: what is the separator?
            self.line(format_args!("* LIST (\\Noselect) \".\" \"\""));
            return self.finish(&tag, "OK LIST done");
        }
        let folders: BTreeSet<FolderName> = folders
            .iter()
            .cloned()
            .chain([FolderName::inbox()])
            .collect();
        let subscribed: BTreeSet<FolderName> = subscribed.iter().cloned().collect();
        let known = Known {
            folders,
            subscribed,
        };
        // Parents that do not exist are named when a pattern wants them.
        let mut names: BTreeMap<FolderName, bool> = known
            .folders
            .union(&known.subscribed)
            .filter(|name| known.is_selected(list, name))
            .map(|name| (name.clone(), true))
            .collect();
        if list.lsub || list.recursive_match || !list.only_subscribed && !list.only_special {
            let selected: Vec<FolderName> = names.keys().cloned().collect();
            for parent in selected.iter().flat_map(FolderName::ancestors) {
                names.entry(parent).or_insert(false);
            }
        }
        let patterns: Vec<Vec<u8>> = list
            .patterns
            .iter()
            .map(|pattern| self.internal(&[list.reference.as_slice(), pattern].concat()))
            .collect();
        let matched: BTreeSet<&FolderName> = names
            .keys()
            .filter(|name| patterns.iter().any(|p| folder::matches(p, name)))
            .collect();
        let mut listed = Vec::new();
        for &name in &matched {
            let is_selected = names[name];
            // There is something below that the patterns do not show.
            let hides = names
                .range(name.clone()..)
                .take_while(|(other, _)| other.as_str().starts_with(name.as_str()))
                .any(|(other, &selected)| {
                    selected && other.is_below(name) && !matched.contains(other)
                });
            // RFC 5258 §3.5, RFC 3501 §6.3.9: only then a folder that was not
            // asked for is named.
            let for_children = list.lsub || list.recursive_match;
            if for_children && !is_selected && !hides {
                continue;
            }
            let attributes = known.attributes(list, name, is_selected);
            let kind = if list.lsub { "LSUB" } else { "LIST" };
            let shown = self.shown(name);
            let children = match (hides && list.recursive_match, list.only_subscribed) {
                (false, _) => "",
                (true, true) => " (\"CHILDINFO\" (\"SUBSCRIBED\"))",
                (true, false) => " (\"CHILDINFO\" (\"SPECIAL-USE\"))",
            };
            self.line(format_args!(
                "* {kind} ({attributes}) \".\" {shown}{children}"
            ));
            if known.folders.contains(name) {
                listed.push(name.clone());
            }
        }
        let left = match list.return_status.is_empty() {
            true => VecDeque::new(),
            false => listed.into(),
        };
        self.next_status(tag, list.return_status.clone(), left);
    }

    /// Goes on with LIST-STATUS, or ends the LIST.
    fn next_status(&mut self, tag: String, items: Vec<StatusItem>, mut left: VecDeque<FolderName>) {
        match left.pop_front() {
            None => self.finish(&tag, "OK LIST done"),
            Some(current) => {
                let question = Question::Status(current.clone());
                let job = Job::ListStatus {
                    tag,
                    items,
                    current,
                    left,
                };
                self.ask(SessionJob::Folders(job), question);
            }
        }
    }

    fn write_status(&mut self, folder: &FolderName, items: &[StatusItem], counts: &Counts) {
        let items: Vec<String> = items
            .iter()
            .map(|item| match item {
                StatusItem::Messages => format!("MESSAGES {}", counts.messages),
                StatusItem::Recent => format!("RECENT {}", counts.recent),
                StatusItem::UidNext => format!("UIDNEXT {}", counts.uid_next),
                StatusItem::UidValidity => format!("UIDVALIDITY {}", counts.uid_validity),
                StatusItem::Unseen => format!("UNSEEN {}", counts.unseen),
                StatusItem::Size => format!("SIZE {}", counts.size),
                StatusItem::Deleted => format!("DELETED {}", counts.deleted),
            })
            .collect();
        let (shown, items) = (self.shown(folder), items.join(" "));
        self.line(format_args!("* STATUS {shown} ({items})"));
    }

    /// RFC 9208 §4.1: STORAGE is in units of 1024 bytes.
    fn quota(&mut self, tag: &str, root_of: Option<&FolderName>, quota: Quota) {
        let done = match root_of {
            Some(folder) => {
                let shown = self.shown(folder);
                self.line(format_args!("* QUOTAROOT {shown} \"{QUOTA_ROOT}\""));
                "OK GETQUOTAROOT done"
            }
            None => "OK GETQUOTA done",
        };
        let mut resources = Vec::new();
        if let Some(max) = quota.bytes_max {
            let used = quota.bytes.div_ceil(1024);
            resources.push(format!("STORAGE {used} {}", max.div_ceil(1024)));
        }
        if let Some(max) = quota.messages_max {
            resources.push(format!("MESSAGE {} {max}", quota.messages));
        }
        let resources = resources.join(" ");
        self.line(format_args!("* QUOTA \"{QUOTA_ROOT}\" ({resources})"));
        self.finish(tag, done);
    }

    /// A name as this client reads it.
    fn shown(&self, name: &FolderName) -> String {
        match self.utf8 {
            true => format!(
                "\"{}\"",
                name.to_utf8().replace('\\', "\\\\").replace('"', "\\\"")
            ),
            false => write::astring(name.as_str().as_bytes()),
        }
    }

    /// A pattern as names are kept.
    fn internal(&self, pattern: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(pattern) {
            Ok(text) if !text.is_ascii() => folder::encode_utf7(text).into_bytes(),
            _ => pattern.to_vec(),
        }
    }
}

/// The folders of a user.
struct Known {
    folders: BTreeSet<FolderName>,
    subscribed: BTreeSet<FolderName>,
}

impl Known {
    /// Whether a LIST asks for a folder, whatever its patterns.
    fn is_selected(&self, list: &List, name: &FolderName) -> bool {
        let exists = self.folders.contains(name);
        let base = match list.only_subscribed {
            true => self.subscribed.contains(name),
            false => exists,
        };
        base && (!list.only_special || exists && name.special_use().is_some())
    }

    fn attributes(&self, list: &List, name: &FolderName, is_selected: bool) -> String {
        let exists = self.folders.contains(name);
        let mut attributes = Vec::new();
        if list.lsub {
            // RFC 3501 §6.3.9: only its children are subscribed to.
            if !is_selected {
                attributes.push("\\Noselect");
            }
        } else if !exists {
            attributes.push("\\NonExistent");
            if !list.extended {
                // Who knows the one knows that it implies the other.
                attributes.push("\\Noselect");
            }
        }
        if !list.lsub {
            // Names that begin alike stand together.
            let has_children = self
                .folders
                .range(name.clone()..)
                .take_while(|other| other.as_str().starts_with(name.as_str()))
                .any(|other| other.is_below(name));
            attributes.push(match has_children {
                true => "\\HasChildren",
                false => "\\HasNoChildren",
            });
            attributes.extend(name.special_use().filter(|_| exists));
            if list.return_subscribed && self.subscribed.contains(name) {
                attributes.push("\\Subscribed");
            }
        }
        attributes.join(" ")
    }
}
