//! qmail-inject: repairs a message's header and queues it
//! (queue-and-delivery.md §3.2).

mod compose;
mod options;
mod sender;

use std::io::{self, BufRead, BufReader, Read, Write};

use message::{HEADER_BYTES_MAX, HeaderLines, Line, SyntaxError};
use run::{Exit, Home, PERMANENT, Settings, Tracer};
use settings::injecting::FROMRULES;
// The limits of the SMTP server hold here too.
use settings::receiving::{DATABYTES, MAXRECIPIENTS};
use text::envrules::Change;
use wire::trace::{Kind as EventKind, TraceId};

pub use options::{Options, RecipientsFrom};

use crate::submit::{self, Refusal, Submission, Submitted};

/// Most recipients named in the trace event.
const RECIPIENTS_TRACED_MAX: usize = 50;

/// Why a message was not injected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("unable to parse this line: {line}")]
    Syntax {
        line: String,
        #[source]
        source: SyntaxError,
    },
    #[error("{0}")]
    Header(#[from] message::HeaderTooLong),
    #[error("message size exceeds my databytes limit")]
    TooBig,
    #[error("max number of recipients exceeded")]
    TooManyRecipients,
    #[error("no recipients; give them as arguments or in the header (To, Cc, Bcc)")]
    NoRecipients,
    #[error("the address {0} cannot be used")]
    Address(String),
    #[error("this rule in {} makes no sense: {_0}", FROMRULES.file)]
    Rule(String),
    #[error("unable to read the message")]
    Read(#[source] io::Error),
    #[error("unable to write the message")]
    Print(#[source] io::Error),
    #[error(transparent)]
    Settings(#[from] run::SettingError),
    #[error("{0}")]
    Refused(Refusal),
}

impl Error {
    /// Says whether trying again later is of no use.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Syntax { .. } | Self::Header(_) | Self::TooBig => true,
            Self::TooManyRecipients | Self::NoRecipients | Self::Address(_) => true,
            Self::Rule(_) | Self::Read(_) | Self::Print(_) | Self::Settings(_) => false,
            Self::Refused(refusal) => refusal.permanent,
        }
    }
}

impl run::Fatal for Error {
    /// As qmail-inject(8) promises.
    fn exit_code(&self) -> u8 {
        if self.is_permanent() {
            PERMANENT
        } else {
            run::TEMPORARY
        }
    }
}

/// The program.
pub fn main(arguments: &[Vec<u8>]) -> Result<(), Error> {
    if arguments.iter().any(|argument| argument == b"--help") {
        print!("{}", options::USAGE);
        return Ok(());
    }
    let options = Options::parse(arguments).map_err(Error::Usage)?;
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let trace = Tracer::id_of_process();
    inject("qmail-inject", &home, &settings, &options, trace).map(drop)
}

/// Injects the message on standard input; where it is queued, when that is
/// known.
pub fn inject(
    program: &'static str,
    home: &Home,
    settings: &Settings,
    options: &Options,
    trace: TraceId,
) -> Result<Option<Submitted>, Error> {
    let options = options.with_letters(settings);
    let size_max = positive(settings.integer(&DATABYTES)?);
    let stdin =
        os::fd::inherit_file(0).ok_or_else(|| Error::Read(io::ErrorKind::NotFound.into()))?;
    let size = stdin.metadata().map_or(0, |metadata| metadata.len());
    if size_max.is_some_and(|max| max < size) {
        return Err(Error::TooBig);
    }
    let mut input = BufReader::new(stdin);
    let (header, mut rest) = read_header(&mut input)?;
    let (now, _) = os::clock::now();
    let composer = compose::Composer::read(settings, &options, now, std::process::id())?;
    let composed = composer.compose(&header)?;
    let count_max = positive(settings.integer(&MAXRECIPIENTS)?);
    if count_max.is_some_and(|max| max < composed.recipients.len() as u64) {
        return Err(Error::TooManyRecipients);
    }
    if composed.recipients.is_empty() && !options.print {
        return Err(Error::NoRecipients);
    }
    for address in composed.recipients.iter().chain([&composed.sender]) {
        address::Address::parse(address)
            .map_err(|_| Error::Address(text::log::printable(address, 200)))?;
    }
    let mut sink = if options.print {
        print_return_path(&composed.sender).map_err(Error::Print)?;
        Submission::print()
    } else {
        let changes = sender_rules(settings, &composed.sender)?;
        submit::begin(home, settings, &changes, trace, &composed.recipients)
            .map_err(Error::Refused)?
    };
    let mut bytes = 0;
    let mut write = |piece: &[u8]| {
        bytes += piece.len() as u64;
        if size_max.is_some_and(|max| max < bytes) {
            return Err(Error::TooBig);
        }
        sink.write(piece).map_err(Error::Refused)
    };
    write(&composed.header)?;
    write(&rest)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                write(&buffer[..length])?;
                rest.clear();
                rest.push(buffer[length - 1]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Read(error)),
        }
    }
    if rest.last().is_some_and(|&last| last != b'\n') {
        write(b"\n")?;
    }
    report(program, home, trace, &composed, bytes);
    let mut recipients = composed.recipients;
    recipients.dedup();
    sink.commit(&composed.sender, recipients)
        .map_err(Error::Refused)
}

/// What `from.envrules` changes for this sender.
fn sender_rules(settings: &Settings, sender: &[u8]) -> Result<Vec<Change>, Error> {
    let lines = settings.list(&FROMRULES)?.unwrap_or_default();
    text::envrules::changes(lines.iter().map(Vec::as_slice), sender)
        .map_err(|bad| Error::Rule(bad.line))
}

/// Reads up to the body; also what was read of the body.
fn read_header(input: &mut impl BufRead) -> Result<(HeaderLines, Vec<u8>), Error> {
    let mut header = HeaderLines::default();
    loop {
        let mut line = Vec::new();
        input
            .by_ref()
            .take(HEADER_BYTES_MAX as u64 + 1)
            .read_until(b'\n', &mut line)
            .map_err(Error::Read)?;
        if line.is_empty() {
            return Ok((header, Vec::new()));
        }
        match header.push(&line)? {
            Line::Header => {}
            Line::End => return Ok((header, b"\n".to_vec())),
            Line::Body => return Ok((header, [b"\n", line.as_slice()].concat())),
        }
    }
}

fn print_return_path(sender: &[u8]) -> io::Result<()> {
    let line = [
        b"Return-Path: <",
        &address::Quoted(sender).to_vec()[..],
        b">\n",
    ]
    .concat();
    io::stdout().write_all(&line)
}

fn report(
    program: &'static str,
    home: &Home,
    trace: TraceId,
    composed: &compose::Composed,
    bytes: u64,
) {
    let tracer = Tracer::connect(home, program);
    let mut event = tracer.event(trace, EventKind::Received);
    event.sender = Some(text::log::printable(&composed.sender, 256));
    let recipients = composed.recipients.iter().take(RECIPIENTS_TRACED_MAX);
    event.recipients = recipients.map(|r| text::log::printable(r, 256)).collect();
    event.message_id = composed.message_id.clone();
    event.bytes = Some(bytes);
    event.place = Some(format!("uid {}", os::account::real_uid()));
    tracer.send(&event);
}

fn positive(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|&limit| 0 < limit)
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        let code = run::Fatal::exit_code(&error);
        Self::new(code, error.to_string())
    }
}
