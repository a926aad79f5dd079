//! As qmail-todo and qmail-clean do it.

use std::path::Path;

use queue::{Batch, Durability, FileSystem, Found, How, Room};
use wire::clean::Command;
use wire::todo::{Channels, PutBack};

use super::{Engine, QUEUE, TROUBLE_SECONDS};
use schedule::Channel;

impl Engine {
    pub(super) fn scan(&mut self) {
        let Ok(found) = self.model.list(Path::new(&format!("{QUEUE}/todo"))) else {
            // The next trigger, or the next scan, finds them.
            self.troubled
                .insert(0, (self.model.now() + TROUBLE_SECONDS, None));
            return;
        };
        let now = self.model.now();
        let mut messages = Vec::new();
        for id in found {
            let troubled = self.troubled.get(&id);
            if self.told.contains(&id) || troubled.is_some_and(|(until, _)| now < *until) {
                continue;
            }
            let how = How {
                is_again: self.is_first_scan || troubled.is_some(),
                put_back: troubled.and_then(|(_, put_back)| *put_back),
                ..How::default()
            };
            messages.push((id, how));
        }
        self.preprocess(messages);
        self.is_first_scan = false;
        self.troubled.retain(|_, (until, _)| now < *until);
    }

    pub(super) fn put_back(&mut self, id: u64, due: i64, is_done: bool) {
        self.told.remove(&id);
        let how = How {
            put_back: Some(PutBack { id, due, is_done }),
            ..How::default()
        };
        self.preprocess(vec![(id, how)]);
    }

    fn preprocess(&mut self, messages: Vec<(u64, How)>) {
        let mut batch = Batch::default();
        for (id, mut how) in messages {
            if how.put_back.is_none() && self.tells_singles {
                how.room = Room {
                    local: true,
                    remote: true,
                };
            }
            match queue::sort(&self.model, &self.layout, &self.routing, id, how) {
                Ok(Found::Message(mut sorted)) => match sorted.single.take() {
                    Some(single) => {
                        self.troubled.remove(&id);
                        self.told.insert(id);
                        let channel = match single.is_remote {
                            true => Channel::Remote,
                            false => Channel::Local,
                        };
                        self.singles.insert(id, single);
                        self.scheduler.add_new(channel, id, self.model.now());
                    }
                    None => batch.push(*sorted),
                },
                Ok(Found::Nothing) => {}
                Ok(Found::Ended) if self.is_first_scan => {
                    let _ = self.clean(Command::Todo(id));
                }
                Ok(Found::Ended) | Err(_) => self.trouble(id, how.put_back),
            }
        }
        if batch.is_empty() {
            return;
        }
        let synced = match batch.sync(&self.model, &self.layout, Durability::default()) {
            Ok(synced) => synced,
            Err(unsynced) => {
                for sorted in unsynced.messages {
                    self.trouble(sorted.id, sorted.put_back);
                }
                return;
            }
        };
        let answers: Vec<bool> = synced.commands().map(|c| self.clean(c)).collect();
        for (sorted, is_done) in synced.into_messages().into_iter().zip(answers) {
            let (id, put_back) = (sorted.id, sorted.put_back);
            if !is_done {
                self.trouble(id, put_back);
                continue;
            }
            self.troubled.remove(&id);
            let due = put_back.map_or(self.model.now(), |put_back| put_back.due);
            let channels: &[Channel] = match sorted.channels {
                Channels::Local => &[Channel::Local],
                Channels::Remote => &[Channel::Remote],
                Channels::Both => &Channel::ALL,
                Channels::Neither => &[],
            };
            if channels.is_empty() {
                self.scheduler.finish(id, self.model.now());
            }
            for channel in channels {
                self.scheduler.add(*channel, id, due);
            }
        }
    }

    fn trouble(&mut self, id: u64, put_back: Option<PutBack>) {
        let until = self.model.now() + TROUBLE_SECONDS;
        self.troubled.insert(id, (until, put_back));
    }

    /// As qmail-clean answers.
    pub(super) fn clean(&self, command: Command) -> bool {
        queue::clean(&self.model, &self.layout, command).is_ok()
    }

    pub(super) fn sweep_texts(&self) {
        let names = |directory: &str| -> Vec<u64> {
            let directories = self.layout.directories(directory);
            let all = directories.iter().flat_map(|path| self.model.list(path));
            all.flatten().collect()
        };
        let (info, todo) = (names("info"), names("todo"));
        for id in names("mess") {
            if !info.contains(&id) && !todo.contains(&id) {
                self.clean(Command::Message(id));
            }
        }
    }

    pub(super) fn sweep_abandoned(&self) {
        for directory in ["pid", "intd"] {
            let directory = format!("{QUEUE}/{directory}");
            for name in self.model.names_in(&directory) {
                let _ = self.model.unlink(Path::new(&format!("{directory}/{name}")));
            }
        }
    }
}
