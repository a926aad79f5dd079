//! From two descriptors to the disk.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};

use message::Received;
use queue::{Disk, Envelope, EnvelopeHead, Intake, Writer};
use run::Tracer;
use scanner::Consequence;
use scanner::companion::{Companion, Scan};
use wire::trace::{Kind, TraceId};

use crate::caller::Caller;

const READ_BYTES: usize = 64 * 1024;
/// What an infected message is refused with.
const CODE_VIRUS: u8 = 33;
/// What a message is refused with when nobody can scan it.
const CODE_SCANNER: u8 = 77;

/// Why a message is not queued.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue, its settings or what was read.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The settings of the scanner, or its start.
    #[error(transparent)]
    Scanner(#[from] scanner::Error),
    /// The scanner gave no verdict: the exit code.
    #[error("QHPSI gives no verdict")]
    NoVerdict(u8),
    /// There is a virus.
    #[error("message contains a virus, says QHPSI")]
    Infected,
}

impl run::Fatal for Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Queue(error) => error.exit_code(),
            Self::Scanner(error) => error.exit_code(),
            Self::NoVerdict(code) => *code,
            Self::Infected => CODE_VIRUS,
        }
    }
}

/// What a virus means for a message that is not refused at once.
enum Verdict {
    Queued,
    /// Nobody gets it, and nobody is told.
    Discarded,
    /// It is queued, and the caller is told.
    QueuedAndTold,
}

/// Takes one message; when this returns without an error, it is on disk.
pub fn accept(
    caller: &Caller,
    companion: Option<&Companion>,
    trace: TraceId,
    tracer: &Tracer,
) -> Result<(), Error> {
    let writer = Writer::new(caller.layout.clone(), Disk::new(), caller.durability)
        .with_bytes_free_min(caller.bytes_free_min);
    let pid = std::process::id();
    let received = Received {
        pid,
        origin: caller.origin,
        client: caller.client.clone(),
        time: os::clock::unix_seconds(),
    };
    let mut intake = Intake::begin(&writer, &caller.additions, &received, trace)?;
    if let Some(client) = caller.client.as_ref().filter(|_| caller.tells_origin) {
        intake.write(format!("X-Originating-IP: {}\n", client.ip).as_bytes())?;
    }
    let mut scan = companion.map(begin).transpose()?;
    read_message(|piece| {
        scan.iter_mut().for_each(|scan| scan.write(piece));
        intake.write(piece)
    })?;
    let verdict = match (companion, scan) {
        (Some(companion), Some(scan)) => judge(companion, scan, &mut intake)?,
        _ => Verdict::Queued,
    };

    let mut envelope = Envelope::new(BufReader::new(descriptor(1, "envelope")?));
    let sender = envelope.sender()?;
    if let Verdict::Discarded = verdict {
        while envelope.recipient()?.is_some() {}
        let text = format!("threw away an infected message of uid {}", caller.uid);
        run::info(crate::PROGRAM, &text);
        tracer.discarded(trace, "QHPSI");
        return Ok(());
    }
    let head = EnvelopeHead {
        uid: caller.uid,
        pid,
        sender: &sender,
    };
    let mut addressing = intake.envelope(head)?;
    while let Some(recipient) = envelope.recipient()? {
        addressing.add(recipient)?;
    }
    addressing.wish(&caller.wishes);
    let log_lines = addressing.log_lines();
    let mut event = tracer.event(trace, Kind::Queued);
    event.place = caller.client.as_ref().map(|client| client.ip.to_string());
    addressing.commit(&caller.extra_headers, &mut event)?;
    tracer.send(&event);
    log(caller.log.as_ref(), &log_lines);
    match verdict {
        Verdict::QueuedAndTold => Err(Error::Infected),
        Verdict::Queued | Verdict::Discarded => Ok(()),
    }
}

fn begin(companion: &Companion) -> Result<Scan, Error> {
    companion
        .begin()
        .map_err(|_| Error::NoVerdict(CODE_SCANNER))
}

/// Waits for the scanner and does what it means for the message.
fn judge(companion: &Companion, scan: Scan, intake: &mut Intake<'_>) -> Result<Verdict, Error> {
    let finding = scan.finish().map_err(Error::NoVerdict)?;
    if let Some(line) = finding.header() {
        intake.note(line);
    }
    match companion.scanner.consequence(finding) {
        Consequence::Pass => Ok(Verdict::Queued),
        Consequence::Discard => Ok(Verdict::Discarded),
        Consequence::Refuse => Err(Error::Infected),
        Consequence::Forward(address) => {
            intake.redirect(address);
            Ok(Verdict::Queued)
        }
        Consequence::ForwardAndRefuse(address) => {
            intake.redirect(address);
            Ok(Verdict::QueuedAndTold)
        }
    }
}

/// Tells the fields of `LOGHEADERS`: to the log, or bare on a descriptor that
/// the caller names. The message is queued, so trouble with it is no error.
fn log(file: Option<&File>, lines: &[String]) {
    let Some(mut file) = file else {
        return lines
            .iter()
            .for_each(|line| run::info(crate::PROGRAM, line));
    };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let _ = file.write_all(text.as_bytes());
}

fn read_message(
    mut take: impl FnMut(&[u8]) -> Result<(), queue::Error>,
) -> Result<(), queue::Error> {
    let mut input = descriptor(0, "message")?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(queue::Error::Read {
                    what: "message",
                    source,
                });
            }
        }
    }
}

fn descriptor(number: i32, what: &'static str) -> Result<File, queue::Error> {
    os::fd::inherit_file(number).ok_or_else(|| queue::Error::Read {
        what,
        source: ErrorKind::NotConnected.into(),
    })
}
