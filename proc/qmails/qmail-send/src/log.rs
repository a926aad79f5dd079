//! The log on descriptor 0.

use std::fs::File;
use std::io::Write;

use schedule::Lines;

/// Collects lines and writes them in one piece a turn.
#[derive(Debug)]
pub struct Log {
    file: File,
    pending: Vec<u8>,
    lines: Lines,
}

/// Above this the log is written within a turn.
const PENDING_BYTES_MAX: usize = 64 * 1024;

impl Log {
    /// A log with lines of this form.
    pub fn new(file: File, lines: Lines) -> Self {
        Self {
            file,
            pending: Vec::new(),
            lines,
        }
    }

    /// Changes the form.
    pub fn set_lines(&mut self, lines: Lines) {
        self.lines = lines;
    }

    /// Writes one of the documented lines.
    pub fn line(&mut self, line: impl FnOnce(&Lines) -> String) {
        let line = line(&self.lines);
        self.raw(line.as_bytes());
        self.raw(b"\n");
    }

    /// Something went wrong and will be tried again.
    pub fn warning(&mut self, text: &str) {
        self.line(|lines| lines.warning(text));
    }

    /// Something a person should look at.
    pub fn alert(&mut self, text: &str) {
        self.line(|lines| lines.alert(text));
    }

    /// Text of qmail-todo, with its own newline.
    pub fn raw(&mut self, text: &[u8]) {
        self.pending.extend_from_slice(text);
        if PENDING_BYTES_MAX < self.pending.len() {
            self.flush();
        }
    }

    /// Something waits to be written.
    pub fn has_lines(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what was collected. When the log is gone mail goes on.
    pub fn flush(&mut self) {
        let _ = self.file.write_all(&self.pending);
        self.pending.clear();
    }
}
