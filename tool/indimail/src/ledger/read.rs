//! The logs as one stream of lines in order of time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use wire::trace::Event;

/// Length of the label multilog puts before a line, with the space.
const LABEL_BYTES: usize = 26;

/// A line of one of the logs.
#[derive(Debug)]
pub enum Line {
    /// A trace event.
    Event(Box<Event>),
    /// A line of a qmail-send, and which log it is in.
    Send {
        /// Its number.
        log: usize,
        /// Without the label.
        text: String,
    },
    /// A line of a qmail-smtpd, without the label.
    Smtp(String),
}

/// What a log directory has in it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Trace,
    Send(usize),
    Smtp,
}

/// All logs.
#[derive(Debug)]
pub struct Merged(Vec<Log>);

/// The files of one log directory, old ones first.
#[derive(Debug)]
struct Log {
    kind: Kind,
    files: VecDeque<PathBuf>,
    input: Option<BufReader<File>>,
    next: Option<(f64, Line)>,
}

impl Merged {
    /// Opens the trace log and those of qmail-send and qmail-smtpd. A log
    /// that does not exist is empty.
    pub fn open(trace: &Path, send: &[PathBuf], smtp: &[PathBuf]) -> io::Result<Self> {
        let mut logs = vec![Log::open(trace, Kind::Trace)?];
        for (number, directory) in send.iter().enumerate() {
            logs.push(Log::open(directory, Kind::Send(number))?);
        }
        for directory in smtp {
            logs.push(Log::open(directory, Kind::Smtp)?);
        }
        for log in &mut logs {
            log.advance()?;
        }
        Ok(Self(logs))
    }

    /// The next line of all, with its Unix time.
    pub fn next_line(&mut self) -> io::Result<Option<(f64, Line)>> {
        let times = self.0.iter_mut().filter(|log| log.next.is_some());
        let first = times.min_by(|a, b| {
            let time = |log: &Log| log.next.as_ref().map_or(f64::MAX, |(time, _)| *time);
            time(a).total_cmp(&time(b))
        });
        let Some(log) = first else { return Ok(None) };
        let line = log.next.take();
        log.advance()?;
        Ok(line)
    }
}

impl Log {
    fn open(directory: &Path, kind: Kind) -> io::Result<Self> {
        let files = match run::story::log_files(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            files => files.map_err(|error| named(directory, &error))?,
        };
        Ok(Self {
            kind,
            files: files.into(),
            input: None,
            next: None,
        })
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        let mut line = Vec::new();
        while self.next.is_none() {
            let Some(input) = &mut self.input else {
                let Some(path) = self.files.pop_front() else {
                    return Ok(());
                };
                match os::beneath::read(&path) {
                    Ok(file) => self.input = Some(BufReader::with_capacity(1 << 16, file)),
                    // multilog may just have removed or renamed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(named(&path, &error)),
                }
                continue;
            };
            if !run::story::read_line(input, &mut line)? {
                self.input = None;
            } else if line.ends_with(b"\n") {
                self.next = self.parse(&line);
            }
        }
        Ok(())
    }

    fn parse(&self, line: &[u8]) -> Option<(f64, Line)> {
        if let Kind::Trace = self.kind {
            let event = run::story::parse_event(line)?;
            return Some((event.time, Line::Event(Box::new(event))));
        }
        let label = tai::Label::parse(line).ok()?.0;
        let time = label.seconds as f64 + f64::from(label.nanoseconds) / 1e9;
        let text = std::str::from_utf8(line.get(LABEL_BYTES..)?).ok()?;
        let text = text.trim_end_matches('\n').to_owned();
        let line = match self.kind {
            Kind::Send(log) => Line::Send { log, text },
            Kind::Trace | Kind::Smtp => Line::Smtp(text),
        };
        Some((time, line))
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot read {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tai::{Label, UnixTime};
    use wire::trace::{Kind, TraceId};

    fn labelled(seconds: i64, text: &str) -> String {
        let label = Label(UnixTime {
            seconds,
            nanoseconds: 0,
        });
        format!("{label} {text}\n")
    }

    #[test]
    fn several_logs_in_several_files_are_one_stream() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["trace", "deliver.25", "smtpd.25"];
        let [trace, send, smtp] = names.map(|name| directory.path().join(name));
        std::fs::create_dir(&smtp).unwrap();
        std::fs::write(smtp.join("current"), labelled(4, "said")).unwrap();
        std::fs::create_dir_all(&trace).unwrap();
        std::fs::create_dir_all(&send).unwrap();
        let event = |time| {
            let event = Event::new(TraceId::new(1, 1), time, "test", 1, Kind::Queued);
            labelled(9, &serde_json::to_string(&event).unwrap())
        };
        std::fs::write(
            trace.join("current"),
            event(2.5) + "rubbish\n" + &event(5.5),
        )
        .unwrap();
        let old = send.join("@4000000038c3eeb027f41c7c.s");
        std::fs::write(old, labelled(1, "new msg 1")).unwrap();
        let current = labelled(3, "end msg 1") + &labelled(6, "x") + "@4000";
        std::fs::write(send.join("current"), current).unwrap();
        let mut merged =
            Merged::open(&trace, &[send, directory.path().join("no")], &[smtp]).unwrap();
        let mut seen = Vec::new();
        while let Some((time, line)) = merged.next_line().unwrap() {
            seen.push(match line {
                Line::Event(_) => format!("{time} event"),
                Line::Send { log, text } => format!("{time} {log} {text}"),
                Line::Smtp(text) => format!("{time} {text}"),
            });
        }
        let expected = [
            "1 0 new msg 1",
            "2.5 event",
            "3 0 end msg 1",
            "4 said",
            "5.5 event",
            "6 0 x",
        ];
        assert_eq!(seen, expected);
    }
}
