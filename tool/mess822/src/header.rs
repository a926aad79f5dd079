//! Tools that read the header of the message on standard input
//! (queue-and-delivery.md §3.5). They exit 0, 100 for "no" and 111 when the
//! message cannot be read.

mod addresses;
mod dates;
mod fields;
mod print;
mod programs;

use std::io::{self, BufRead, BufReader, Read, Stdin, Write};

use message::{HEADER_LINES_BYTES_MAX, HeaderLines, Line};
use run::{Exit, PERMANENT, ProgramEnd, TEMPORARY};

pub use addresses::{addr, if_addr, if_to_cc, if_to_cc_from};
pub use dates::{date, received};
pub use fields::{body, field, header, header_ok, some_fields};
pub use print::print;
pub use programs::{body_filter, header_filter};

/// A header, and what of the body was read with it.
pub struct Start {
    pub header: HeaderLines,
    /// The empty line, if there was one, or the first line of the body.
    pub rest: Vec<u8>,
    /// What ended the header.
    pub end: Option<Line>,
    /// Bytes of the message up to the body.
    pub bytes: u64,
}

/// The message on standard input.
pub struct Input(BufReader<Stdin>);

impl Input {
    pub fn open() -> Self {
        Self(BufReader::new(io::stdin()))
    }

    /// Reads up to the body.
    pub fn start(&mut self) -> Result<Start, Exit> {
        let mut header = HeaderLines::default();
        let mut bytes = 0;
        loop {
            let mut line = Vec::new();
            let mut limited = self.0.by_ref().take(HEADER_LINES_BYTES_MAX as u64 + 1);
            limited.read_until(b'\n', &mut line).map_err(unread)?;
            let end = match line.is_empty() {
                true => None,
                false => match header.push(&line) {
                    Ok(Line::Header) => {
                        bytes += line.len() as u64;
                        continue;
                    }
                    Ok(end) => Some(end),
                    Err(error) => return Err(Exit::new(PERMANENT, error.to_string())),
                },
            };
            if end == Some(Line::End) {
                bytes += line.len() as u64;
            }
            return Ok(Start {
                header,
                rest: line,
                end,
                bytes,
            });
        }
    }

    /// Copies what is left to standard output.
    pub fn copy(&mut self) -> Result<(), Exit> {
        io::copy(&mut self.0, &mut io::stdout())
            .map(drop)
            .map_err(unread)
    }
}

fn unread(error: io::Error) -> Exit {
    Exit::new(TEMPORARY, format!("cannot read the message: {error}"))
}

/// Writes to standard output.
fn say(bytes: &[u8]) -> Result<(), Exit> {
    let written = io::stdout().write_all(bytes);
    written.map_err(|error| Exit::new(TEMPORARY, format!("cannot write: {error}")))
}

/// 0 for yes, 100 for no.
fn verdict(yes: bool) -> ProgramEnd {
    match yes {
        true => ().into(),
        false => PERMANENT.into(),
    }
}

/// Says whether a field has one of these names.
fn is_one_of(field: &message::Field<'_>, names: &[Vec<u8>]) -> bool {
    names.iter().any(|name| {
        let name = name.strip_suffix(b":").unwrap_or(name);
        name.eq_ignore_ascii_case(field.name)
    })
}
