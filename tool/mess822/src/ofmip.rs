//! ofmipd: takes mail of users over SMTP on descriptors 0 and 1 and repairs
//! its header as new-inject does (queue-and-delivery.md §3.5).
//!
//! It sends anywhere: whoever may connect is decided by the TCP server before
//! it. `ofmipname` makes the table that gives senders their addresses and
//! names.

mod data;
mod names;

use std::io::{self, BufRead, BufReader, Read, Write};

use run::{Exit, Home, ProgramEnd, Settings, TEMPORARY, Tracer};

use crate::inject::{Composer, Error, Injection, Options, Person, RecipientsFrom, Style};
use data::Data;
use names::NameTable;
pub use names::make_names;

/// Longest command line; longer ones are refused.
const LINE_BYTES_MAX: u64 = 4096;
/// Most recipients of one message, unless settings say less.
const RECIPIENTS_MAX: usize = 10_000;
/// Most commands that make no sense before the session ends.
const NONSENSE_MAX: u32 = 20;
/// Longest silence in seconds.
const SILENCE_SECONDS: u32 = 1200;

/// The program: `ofmipd [names.cdb]`.
pub fn serve(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let table = match arguments {
        [] => None,
        [path] => Some(NameTable::open(path)?),
        _ => return Err(Exit::new(run::PERMANENT, "one table only; see --help")),
    };
    let home = Home::find();
    let mut session = Session {
        settings: Settings::of_process(&home),
        home: &home,
        table,
        input: BufReader::new(io::stdin()),
        sender: None,
        recipients: Vec::new(),
        nonsense: 0,
    };
    // Whoever says nothing for long is cut off, as by qmail-smtpd.
    os::signal::set_alarm(SILENCE_SECONDS);
    session
        .run()
        .map_err(|error| Exit::new(TEMPORARY, format!("connection broke: {error}")))?;
    Ok(().into())
}

struct Session<'a> {
    settings: Settings,
    home: &'a Home,
    table: Option<NameTable>,
    input: BufReader<io::Stdin>,
    sender: Option<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    nonsense: u32,
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        let host = self.host();
        say(&format!("220 {host} ESMTP ofmipd"))?;
        loop {
            let mut line = Vec::new();
            let mut limited = self.input.by_ref().take(LINE_BYTES_MAX);
            limited.read_until(b'\n', &mut line)?;
            os::signal::set_alarm(SILENCE_SECONDS);
            if line.is_empty() {
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                return say("500 5.5.2 line too long");
            }
            let line = line.trim_ascii();
            let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
            let (verb, argument) = (line[..end].to_ascii_uppercase(), line[end..].trim_ascii());
            match &verb[..] {
                b"QUIT" => return say(&format!("221 2.0.0 {host}")),
                b"HELO" => say(&format!("250 {host}"))?,
                b"EHLO" => say(&format!("250-{host}\r\n250-PIPELINING\r\n250 8BITMIME"))?,
                b"RSET" => {
                    self.reset();
                    say("250 2.0.0 flushed")?;
                }
                b"NOOP" => say("250 2.0.0 ok")?,
                b"VRFY" => say("252 2.5.0 send some mail, I'll try my best")?,
                b"HELP" => say("214 2.0.0 ofmipd: MAIL, RCPT, DATA, RSET, NOOP, QUIT")?,
                b"MAIL" => self.mail(argument)?,
                b"RCPT" => self.rcpt(argument)?,
                b"DATA" => self.data()?,
                _ => {
                    self.nonsense += 1;
                    if NONSENSE_MAX < self.nonsense {
                        return say("421 4.7.0 too much that makes no sense");
                    }
                    say("502 5.5.1 unimplemented")?;
                }
            }
        }
    }

    fn host(&self) -> String {
        let me = self.settings.line(&settings::site::ME).ok().flatten();
        let me = me.map(|name| text::log::word(&name, 255));
        me.unwrap_or_else(os::account::host_name)
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    fn mail(&mut self, argument: &[u8]) -> io::Result<()> {
        let Some(sender) = path(argument, b"FROM:") else {
            return say("501 5.5.4 syntax: MAIL FROM:<address>");
        };
        self.reset();
        self.sender = Some(sender);
        say("250 2.1.0 ok")
    }

    fn rcpt(&mut self, argument: &[u8]) -> io::Result<()> {
        if self.sender.is_none() {
            return say("503 5.5.1 MAIL first");
        }
        match path(argument, b"TO:") {
            None => say("501 5.5.4 syntax: RCPT TO:<address>"),
            Some(recipient) if recipient.is_empty() => say("501 5.1.3 a recipient is missing"),
            Some(_) if RECIPIENTS_MAX <= self.recipients.len() => {
                say("452 4.5.3 too many recipients")
            }
            Some(recipient) => {
                self.recipients.push(recipient);
                say("250 2.1.5 ok")
            }
        }
    }

    fn data(&mut self) -> io::Result<()> {
        if self.sender.is_none() || self.recipients.is_empty() {
            return say("503 5.5.1 MAIL and RCPT first");
        }
        say("354 go ahead")?;
        let sender = self.sender.take().unwrap_or_default();
        let recipients = std::mem::take(&mut self.recipients);
        let mut data = Data::new(&mut self.input);
        let mut message = BufReader::new(&mut data);
        let result = queue(
            self.home,
            &self.settings,
            self.table.as_ref(),
            sender,
            recipients,
            &mut message,
        );
        drop(message);
        // The client must have said everything before it is answered.
        data.finish()?;
        match result {
            Ok(trace) => say(&format!("250 2.0.0 ok {trace}")),
            Err(error) => {
                let text = text::log::printable(run::chain(&error).as_bytes(), 400);
                run::warn("ofmipd", &text);
                match error.is_permanent() {
                    true => say(&format!("554 5.6.0 {text}")),
                    false => say(&format!("451 4.3.0 {text}")),
                }
            }
        }
    }
}

fn queue(
    home: &Home,
    settings: &Settings,
    table: Option<&NameTable>,
    sender: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    message: &mut impl BufRead,
) -> Result<wire::trace::TraceId, Error> {
    let named = table.and_then(|table| table.find(&sender));
    let options = Options {
        style: Style::New,
        recipients_from: RecipientsFrom::Arguments,
        recipients,
        sender: Some(named.as_ref().map_or(sender.clone(), |n| n.address.clone())),
        drop_from: named.is_some(),
        ..Options::default()
    };
    let (now, _) = os::clock::now();
    let person = match &named {
        Some(named) => Person::named(&named.address, &named.name),
        None => Person::named(&sender, b""),
    };
    let composer = Composer::read(settings, &options, now, message_number())?.with_person(person);
    let injection = Injection {
        program: "ofmipd",
        home,
        settings,
        changes: &[],
        options: &options,
        trace: Tracer::new_id(),
    };
    injection.run(message, &composer)?;
    Ok(injection.trace)
}

/// Stands for the process id in a Message-ID: one process takes many messages
/// in one second.
fn message_number() -> u32 {
    (os::clock::random() % u64::from(u32::MAX)) as u32
}

/// The address of `FROM:<...>` or `TO:<...>`, without a source route; what
/// follows it does not count.
fn path(argument: &[u8], word: &[u8]) -> Option<Vec<u8>> {
    let start = argument.get(..word.len())?;
    if !start.eq_ignore_ascii_case(word) {
        return None;
    }
    let rest = argument[word.len()..].trim_ascii_start();
    let address = match rest.strip_prefix(b"<") {
        Some(inside) => {
            let mut quoted = false;
            let end = inside.iter().enumerate().position(|(at, &byte)| {
                let escaped = 0 < at && inside[at - 1] == b'\\';
                quoted ^= byte == b'"' && !escaped;
                byte == b'>' && !quoted
            });
            &inside[..end?]
        }
        None => rest.split(|&b| b == b' ').next().unwrap_or_default(),
    };
    let list = message::AddressList::parse(&[b"<", address, b">"].concat()).ok()?;
    let found = list.addresses().next().unwrap_or_default();
    let route = found
        .starts_with(b"@")
        .then(|| memchr::memchr(b':', &found));
    match route.flatten() {
        Some(colon) => Some(found[colon + 1..].to_vec()),
        None => Some(found),
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\r\n")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(argument: &str) -> Option<String> {
        path(argument.as_bytes(), b"FROM:").map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        for (argument, expected) in [
            ("FROM:<a@b>", "a@b"),
            ("from: <a@b> SIZE=3", "a@b"),
            ("FROM:<>", ""),
            ("FROM:a@b SIZE=3", "a@b"),
            ("FROM:<@x,@y:a@b>", "a@b"),
            ("FROM:<\"a>b\"@c>", "a>b@c"),
        ] {
            assert_eq!(shown(argument).as_deref(), Some(expected), "{argument}");
        }
        assert_eq!((shown("TO:<a@b>"), shown("FROM:<a@b")), (None, None));
    }
}
