//! One client on descriptors 0 and 1, described by the environment, as
//! tcpserver starts a program (smtp-receiving.md §1.4).

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use message::received_text;
use os::signal::Interest;
use run::Settings;
use wire::trace::TraceId;

/// How much is read at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a client that is written down.
const NAME_BYTES_MAX: usize = 255;

/// Who is on the line.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its address; `unknown` without one.
    pub ip: String,
    host: String,
    info: Option<String>,
}

impl Caller {
    /// As the environment says.
    pub fn of(settings: &Settings) -> Self {
        let variable = |name: &str| {
            let value = settings.variable(name)?;
            let text = text::log::printable(value, NAME_BYTES_MAX);
            Some(text).filter(|text| !text.is_empty())
        };
        let unknown = || "unknown".to_owned();
        Self {
            ip: variable("TCPREMOTEIP").map_or_else(unknown, canonical),
            host: variable("TCPREMOTEHOST").unwrap_or_else(unknown),
            info: variable("TCPREMOTEINFO"),
        }
    }

    /// The field that says how the message came here.
    pub fn received(&self, by: &str, protocol: &str, trace: TraceId, now: i64) -> String {
        let info = self.info.as_deref();
        let info = info.map_or(String::new(), |info| received_text(info.as_bytes()) + "@");
        format!(
            "Received: from {} ({info}{})\n  by {} with {protocol} id {trace}; {}\n",
            received_text(self.host.as_bytes()),
            received_text(self.ip.as_bytes()),
            received_text(by.as_bytes()),
            tai::header_date(now),
        )
    }
}

/// A mapped IPv4 address is one.
fn canonical(ip: String) -> String {
    match ip.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => ip,
    }
}

/// Descriptors 0 and 1, and how long the client may be silent.
#[derive(Debug)]
pub struct Ends {
    input: File,
    output: File,
    patience: Duration,
}

impl Ends {
    /// Takes them over; `None` when one is closed.
    pub fn take(patience: Duration) -> Option<Self> {
        Some(Self {
            input: os::fd::inherit_file(0)?,
            output: os::fd::inherit_file(1)?,
            patience,
        })
    }

    /// Waits for bytes; none at the end.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; READ_BYTES_MAX];
        loop {
            wait(&self.input, Interest::Read, self.patience)?;
            match self.input.read(&mut buffer) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(buffer);
                }
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends bytes, as the client takes them.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // A pipe that has room for one byte waits for room for all.
        const PIECE_BYTES_MAX: usize = 4096;
        while !bytes.is_empty() {
            wait(&self.output, Interest::Write, self.patience)?;
            let piece = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
            match self.output.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => bytes = &bytes[length..],
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

fn wait(file: &File, interest: Interest, patience: Duration) -> io::Result<()> {
    let deadline = std::time::Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if os::signal::poll(&[(file.as_fd(), interest)], Some(left))? == [true] {
            return Ok(());
        }
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}
