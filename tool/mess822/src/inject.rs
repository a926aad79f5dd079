//! qmail-inject: repairs a message's header and queues it
//! (queue-and-delivery.md §3.2).

mod compose;
mod modern;
mod options;
mod sender;
mod surroundings;

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;

use inject::{Queued, Refused, Submission, Way};
use message::{HEADER_LINES_BYTES_MAX, HeaderLines, Line, SyntaxError};
use policy::Mode;
use run::{Exit, Home, PERMANENT, Settings, Tracer};
use settings::Setting;
use settings::injecting::{DOMAINQUEUE, FROMRULES};
use settings::queue::QQEH;
// The limits of the SMTP server hold here too.
use settings::receiving::{DATABYTES, MAXRECIPIENTS, QREGEX};
use text::envrules::Change;
use wire::trace::{Kind as EventKind, TraceId};

pub use compose::{Composed, Composer, Given};
pub use modern::prepare;
pub use options::{Options, RecipientsFrom, Style};
pub use sender::Person;
pub use surroundings::Surroundings;

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
    #[error("this rule in {file} makes no sense: {line}")]
    Rule { file: &'static str, line: String },
    #[error("control/rewrite makes no sense: {0}")]
    Rewrite(message::BadRule),
    #[error("unable to read the message")]
    Read(#[source] io::Error),
    #[error("unable to write the message")]
    Print(#[source] io::Error),
    #[error(transparent)]
    Settings(#[from] run::SettingError),
    #[error(transparent)]
    Surroundings(#[from] run::envdir::EnvdirError),
    #[error("{0}")]
    Refused(Refused),
}

impl Error {
    /// Says whether trying again later is of no use.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Syntax { .. } | Self::Header(_) | Self::TooBig => true,
            Self::TooManyRecipients | Self::NoRecipients | Self::Address(_) => true,
            Self::Rewrite(_)
            | Self::Rule { .. }
            | Self::Read(_)
            | Self::Print(_)
            | Self::Settings(_)
            | Self::Surroundings(_) => false,
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

/// The program, as qmail-inject or as new-inject.
pub fn main(arguments: &[Vec<u8>], style: Style) -> Result<(), Error> {
    let (program, usage) = match style {
        Style::Classic => ("qmail-inject", options::USAGE),
        Style::New => ("new-inject", options::USAGE_NEW),
    };
    if arguments.iter().any(|argument| argument == b"--help") {
        print!("{usage}");
        return Ok(());
    }
    let options = Options::parse(arguments, style).map_err(Error::Usage)?;
    let surroundings = Surroundings::of_process()?;
    let trace = Tracer::id_of_process();
    inject(program, &surroundings, &options, trace).map(drop)
}

/// Injects the message on standard input; where it is queued, when that is
/// known.
pub fn inject(
    program: &'static str,
    surroundings: &Surroundings,
    options: &Options,
    trace: TraceId,
) -> Result<Option<Queued>, Error> {
    let Surroundings {
        home,
        settings,
        changes,
    } = surroundings;
    let options = options.with_letters(settings);
    let stdin =
        os::fd::inherit_file(0).ok_or_else(|| Error::Read(io::ErrorKind::NotFound.into()))?;
    let size = stdin.metadata().map_or(0, |metadata| metadata.len());
    if size_max(settings)?.is_some_and(|max| max < size) {
        return Err(Error::TooBig);
    }
    let mut input = BufReader::new(stdin);
    let (now, _) = os::clock::now();
    let composer = Composer::read(settings, &options, now, std::process::id())?;
    let injection = Injection {
        program,
        home,
        settings,
        changes,
        options: &options,
        trace,
    };
    injection.run(&mut input, &composer)
}

fn size_max(settings: &Settings) -> Result<Option<u64>, Error> {
    Ok(positive(settings.integer(&DATABYTES)?))
}

/// One message on its way from a reader to the queue.
pub struct Injection<'a> {
    pub program: &'static str,
    pub home: &'a Home,
    pub settings: &'a Settings,
    /// Variables that the queue program is to be told of.
    pub changes: &'a [Change],
    pub options: &'a Options,
    pub trace: TraceId,
}

impl Injection<'_> {
    /// Reads a message to its end and queues or prints it.
    pub fn run(
        &self,
        input: &mut impl BufRead,
        composer: &Composer<'_>,
    ) -> Result<Option<Queued>, Error> {
        let (mut header, mut rest) = read_header(input)?;
        let mut given = Given::default();
        if self.options.style == Style::New {
            (header, given) = prepare(&header)?;
        }
        let mut composed = composer.compose(&header, given)?;
        if self.forwards() {
            let srs = ::inject::srs::configured(self.settings)?;
            composed.sender = ::inject::srs::forward_sender(srs.as_ref(), &composed.sender);
        }
        self.check(&composed)?;
        let mut sink = self.begin(&composed)?;
        let size_max = size_max(self.settings)?;
        let mut bytes = 0;
        let mut write = |piece: &[u8]| {
            bytes += piece.len() as u64;
            if size_max.is_some_and(|max| max < bytes) {
                return Err(Error::TooBig);
            }
            sink.write(piece)
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
        report(self.program, self.home, self.trace, &composed, bytes);
        let mut recipients = composed.recipients;
        recipients.dedup();
        sink.commit(&composed.sender, recipients)
    }

    /// Says whether a line of a .qmail file runs us: then the sender is not the
    /// person here.
    fn forwards(&self) -> bool {
        ["EXT", "HOST"]
            .iter()
            .all(|name| self.settings.variable(name).is_some())
    }

    fn check(&self, composed: &Composed) -> Result<(), Error> {
        let count_max = positive(self.settings.integer(&MAXRECIPIENTS)?);
        if count_max.is_some_and(|max| max < composed.recipients.len() as u64) {
            return Err(Error::TooManyRecipients);
        }
        if composed.recipients.is_empty() && !self.options.print {
            return Err(Error::NoRecipients);
        }
        for address in composed.recipients.iter().chain([&composed.sender]) {
            address::Address::parse(address)
                .map_err(|_| Error::Address(text::log::printable(address, 200)))?;
        }
        Ok(())
    }

    /// What the site changes for this envelope, later entries in front.
    fn changes(&self, composed: &Composed) -> Result<Vec<Change>, Error> {
        let lines =
            |setting| -> Result<_, Error> { Ok(self.settings.list(setting)?.unwrap_or_default()) };
        let mut changes = self.changes.to_vec();
        let by_sender = lines(&FROMRULES)?;
        let found = rules(self.settings, &FROMRULES, &by_sender, &composed.sender)?;
        changes.extend(found);
        let by_domain = lines(&DOMAINQUEUE)?;
        if by_domain.is_empty() {
            return Ok(changes);
        }
        let mut seen = BTreeSet::new();
        for recipient in &composed.recipients {
            let at = recipient.iter().rposition(|&b| b == b'@');
            let domain = at.map_or(&b""[..], |at| &recipient[at + 1..]);
            let domain = domain.to_ascii_lowercase();
            if !domain.is_empty() && !seen.contains(&domain) {
                changes.extend(rules(self.settings, &DOMAINQUEUE, &by_domain, &domain)?);
                seen.insert(domain);
            }
        }
        Ok(changes)
    }

    fn begin(&self, composed: &Composed) -> Result<Sink, Error> {
        if self.options.print {
            print_envelope(composed, self.options.style).map_err(Error::Print)?;
            return Ok(Sink::Print);
        }
        let changes = self.changes(composed)?;
        let way = Way::choose(self.home, self.settings, &changes).map_err(Error::Refused)?;
        let value = |name| {
            self.settings
                .variable(name)
                .filter(|v: &&[u8]| !v.is_empty())
        };
        // What the sender wants to be told.
        let wishes = value(wire::dsn::VARIABLE).unwrap_or_default();
        let ip = value("TCPREMOTEIP").map(|ip| text::log::printable(ip, 64));
        Submission::begin(self.home, &way, self.trace, ip, wishes)
            .map(Sink::Queue)
            .map_err(Error::Refused)
    }
}

/// Where a message goes.
enum Sink {
    /// To standard output.
    Print,
    /// Into the queue.
    Queue(Submission),
}

impl Sink {
    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Print => io::stdout().write_all(piece).map_err(Error::Print),
            Self::Queue(submission) => submission.write(piece).map_err(Error::Refused),
        }
    }

    fn commit(self, sender: &[u8], recipients: Vec<Vec<u8>>) -> Result<Option<Queued>, Error> {
        let submission = match self {
            Self::Print => {
                io::stdout().flush().map_err(Error::Print)?;
                return Ok(None);
            }
            Self::Queue(submission) => submission,
        };
        let lines = std::env::var_os(QQEH.variable).unwrap_or_default();
        submission
            .commit(sender, recipients, lines.into_vec())
            .map(Some)
            .map_err(Error::Refused)
    }
}

/// What the rules of a control file change for an address; with `QREGEX`
/// patterns are regular expressions.
fn rules(
    settings: &Settings,
    setting: &'static Setting,
    lines: &[Vec<u8>],
    address: &[u8],
) -> Result<Vec<Change>, Error> {
    let mode = match settings.integer(&QREGEX)? {
        0 => Mode::Wildcard,
        _ => Mode::Regex,
    };
    let found = policy::envrules::changes_for_programs(lines, address, mode);
    found.map_err(|bad| Error::Rule {
        file: setting.file,
        line: bad.line,
    })
}

/// Reads up to the body; also what was read of the body.
fn read_header(input: &mut impl BufRead) -> Result<(HeaderLines, Vec<u8>), Error> {
    let mut header = HeaderLines::default();
    loop {
        let mut line = Vec::new();
        input
            .by_ref()
            .take(HEADER_LINES_BYTES_MAX as u64 + 1)
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

/// The envelope as fields, for `-n`.
fn print_envelope(composed: &Composed, style: Style) -> io::Result<()> {
    let quoted = |address: &Vec<u8>| address::Quoted(address).to_vec();
    let sender = quoted(&composed.sender);
    let mut out = io::stdout();
    match style {
        Style::Classic => out.write_all(&[b"Return-Path: <", &sender[..], b">\n"].concat()),
        Style::New => {
            out.write_all(&[b"Envelope-Sender: <", &sender[..], b">\n"].concat())?;
            let recipients: Vec<Vec<u8>> = composed.recipients.iter().map(quoted).collect();
            out.write_all(b"Envelope-Recipients: ")?;
            out.write_all(&recipients.join(&b",\n  "[..]))?;
            out.write_all(b"\n")
        }
    }
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
        Self::new(code, run::chain(&error))
    }
}
