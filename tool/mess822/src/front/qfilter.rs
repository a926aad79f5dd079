//! qmail-qfilter: a row of filters for message and envelope
//! (smtp-receiving.md §5.4).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use os::child::{Ended, Setup};
use queue::Envelope;
use run::{Exit, Home, ProgramEnd, Settings};
use settings::front_ends::QQF_QMAILQUEUE;

use super::{
    CODE_CONFIGURATION, CODE_CRASHED, CODE_EXEC_FILTER, CODE_LATER, CODE_REFUSED, Replaced,
    become_next, command_of, descriptor, discarded, help, no_temporary, queue_error, set_death,
    spool, temporary_file, words,
};

const HELP: &str = "\
usage: qmail-qfilter FILTER [ARGUMENT...] [-- FILTER [ARGUMENT...]]... < message 1< envelope

Passes a message and its envelope through filters: each reads the message on 0
and the envelope on 3, and prints new ones on 1 and 4; printing nothing leaves
them as they are. On 5 it may name the program that comes next instead of
QQF_QMAILQUEUE or qmail-queue. It exits 0 to go on, 2 or 99 to throw the message
away, 31 or 100 to refuse it, 71 or 111 for not now.
Exit codes: those of the next program or of the filter, 31 refused, 71 not now,
75 a filter cannot be run, 87 there is none.
";

/// Longest list of recipients that filters are told in `QMAILRCPTS`.
const RECIPIENTS_BYTES_MAX: usize = 100 * 1024;
/// Longest name of a program on descriptor 5.
const NAME_BYTES_MAX: u64 = 4096;

/// What goes from filter to filter.
struct Passage {
    message: File,
    envelope: File,
    next: Option<Vec<u8>>,
}

/// The program.
pub fn qfilter(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(HELP, arguments) {
        return Ok(().into());
    }
    let home = Home::find();
    let settings = Settings::of_process(&home);
    set_death(&settings)?;
    let filters: Vec<&[Vec<u8>]> = arguments.split(|word| word == b"--").collect();
    if filters.iter().any(|line| line.is_empty()) {
        return Err(Exit::new(CODE_CONFIGURATION, "a filter without a name"));
    }
    let message = spool(descriptor(0, "message")?)?;
    let mut passage = Passage {
        message,
        envelope: spool(descriptor(1, "envelope")?)?,
        next: None,
    };
    for line in filters {
        match passage.filter(line)? {
            Ended::Code(0) => {}
            Ended::Code(2 | 99) => {
                discarded(&home, "qmail-qfilter");
                return Ok(().into());
            }
            Ended::Code(31 | 100) => return Ok(CODE_REFUSED.into()),
            Ended::Code(71 | 111) => return Ok(CODE_LATER.into()),
            Ended::Code(code) => return Ok(u8::try_from(code).unwrap_or(CODE_LATER).into()),
            Ended::Signal(_) => return Ok(CODE_CRASHED.into()),
        }
    }
    let named = settings.variable(QQF_QMAILQUEUE.variable);
    let named = named.filter(|value| !value.is_empty());
    let next = passage.next.as_deref().or(named).unwrap_or(b"qmail-queue");
    let command = command_of(&home, words(next, &settings)?);
    let replaced = Replaced {
        message: Some(rewound(passage.message)?),
        envelope: Some(rewound(passage.envelope)?),
    };
    Err(become_next(command, replaced))
}

fn rewound(mut file: File) -> Result<File, Exit> {
    file.rewind().map_err(no_temporary)?;
    Ok(file)
}

impl Passage {
    /// Runs one filter.
    fn filter(&mut self, line: &[Vec<u8>]) -> Result<Ended, Exit> {
        let program = OsStr::from_bytes(&line[0]);
        let mut command = Command::new(program);
        command.args(line[1..].iter().map(|word| OsStr::from_bytes(word)));
        self.describe(&mut command)?;
        let shared = |file: &File| -> Result<_, Exit> {
            Ok(rewound(file.try_clone().map_err(no_temporary)?)?.into())
        };
        let (printed, envelope, named) = (temporary_file()?, temporary_file()?, temporary_file()?);
        let setup = Setup {
            descriptors: vec![
                (0, shared(&self.message)?),
                (1, shared(&printed)?),
                (3, shared(&self.envelope)?),
                (4, shared(&envelope)?),
                (5, shared(&named)?),
            ],
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        let cannot = |error: io::Error| {
            let text = format!("cannot run {}: {error}", program.to_string_lossy());
            Exit::new(CODE_EXEC_FILTER, text)
        };
        let ended = filter::wait(command, filter::FILTER_TIME_MAX).map_err(cannot)?;
        let ended = ended.ok_or_else(|| {
            let text = format!("{} takes too long", program.to_string_lossy());
            Exit::new(CODE_LATER, text)
        })?;
        let is_empty = |file: &File| -> Result<bool, Exit> {
            Ok(file.metadata().map_err(no_temporary)?.len() == 0)
        };
        if !is_empty(&printed)? {
            self.message = printed;
        }
        if !is_empty(&envelope)? {
            self.envelope = envelope;
        }
        let mut name = Vec::new();
        let named = rewound(named)?.take(NAME_BYTES_MAX).read_to_end(&mut name);
        named.map_err(no_temporary)?;
        if !name.trim_ascii().is_empty() {
            self.next = Some(name.trim_ascii().to_vec());
        }
        Ok(ended)
    }

    /// Tells a filter what it is about.
    fn describe(&self, command: &mut Command) -> Result<(), Exit> {
        let input = rewound(self.envelope.try_clone().map_err(no_temporary)?)?;
        let mut envelope = Envelope::new(BufReader::new(input));
        let sender = envelope.sender().map_err(|error| queue_error(&error))?;
        let (mut recipients, mut count) = (Vec::new(), 0_u64);
        while let Some(address) = envelope.recipient().map_err(|e| queue_error(&e))? {
            count += 1;
            if recipients.len() + address.len() < RECIPIENTS_BYTES_MAX {
                recipients.extend_from_slice(address);
                recipients.push(b'\n');
            }
        }
        let at = sender.iter().rposition(|&b| b == b'@');
        let user = &sender[..at.unwrap_or(sender.len())];
        let host = at.map_or(&b""[..], |at| &sender[at + 1..]);
        let bytes = |file: &File| -> Result<String, Exit> {
            Ok(file.metadata().map_err(no_temporary)?.len().to_string())
        };
        command
            .env_remove("QMAILNAME")
            .env("QMAILUSER", OsStr::from_bytes(user))
            .env("QMAILHOST", OsStr::from_bytes(host))
            .env("QMAILRCPTS", OsStr::from_bytes(&recipients))
            .env("NUMRCPTS", count.to_string())
            .env("ENVSIZE", bytes(&self.envelope)?)
            .env("MSGSIZE", bytes(&self.message)?);
        Ok(())
    }
}
