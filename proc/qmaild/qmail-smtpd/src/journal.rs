//! Log lines and trace events. Neither makes a session wait: mail is more
//! important than what is written about it.

use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use run::{Home, Tracer};
use smtp::server::Note;
use wire::trace::TraceId;

use crate::PROGRAM;

/// Lines that may wait for a slow log; further ones are lost.
const LINES_MAX: usize = 10_000;
/// How long the last lines are waited for.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// How often a collector that was away is looked for.
const TRACER_AGE_MAX: Duration = Duration::from_secs(10);
/// Longest foreign text in an event.
const TEXT_BYTES_MAX: usize = 1024;
/// Most recipients named in one event.
const RECIPIENTS_MAX: usize = 100;

/// What the writing thread is told.
#[derive(Debug)]
enum Word {
    Line(String),
    /// Everything before is written; say so.
    Finish(SyncSender<()>),
}

/// Where lines and events go.
#[derive(Debug)]
pub struct Journal {
    home: Home,
    lines: SyncSender<Word>,
    tracer: Mutex<(Instant, Tracer)>,
}

impl Journal {
    /// Starts the thread that writes.
    pub fn new(home: &Home) -> Self {
        let (lines, waiting) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            let mut stderr = std::io::stderr();
            for word in waiting {
                match word {
                    // When even the log is gone there is nobody left to tell.
                    Word::Line(line) => drop(stderr.write_all(line.as_bytes())),
                    Word::Finish(done) => drop(done.send(())),
                }
            }
        });
        Self {
            home: home.clone(),
            lines,
            tracer: Mutex::new((Instant::now(), Tracer::connect(home, PROGRAM))),
        }
    }

    /// A line of the session with this number.
    pub fn session(&self, number: u64, ip: &str, text: &str) {
        self.line(&format!("{PROGRAM}: pid {number} from {ip} {text}"));
    }

    /// A line as it is, made printable.
    pub fn line(&self, text: &str) {
        let mut line: String = text
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        line.push('\n');
        let _ = self.lines.try_send(Word::Line(line));
    }

    /// Waits a moment until all lines are written.
    pub fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Word::Finish(done)).is_ok() {
            let _ = written.recv_timeout(FINISH_MAX);
        }
    }

    /// Tells that a message that was taken went nowhere, by a rule.
    pub fn discarded(&self, trace: TraceId, rule: &str) {
        self.tracer().1.discarded(trace, rule);
    }

    /// The way to the collector.
    fn tracer(&self) -> MutexGuard<'_, (Instant, Tracer)> {
        let mut tracer = self.tracer.lock().unwrap_or_else(|dead| dead.into_inner());
        if TRACER_AGE_MAX < tracer.0.elapsed() {
            *tracer = (Instant::now(), Tracer::connect(&self.home, PROGRAM));
        }
        tracer
    }

    /// Sends a trace event about a message from this client.
    pub fn event(&self, note: &Note, ip: &str) {
        let printable = |bytes: &[u8]| text::log::printable(bytes, TEXT_BYTES_MAX);
        let tracer = self.tracer();
        let mut event = tracer.1.event(note.trace, note.kind);
        event.sender = Some(printable(&note.sender));
        event.recipients = note
            .recipients
            .iter()
            .take(RECIPIENTS_MAX)
            .map(|recipient| printable(recipient))
            .collect();
        event.bytes = note.bytes;
        event.place = Some(ip.to_owned());
        event.text = Some(printable(note.text.as_bytes()));
        tracer.1.send(&event);
    }
}
