//! From two descriptors to the disk.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};

use message::Received;
use queue::{Disk, Envelope, EnvelopeHead, Error, Intake, Writer};
use run::Tracer;
use wire::trace::{Kind, TraceId};

use crate::caller::Caller;

const READ_BYTES: usize = 64 * 1024;

/// Takes one message; when this returns without an error, it is on disk.
pub fn accept(caller: &Caller, trace: TraceId, tracer: &Tracer) -> Result<(), Error> {
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
    read_message(|piece| intake.write(piece))?;

    let mut envelope = Envelope::new(BufReader::new(descriptor(1, "envelope")?));
    let sender = envelope.sender()?;
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
    Ok(())
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

fn read_message(mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut input = descriptor(0, "message")?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(Error::Read {
                    what: "message",
                    source,
                });
            }
        }
    }
}

fn descriptor(number: i32, what: &'static str) -> Result<File, Error> {
    os::fd::inherit_file(number).ok_or_else(|| Error::Read {
        what,
        source: ErrorKind::NotConnected.into(),
    })
}
