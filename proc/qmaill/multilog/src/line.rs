//! Lines: stamped, matched, and sent where they belong, in bounded memory.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use tai::{Label, UnixTime};

use crate::action::{Action, Script};
use crate::pattern::matches;

/// How much of a line is matched; all of it is logged.
const MATCHED_BYTES_MAX: usize = 1000;
/// How much of a line goes to stderr.
const STDERR_BYTES_MAX: usize = 200;
/// Size of a status file.
const STATUS_BYTES: usize = 1001;

/// The line that is arriving, and the script.
#[derive(Debug)]
pub struct Lines {
    script: Script,
    /// The start of the line, with its stamp, until it is matched.
    head: Vec<u8>,
    /// For each action whether the line goes there, once that is known.
    chosen: Option<Vec<bool>>,
    at_start: bool,
}

impl Lines {
    /// Nothing has arrived yet.
    pub fn new(script: Script) -> Self {
        Self {
            script,
            head: Vec::new(),
            chosen: None,
            at_start: true,
        }
    }

    /// Takes bytes as they arrive; what is complete is written when this
    /// returns.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.at_start {
                self.start_line();
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.add(part);
            if end.is_some() {
                self.end_line();
            }
            bytes = rest.get(usize::from(end.is_some())..).unwrap_or_default();
        }
        self.each_log(|log| log.flush());
    }

    /// The end of the input: a line without its newline gets one.
    pub fn finish(&mut self) {
        if !self.at_start {
            self.end_line();
        }
        self.each_log(|log| log.close());
    }

    /// Rotates every directory.
    pub fn rotate_now(&mut self) {
        self.each_log(|log| log.rotate_unless_empty());
    }

    /// Rotates the directories whose time has come.
    pub fn rotate_due(&mut self) {
        self.each_log(|log| log.rotate_if_due());
    }

    /// How long no rotation is due.
    pub fn wait_max(&self) -> Option<Duration> {
        let logs = self
            .script
            .actions()
            .iter()
            .filter_map(|action| match action {
                Action::Log(log) => log.wait_max(),
                _ => None,
            });
        logs.min()
    }

    /// Says whether no line has begun.
    pub fn at_line_start(&self) -> bool {
        self.at_start
    }

    fn start_line(&mut self) {
        self.at_start = false;
        self.chosen = None;
        self.head.clear();
        if self.script.stamps() {
            let (seconds, nanoseconds) = os::clock::now();
            let label = Label(UnixTime {
                seconds,
                nanoseconds,
            });
            self.head.extend_from_slice(format!("{label} ").as_bytes());
        }
    }

    fn add(&mut self, part: &[u8]) {
        let mut part = part;
        if self.chosen.is_none() {
            let room = MATCHED_BYTES_MAX
                .saturating_sub(self.head.len())
                .min(part.len());
            self.head.extend_from_slice(&part[..room]);
            part = &part[room..];
            if part.is_empty() {
                return;
            }
            self.choose(Rest::Follows);
        }
        self.append(part);
    }

    fn end_line(&mut self) {
        if self.chosen.is_none() {
            self.choose(Rest::None);
        }
        self.append(b"\n");
        let chosen = self.chosen.take().unwrap_or_default();
        for (action, _) in self
            .script
            .actions_mut()
            .iter_mut()
            .zip(chosen)
            .filter(|(_, to)| *to)
        {
            if let Action::Log(log) = action {
                log.end_line();
            }
        }
        self.at_start = true;
    }

    /// Goes through the script with the start of the line.
    fn choose(&mut self, rest: Rest) {
        let mut selected = true;
        let mut chosen = Vec::with_capacity(self.script.actions().len());
        let head = &self.head;
        for action in self.script.actions_mut() {
            match action {
                Action::Select(pattern) => selected |= matches(pattern, head),
                Action::Deselect(pattern) => selected &= !matches(pattern, head),
                Action::Stderr if selected => to_stderr(head, rest),
                Action::Status(path, file) if selected => {
                    if let Err(error) = to_status(file, head) {
                        let text = format!("unable to write {}: {error}", path.display());
                        run::warn(crate::PROGRAM, &text);
                    }
                }
                Action::Log(log) if selected => log.write(head),
                _ => {}
            }
            chosen.push(selected && matches!(action, Action::Log(_)));
        }
        self.chosen = Some(chosen);
    }

    fn append(&mut self, bytes: &[u8]) {
        let chosen = self.chosen.as_deref().unwrap_or_default();
        for (action, to) in self.script.actions_mut().iter_mut().zip(chosen) {
            if let (Action::Log(log), true) = (action, to) {
                log.write(bytes);
            }
        }
    }

    fn each_log(&mut self, work: impl Fn(&mut crate::directory::Directory)) {
        for action in self.script.actions_mut() {
            if let Action::Log(log) = action {
                work(log);
            }
        }
    }
}

/// Is the line longer than what was matched?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rest {
    None,
    Follows,
}

fn to_stderr(head: &[u8], rest: Rest) {
    let mut out = head[..head.len().min(STDERR_BYTES_MAX)].to_vec();
    if STDERR_BYTES_MAX < head.len() || rest == Rest::Follows {
        out.extend_from_slice(b"...");
    }
    out.push(b'\n');
    // Nobody is left to tell when this fails.
    let _ = std::io::stderr().write_all(&out);
}

fn to_status(file: &mut std::fs::File, head: &[u8]) -> std::io::Result<()> {
    let mut content = head.to_vec();
    content.resize(STATUS_BYTES, b'\n');
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&content)
}
