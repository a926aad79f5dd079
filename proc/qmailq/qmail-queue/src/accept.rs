//! From two descriptors to the disk.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};

use message::Received;
use queue::{Disk, EnvelopeHead, Error, Writer, message_id};
use run::Tracer;
use wire::trace::{Kind, TraceId};

use crate::caller::Caller;
use crate::envelope::Envelope;

const READ_BYTES: usize = 64 * 1024;
/// Most recipients named in the trace event.
const RECIPIENTS_TRACED_MAX: usize = 50;

/// Takes one message; when this returns without an error, it is on disk.
pub fn accept(caller: &Caller, trace: TraceId, tracer: &Tracer) -> Result<(), Error> {
    let writer = Writer::new(caller.layout.clone(), Disk::new(), caller.durability)
        .with_bytes_free_min(caller.bytes_free_min);
    let mut text = writer.begin()?;
    let received = Received {
        pid: std::process::id(),
        origin: caller.origin,
        client: caller.client.clone(),
        time: os::clock::unix_seconds(),
    };
    let line = received.to_string();
    text.write(line.as_bytes())?;
    let mut bytes = line.len() as u64;
    let mut collector = caller.additions.collector();
    read_message(|piece| {
        collector.push(piece);
        bytes += piece.len() as u64;
        text.write(piece)
    })?;

    let mut envelope = Envelope::new(BufReader::new(descriptor(1, "envelope")?));
    let sender = envelope.sender()?;
    let pid = std::process::id();
    let mut recipients = text.envelope(EnvelopeHead {
        uid: caller.uid,
        pid,
        sender: &sender,
    })?;
    let mut event = tracer.event(trace, Kind::Queued);
    for recipient in caller.additions.recipients() {
        recipients.add(recipient)?;
    }
    while let Some(recipient) = envelope.recipient()? {
        recipients.add(recipient)?;
        if event.recipients.len() < RECIPIENTS_TRACED_MAX {
            event
                .recipients
                .push(text::log::printable(recipient, recipient.len()));
        }
    }
    let collected = collector.finish();
    let env_headers = caller.additions.env_headers(trace, &collected);
    let queued = recipients.commit(&caller.extra_headers, &env_headers)?;

    event.queue = Some(caller.layout.name());
    event.message = Some(queued.id);
    event.sender = Some(text::log::printable(&sender, sender.len()));
    event.message_id = message_id(&collected);
    event.bytes = Some(bytes);
    event.place = caller.client.as_ref().map(|client| client.ip.to_string());
    tracer.send(&event);
    Ok(())
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
