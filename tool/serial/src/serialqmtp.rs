//! serialqmtp: sends messages over one QMTP connection.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use run::Exit;
use text::netstring;

use crate::client::{Connection, next_name, open, remote_ip, report, without_prefix};
use crate::maildir::Message;
use crate::{temporary, usage};

/// Longest answer.
const ANSWER_BYTES_MAX: usize = 4096;
/// Bytes of a message read at once.
const PIECE_BYTES: usize = 32 * 1024;

pub fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let [prefix] = arguments else {
        return Err(usage("serialqmtp"));
    };
    let mut session = Session {
        connection: Connection::inherited()?,
        input: Vec::new(),
    };
    let ip = remote_ip();
    let mut names = io::stdin().lock();
    let mut run = || {
        while let Some(name) = next_name(&mut names)? {
            let Some(message) = open(&name) else { continue };
            let (letter, said) = session.send(message, prefix.as_bytes())?;
            let text = [ip.as_bytes(), b" said: ", &said].concat();
            report(&name, letter, &text)?;
        }
        Ok::<(), io::Error>(())
    };
    run().map_err(|error| temporary(format!("connection to {ip}: {error}")))?;
    Ok(0)
}

struct Session {
    connection: Connection,
    input: Vec<u8>,
}

impl Session {
    /// Sends one message; what the server answers for its recipient.
    fn send(&mut self, mut message: Message, prefix: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        // A line feed first says that lines end in one.
        let head = format!("{}:\n", message.bytes + 1);
        self.connection.write(head.as_bytes())?;
        let mut left = message.bytes;
        let mut piece = vec![0; PIECE_BYTES];
        while 0 < left {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match message.file.read(&mut piece[..wanted]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.connection.write(&piece[..length])?;
                    left -= length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (mut envelope, mut recipients) = (b",".to_vec(), Vec::new());
        netstring::append(&mut envelope, &message.sender);
        netstring::append(&mut recipients, without_prefix(&message.recipient, prefix));
        netstring::append(&mut envelope, &recipients);
        self.connection.write(&envelope)?;
        let answer = self.answer()?;
        match answer.split_first() {
            Some((letter @ (b'K' | b'Z' | b'D'), said)) => Ok((*letter, said.to_vec())),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        loop {
            match netstring::take(&self.input, ANSWER_BYTES_MAX) {
                Ok(Some((content, used))) => {
                    let content = content.to_vec();
                    self.input.drain(..used);
                    return Ok(content);
                }
                Ok(None) => {}
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
            let length = self.connection.read(&mut buffer)?;
            self.input.extend_from_slice(&buffer[..length]);
        }
    }
}
