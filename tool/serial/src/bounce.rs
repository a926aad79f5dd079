//! Tells a sender that a message of a maildir could not be sent on (QSBMF).

use std::io::{self, Read, Seek};

use inject::{Refused, Submission, Way};
use run::{Exit, Home, Settings, Tracer};
use settings::sending::{BOUNCEFROM, BOUNCEHOST, BOUNCESUBJECT, DOUBLEBOUNCEHOST, DOUBLEBOUNCETO};

use crate::maildir::Message;
use crate::temporary;

/// Sender of a bounce that could itself not be delivered.
const DOUBLE_BOUNCE: &[u8] = b"#@[]";

/// Queues a bounce for a message; the text is why.
pub fn bounce(mut message: Message, recipient: &[u8], text: &[u8]) -> Result<(), Exit> {
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let line = |setting| -> Result<Vec<u8>, Exit> {
        let value = settings.line(setting);
        Ok(value
            .map_err(|e| temporary(run::chain(&e)))?
            .unwrap_or_default())
    };
    let (sender, to) = match &message.sender[..] {
        DOUBLE_BOUNCE => {
            run::warn("maildirserial", "a double bounce fails; thrown away");
            return Ok(());
        }
        b"" => {
            let local = line(&DOUBLEBOUNCETO)?;
            let to = [&local[..], b"@", &line(&DOUBLEBOUNCEHOST)?].concat();
            (DOUBLE_BOUNCE, to)
        }
        sender => (&b""[..], verp_sender(sender)),
    };
    let host = line(&BOUNCEHOST)?;
    let from = [&line(&BOUNCEFROM)?[..], b"@", &host].concat();
    let now = os::clock::unix_seconds();
    let quoted = |address: &[u8]| {
        address
            .iter()
            .map(|&b| if b < b' ' { b'_' } else { b })
            .collect::<Vec<u8>>()
    };
    let head = [
        format!("Date: {}\n", tai::header_date(now)).as_bytes(),
        b"From: ",
        &quoted(&from),
        b"\nTo: ",
        &quoted(&to),
        b"\nSubject: ",
        &line(&BOUNCESUBJECT)?,
        b"\n\nHi. This is the maildirbounce program at ",
        &host,
        b".\nA message of yours could not be sent on from here to the address below,\nand will not be tried again.\n\n",
        &schedule::paragraph(recipient, text),
        b"--- Below this line is a copy of the message.\n\nReturn-Path: <",
        &quoted(&message.sender),
        b">\n",
    ]
    .concat();
    let refused = |refused: Refused| temporary(format!("unable to queue a bounce: {refused}"));
    let way = Way::choose(&home, &settings, &[]).map_err(refused)?;
    let trace = Tracer::new_id();
    let mut submission = Submission::begin(&home, &way, trace, None, b"").map_err(refused)?;
    submission.write(&head).map_err(refused)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match message.file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => submission.write(&buffer[..length]).map_err(refused)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(temporary(format!("unable to read a message: {error}"))),
        }
    }
    submission
        .commit(sender, vec![to], Vec::new())
        .map(drop)
        .map_err(refused)?;
    message
        .file
        .rewind()
        .map_err(|error| temporary(error.to_string()))
}

/// A sender for each recipient is asked for with a mark that is no part of an
/// address.
fn verp_sender(sender: &[u8]) -> Vec<u8> {
    sender.strip_suffix(b"-@[]").unwrap_or(sender).to_vec()
}
