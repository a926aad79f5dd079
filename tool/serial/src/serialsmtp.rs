//! serialsmtp: sends messages over one SMTP session.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use address::Address;
use run::Exit;
use smtp::client::{Path, Reply, ReplyReader, TextEncoder};

use crate::client::{Connection, next_name, open, remote_ip, report, without_prefix};
use crate::maildir::Message;
use crate::{temporary, usage};

/// Bytes of a message read at once.
const PIECE_BYTES: usize = 32 * 1024;

pub fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let (prefix, helo, quits) = match arguments {
        [prefix, helo] => (prefix, helo, true),
        [prefix, helo, _] => (prefix, helo, false),
        _ => return Err(usage("serialsmtp")),
    };
    let mut session = Session {
        connection: Connection::inherited()?,
        replies: ReplyReader::default(),
        pipelining: false,
        ip: remote_ip(),
    };
    let helo = text::log::word(helo.as_bytes(), 255);
    session
        .run(prefix.as_bytes(), &helo, quits)
        .map_err(|error| temporary(format!("connection to {}: {error}", session.ip)))?;
    Ok(0)
}

struct Session {
    connection: Connection,
    replies: ReplyReader,
    pipelining: bool,
    ip: String,
}

impl Session {
    fn run(&mut self, prefix: &[u8], helo: &str, quits: bool) -> io::Result<()> {
        let greeting = self.reply()?;
        if greeting.code != 220 {
            return Err(refused("greeting", &greeting));
        }
        self.hello(helo)?;
        let mut names = io::stdin().lock();
        let mut is_first = true;
        while let Some(name) = next_name(&mut names)? {
            // One that is gone was read by somebody; it is listed no more.
            let Some(message) = open(&name) else { continue };
            if !is_first {
                self.connection.write(b"RSET\r\n")?;
                self.reply()?;
            }
            is_first = false;
            let (letter, text) = self.send(message, prefix)?;
            report(&name, letter, &text)?;
        }
        if quits {
            // It has all it is going to get.
            let _ = self.connection.write(b"QUIT\r\n");
            let _ = self.reply();
        }
        Ok(())
    }

    fn hello(&mut self, helo: &str) -> io::Result<()> {
        self.connection
            .write(format!("EHLO {helo}\r\n").as_bytes())?;
        let reply = self.reply()?;
        if reply.code == 250 {
            self.pipelining = reply
                .lines()
                .any(|line| line.trim_ascii().eq_ignore_ascii_case(b"PIPELINING"));
            return Ok(());
        }
        self.connection
            .write(format!("HELO {helo}\r\n").as_bytes())?;
        match self.reply()? {
            reply if reply.code == 250 => Ok(()),
            reply => Err(refused("HELO", &reply)),
        }
    }

    /// Sends one message; the letter and the text of its report.
    fn send(&mut self, mut message: Message, prefix: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let recipient = without_prefix(&message.recipient, prefix).to_vec();
        let path = |address: &[u8]| Path::new(&Address::parse(address).ok()?).ok();
        let (Some(sender), Some(to)) = (path(&message.sender), path(&recipient)) else {
            return Ok((b'D', b"address impossible in SMTP. (#5.1.3)".to_vec()));
        };
        let what = [
            &b"MAIL from <"[..],
            &message.sender,
            b"> RCPT <",
            &recipient,
        ]
        .concat();
        let said = |reply: &Reply, ip: &str| {
            [&what[..], b">, ", ip.as_bytes(), b" said: ", &reply.text].concat()
        };
        let commands = [
            [b"MAIL FROM:<", sender.as_bytes(), b">\r\n"].concat(),
            [b"RCPT TO:<", to.as_bytes(), b">\r\n"].concat(),
            b"DATA\r\n".to_vec(),
        ];
        if self.pipelining {
            self.connection.write(&commands.concat())?;
        }
        let mut failed: Option<Reply> = None;
        for (at, command) in commands.iter().enumerate() {
            if !self.pipelining {
                if failed.is_some() {
                    break;
                }
                self.connection.write(command)?;
            }
            let reply = self.reply()?;
            let good = match at {
                2 => reply.code == 354,
                _ => (200..300).contains(&reply.code),
            };
            if good && at == 2 && failed.is_some() {
                // It waits for a text to nobody (RFC 2920 §3.1).
                self.connection.write(b".\r\n")?;
                self.reply()?;
            }
            if !good && failed.is_none() {
                failed = Some(reply);
            }
        }
        if let Some(reply) = failed {
            return Ok((letter(&reply), said(&reply, &self.ip)));
        }
        self.text(&mut message)?;
        let reply = self.reply()?;
        let letter = match reply.code {
            200..300 => b'K',
            _ => letter(&reply),
        };
        Ok((letter, said(&reply, &self.ip)))
    }

    fn text(&mut self, message: &mut Message) -> io::Result<()> {
        let mut encoder = TextEncoder::default();
        let mut piece = vec![0; PIECE_BYTES];
        let mut out = Vec::new();
        loop {
            match message.file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    out.clear();
                    encoder.encode(&piece[..length], &mut out);
                    self.connection.write(&out)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The connection ends within the text: it is not taken.
                Err(error) => return Err(error),
            }
        }
        out.clear();
        encoder.finish(&mut out);
        self.connection.write(&out)
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut buffer = [0; 1024];
        loop {
            if let Some(reply) = self.replies.take().map_err(io::Error::other)? {
                return Ok(reply);
            }
            let length = self.connection.read(&mut buffer)?;
            self.replies.push(&buffer[..length]);
        }
    }
}

fn letter(reply: &Reply) -> u8 {
    match reply.is_permanent() {
        true => b'D',
        false => b'Z',
    }
}

fn refused(what: &str, reply: &Reply) -> io::Error {
    let text = text::log::printable(&reply.text, 500);
    io::Error::other(format!("{what} refused: {text}"))
}
