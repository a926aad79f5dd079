//! What the clients of maildirserial share: names on descriptor 0, the
//! connection on 6 and 7, reports on 1.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use os::signal::Interest;
use run::Exit;

use crate::maildir::Message;
use crate::temporary;

/// How long the other side may take for what it says, and for listening.
const READ_TIMEOUT: Duration = Duration::from_secs(81);
const WRITE_TIMEOUT: Duration = Duration::from_secs(73);
/// Longest text of a report.
const REPORT_BYTES_MAX: usize = 2000;

/// The connection.
#[derive(Debug)]
pub struct Connection {
    input: File,
    output: File,
}

impl Connection {
    /// The one that was opened for us.
    pub fn inherited() -> Result<Self, Exit> {
        let descriptor = |number| {
            os::fd::inherit_file(number)
                .ok_or_else(|| temporary(format!("no connection on descriptor {number}")))
        };
        Ok(Self {
            input: descriptor(6)?,
            output: descriptor(7)?,
        })
    }

    /// Reads what is there; at least one byte.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait(self.input.as_fd(), Interest::Read, READ_TIMEOUT)?;
        match self.input.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => Ok(length),
        }
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // A little at a time: one large write could wait for ever.
        while !bytes.is_empty() {
            wait(self.output.as_fd(), Interest::Write, WRITE_TIMEOUT)?;
            let piece = &bytes[..bytes.len().min(1024)];
            let length = self.output.write(piece)?;
            bytes = &bytes[length..];
        }
        Ok(())
    }
}

fn wait(fd: std::os::fd::BorrowedFd<'_>, interest: Interest, max: Duration) -> io::Result<()> {
    let ready = os::signal::poll(&[(fd, interest)], Some(max))?;
    match ready.contains(&true) {
        true => Ok(()),
        false => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The next name; `None` when there are no more.
pub fn next_name(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut name = Vec::new();
    input.read_until(0, &mut name)?;
    Ok((name.pop() == Some(0)).then_some(name))
}

/// Opens the message of a name; `None` when it is none any more.
pub fn open(name: &[u8]) -> Option<Message> {
    let name = Path::new(OsStr::from_bytes(name));
    Message::open(Path::new("."), name).ok().flatten()
}

/// Says what became of a message.
pub fn report(name: &[u8], letter: u8, text: &[u8]) -> io::Result<()> {
    let text: Vec<u8> = text
        .iter()
        .take(REPORT_BYTES_MAX)
        .map(|&b| if b < b' ' || b == 0x7f { b' ' } else { b })
        .collect();
    let line = [name, b"\0", &[letter][..], &text, b"\n"].concat();
    let mut out = io::stdout();
    out.write_all(&line)?;
    out.flush()
}

/// The address on the other side, for reports.
pub fn remote_ip() -> String {
    let ip = std::env::var("TCPREMOTEIP").unwrap_or_else(|_| "unknown".to_owned());
    text::log::printable(ip.as_bytes(), 64)
}

/// An address without the prefix of its maildir.
pub fn without_prefix<'a>(recipient: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    recipient.strip_prefix(prefix).unwrap_or(recipient)
}
