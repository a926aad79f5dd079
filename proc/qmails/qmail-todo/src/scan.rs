//! The loop: wait for the trigger, find what is new, preprocess it in
//! batches, tell qmail-send.
//!
//! Order within a batch, as the crate `queue` has it: write the files, sync
//! them, have `todo` removed, tell qmail-send. Whatever crash comes between
//! two of these, the next scan or the next start of qmail-send finds every
//! message.
//!
//! A message with one recipient is told to qmail-send and stays in `todo`
//! until qmail-send says how its first try ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use address::Routing;
use queue::{Disk, Durability, FileSystem, Found, How, Layout, Room, Sorted};
use run::{Batch, Home, Settings, Tracer};
use schedule::Lines;
use text::log::safe;
use wire::clean::{Answer, Command};
use wire::todo::{Channels, Message, Order, PutBack, append};
use wire::trace::{Kind, TraceId};

use crate::controls;
use crate::orders::{Orders, Ready};
use crate::singles::Singles;
use crate::troubled::Troubled;

/// A message with its files on disk.
type OnDisk = Sorted<DiskFile>;
type DiskFile = <Disk as FileSystem>::File;

/// Messages preprocessed together. The more wait, the more share a sync.
const BATCH_MESSAGES_MAX: usize = 512;
/// A scan without a trigger, in case one was lost.
const SCAN_SECONDS: i64 = 1500;

/// The other processes.
#[derive(Debug)]
pub struct Pipes {
    /// Orders.
    pub from_send: Orders,
    /// Messages.
    pub to_send: File,
    /// Commands.
    pub to_clean: File,
    /// Answers.
    pub from_clean: File,
    /// What is locked while this or a qmail-clean of this queue lives.
    pub lock: Option<File>,
}

/// Everything qmail-todo knows.
pub struct Todo {
    home: Home,
    layout: Layout,
    durability: Durability,
    disk: Disk,
    routing: Routing,
    interval: Option<i64>,
    lines: Lines,
    pipes: Pipes,
    events: Batch,
    trigger: Option<File>,
    troubled: Troubled,
    singles: Singles,
    /// What is in `todo` may be left from another process.
    is_first_scan: bool,
    output: Vec<u8>,
    is_exiting: bool,
    /// qmail-send starts nothing new.
    is_detached: bool,
}

impl Todo {
    /// Reads the control files.
    pub fn new(
        home: Home,
        layout: Layout,
        durability: Durability,
        pipes: Pipes,
        tracer: Tracer,
    ) -> Result<Self, controls::Error> {
        let settings = Settings::of_process(&home);
        let unreadable = |source| run::SettingError {
            path: layout.root().to_owned(),
            source,
        };
        Ok(Self {
            routing: controls::routing(&settings)?,
            interval: controls::scan_interval(&settings)?,
            lines: controls::lines(&settings, &layout.name()),
            disk: Disk::synced_as_a_whole(&layout).map_err(unreadable)?,
            home,
            layout,
            durability,
            pipes,
            events: Batch::new(tracer),
            trigger: None,
            troubled: Troubled::default(),
            singles: Singles::default(),
            is_first_scan: true,
            output: Vec::new(),
            is_exiting: false,
            is_detached: false,
        })
    }

    /// Works until qmail-send says exit, or is gone.
    pub fn run(mut self) -> io::Result<()> {
        if !self.pipes.from_send.wait_for_start()? {
            return Ok(());
        }
        // A qmail-todo whose qmail-send was killed may still be at work, and
        // so may its qmail-clean: what they remove must not be what this one
        // has begun to write again.
        if let Some(file) = self.pipes.lock.take() {
            // Never unlocked: it lasts until all who share it have ended.
            std::mem::forget(os::file::lock(file)?);
        }
        let mut next_scan = 0;
        let mut is_triggered = true;
        while !self.is_exiting {
            let now = os::clock::unix_seconds();
            // The clock may have been set back.
            next_scan = next_scan.min(now + SCAN_SECONDS);
            let earliest = next_scan - SCAN_SECONDS + self.interval.unwrap_or(0);
            let may_scan = self.interval.is_none() || earliest <= now;
            if next_scan <= now || (is_triggered && may_scan) {
                self.scan()?;
                is_triggered = false;
                next_scan = os::clock::unix_seconds() + SCAN_SECONDS;
            } else {
                let until = if is_triggered {
                    earliest
                } else {
                    self.next_try(next_scan)
                };
                let wait = Duration::from_secs((until - now).max(0).unsigned_abs());
                let trigger = self.trigger.as_ref().filter(|_| !is_triggered);
                let Ready {
                    has_orders,
                    is_triggered: was_pulled,
                } = self.pipes.from_send.wait(wait, trigger)?;
                if has_orders {
                    self.take_orders()?;
                }
                let is_trouble_over = self.next_try(i64::MAX) <= os::clock::unix_seconds();
                is_triggered |= was_pulled || is_trouble_over;
            }
        }
        self.log(&self.lines.other("status: qmail-todo stop processing asap"));
        self.log(&self.lines.other("status: qmail-todo exiting"));
        append(&mut self.output, &Message::Exiting);
        self.flush()
    }

    /// Does what qmail-send ordered up to now.
    fn take_orders(&mut self) -> io::Result<()> {
        let mut put_back = Vec::new();
        for order in self.pipes.from_send.take()? {
            match order {
                Some(Order::Exit) => self.is_exiting = true,
                Some(Order::Reread) => self.reread(),
                Some(Order::Start) => {}
                Some(Order::Detach) => self.is_detached = true,
                Some(Order::Attach) => self.is_detached = false,
                Some(Order::Ended(id)) => self.singles.end(id),
                Some(Order::PutBack(message)) => {
                    self.singles.end(message.id);
                    let how = How {
                        put_back: Some(message),
                        ..How::default()
                    };
                    put_back.push((message.id, how));
                }
                None => self.log(&self.lines.warning("qmail-send speaks an obscure dialect")),
            }
        }
        self.preprocess(put_back)
    }

    /// Reads the control files again; what made trouble is tried again too.
    fn reread(&mut self) {
        self.troubled.hurry(os::clock::unix_seconds());
        let settings = Settings::of_process(&self.home);
        match controls::routing(&settings) {
            Ok(routing) => self.routing = routing,
            Err(controls::Error::Setting(error)) => self.unable_to_reread(&error.path),
            Err(controls::Error::NoLocals) => {
                let locals = self.home.control().join("locals");
                self.unable_to_reread(&locals);
            }
        }
        match controls::scan_interval(&settings) {
            Ok(interval) => self.interval = interval,
            Err(error) => self.unable_to_reread(&error.path),
        }
        match Durability::configured(&settings) {
            Ok(durability) => self.durability = durability,
            Err(error) => self.unable_to_reread(&error.path),
        }
    }

    fn unable_to_reread(&mut self, path: &Path) {
        let text = format!("unable to reread {}", path.display());
        self.log(&self.lines.alert(&text));
    }

    /// Looks through `todo` once.
    fn scan(&mut self) -> io::Result<()> {
        // Close and reopen first: a pull from now on causes another scan.
        self.trigger = None;
        self.trigger = match os::file::open_fifo_read(&self.layout.lock("trigger")) {
            Ok(fifo) => Some(fifo),
            Err(error) => {
                self.log(
                    &self
                        .lines
                        .warning(&format!("unable to open lock/trigger: {error}")),
                );
                None
            }
        };
        let mut batch = Vec::new();
        for directory in self.layout.directories("todo") {
            let found = match self.disk.list(&directory) {
                Ok(found) => found,
                Err(error) => {
                    let directory = directory.display();
                    self.log(
                        &self
                            .lines
                            .alert(&format!("unable to opendir {directory}: {error}")),
                    );
                    continue;
                }
            };
            // The number of a single message that ended may be that of
            // another by now. The order came before it could be given away,
            // so it is among those that are there.
            if !found.is_empty() {
                self.take_orders()?;
            }
            for id in found {
                if self.is_exiting {
                    return Ok(());
                }
                if self.is_to_be_left(id, &directory) {
                    continue;
                }
                batch.push((id, self.how(id)));
                if batch.len() == BATCH_MESSAGES_MAX {
                    self.preprocess(std::mem::take(&mut batch))?;
                }
            }
        }
        self.preprocess(batch)?;
        self.is_first_scan = false;
        // What was not met again is gone or done.
        self.troubled.expire(os::clock::unix_seconds());
        Ok(())
    }

    /// Says whether a file of `todo` is not for now.
    fn is_to_be_left(&mut self, id: u64, directory: &Path) -> bool {
        if self.singles.contains(id) || self.troubled.is_left(id, os::clock::unix_seconds()) {
            return true;
        }
        let path = self.layout.todo(id);
        if path.parent() != Some(directory) {
            let path = directory.join(id.to_string());
            let text = format!("{} is in the wrong place; run queue-fix", path.display());
            self.trouble(id, &text, None);
            return true;
        }
        false
    }

    fn how(&self, id: u64) -> How {
        let troubled = self.troubled.get(id);
        let put_back = troubled.and_then(|troubled| troubled.put_back);
        How {
            is_again: self.is_first_scan || troubled.is_some(),
            room: Room::default(),
            put_back,
        }
    }

    fn preprocess(&mut self, messages: Vec<(u64, How)>) -> io::Result<()> {
        let (mut batch, mut ended) = (queue::Batch::default(), Vec::new());
        for (id, mut how) in messages {
            if how.put_back.is_none() && !self.is_detached {
                how.room = self.singles.room();
            }
            match queue::sort(&self.disk, &self.layout, &self.routing, id, how) {
                Ok(Found::Message(mut sorted)) => {
                    // It was told, and logged, before.
                    if how.put_back.is_none() {
                        self.introduce(&sorted);
                    }
                    match sorted.single.take() {
                        Some(single) => {
                            self.troubled.remove(id);
                            self.singles.begin(&single);
                            self.trace(&sorted);
                            append(&mut self.output, &Message::Single(single));
                        }
                        None => batch.push(*sorted),
                    }
                }
                Ok(Found::Nothing) => {}
                Ok(Found::Ended) if self.is_first_scan => ended.push(id),
                Ok(Found::Ended) => {
                    let mess = self.layout.mess(id);
                    let text = format!("unable to stat {}: it is gone", mess.display());
                    self.trouble(id, &text, None);
                }
                Err(error) => self.trouble(id, &error.to_string(), how.put_back),
            }
        }
        self.remove_ended(&ended)?;
        if batch.is_empty() {
            return self.flush();
        }
        match batch.sync(&self.disk, &self.layout, self.durability) {
            Ok(synced) => self.commit(synced),
            Err(queue::Unsynced { messages, source }) => {
                for sorted in messages {
                    let text = format!("trouble fsyncing info/{}: {source}", sorted.id);
                    self.trouble(sorted.id, &text, sorted.put_back);
                }
                self.flush()
            }
        }
    }

    /// Envelopes of messages that ended before a crash.
    fn remove_ended(&mut self, ended: &[u64]) -> io::Result<()> {
        for (id, answer) in ended
            .iter()
            .zip(self.clean(ended.iter().map(|id| Command::Todo(*id)))?)
        {
            let text = match answer {
                Answer::Done => format!("message {id} ended before a crash; removed its envelope"),
                _ => format!("qmail-clean unable to clean up todo/{id}"),
            };
            self.log(&self.lines.warning(&text));
        }
        Ok(())
    }

    /// Has envelopes removed.
    fn clean(&mut self, commands: impl Iterator<Item = Command>) -> io::Result<Vec<Answer>> {
        let commands: Vec<_> = commands.map(|command| command.to_bytes()).collect();
        self.pipes.to_clean.write_all(&commands.concat())?;
        let mut answers = vec![0; commands.len()];
        self.pipes.from_clean.read_exact(&mut answers)?;
        Ok(answers.into_iter().map(Answer::from_byte).collect())
    }

    fn introduce(&mut self, sorted: &OnDisk) {
        let Sorted {
            id, bytes, qp, uid, ..
        } = *sorted;
        let lines = [
            self.lines.new_message(id),
            self.lines.info(id, bytes, &sorted.info.sender, qp, uid),
        ];
        lines.iter().for_each(|line| self.log(line));
    }

    /// Has the envelopes removed and tells qmail-send.
    fn commit(&mut self, batch: queue::Synced<DiskFile>) -> io::Result<()> {
        let answers = self.clean(batch.commands())?;
        for (sorted, answer) in batch.into_messages().into_iter().zip(answers) {
            let id = sorted.id;
            if answer == Answer::Done {
                self.troubled.remove(id);
                if sorted.put_back.is_none() {
                    self.trace(&sorted);
                }
                let channels = sorted.channels;
                let due = sorted.put_back.map(|put_back| put_back.due);
                append(&mut self.output, &Message::New { channels, id, due });
            } else {
                let text = format!("qmail-clean unable to clean up todo/{id}");
                self.trouble(id, &text, sorted.put_back);
            }
        }
        self.flush()
    }

    fn trace(&mut self, sorted: &OnDisk) {
        let Some(trace) = TraceId::from_headers(&sorted.info.env_headers) else {
            return;
        };
        let mut event = self.events.event(trace, Kind::Preprocessed);
        event.queue = Some(self.layout.name());
        event.message = Some(sorted.id);
        event.sender = Some(safe(&sorted.info.sender));
        event.recipients = sorted.recipients.iter().map(|r| safe(r)).collect();
        event.bytes = Some(sorted.bytes);
        event.channel = match sorted.channels {
            Channels::Local => Some("local".to_owned()),
            Channels::Remote => Some("remote".to_owned()),
            Channels::Both => Some("both".to_owned()),
            Channels::Neither => None,
        };
        self.events.add(&event);
    }

    /// Logs trouble with a message and leaves it alone for a while, longer
    /// each time.
    fn trouble(&mut self, id: u64, text: &str, put_back: Option<PutBack>) {
        let text = format!("{text}; will try again later");
        self.log(&self.lines.warning(&text));
        self.troubled.add(id, put_back, os::clock::unix_seconds());
    }

    /// When a troubled message is tried again, if that is before `other`.
    fn next_try(&self, other: i64) -> i64 {
        self.troubled.next_try().unwrap_or(other).min(other)
    }

    fn log(&mut self, line: &str) {
        append(
            &mut self.output,
            &Message::Log(format!("{line}\n").into_bytes()),
        );
    }

    /// qmail-send reads all the time, so waiting for it here bounds what it
    /// has not read yet.
    fn flush(&mut self) -> io::Result<()> {
        self.events.flush();
        let output = std::mem::take(&mut self.output);
        self.pipes.to_send.write_all(&output)
    }
}
