//! qmail-dkim: signs a message, or verifies its signatures, and hands it to
//! the next program before the queue (smtp-receiving.md §5.8).
//!
//! Runs as whoever calls it, with the interface of qmail-queue(8): the message
//! on descriptor 0, the envelope on 1. A private key is read as the caller,
//! who is trusted with it then; mail that qmail-remote signs needs no such
//! trust, because the signer keeps that key.
//!
//! Differs from the original: no SHA-1, no `l=`, no signature by a key of less
//! than 1024 bits; `From` is signed once more than it is there. ADSP and SSP
//! are gone; the files of domains are asked.

mod sign;
mod verify;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use os::child::Setup;
use run::{Exit, Home, Settings};
use settings::front_ends::{DKIMQUEUE, DKIMSIGN_KEY, DKIMVERIFY, ERROR_FD};
use settings::queue::DEATH;

const USAGE: &str = "\
usage: qmail-dkim [program [argument...]] < message 1< envelope

Signs a message with the key of DKIMSIGN, or verifies its signatures where
DKIMVERIFY is set, and becomes DKIMQUEUE with the arguments, or the program that
they name, or qmail-multi.
Exit codes: those of the program; 35 there is no such key, 54 cannot read, 68 no
temporary file, 88 refused, as descriptor ERROR_FD (2) says.
";

/// Largest message that is signed or verified.
const MESSAGE_BYTES_MAX: u64 = 512 << 20;
const CODE_CUSTOM: u8 = 88;
const CODE_EXEC: u8 = 120;
const CODE_READ: u8 = 54;
const CODE_SETTINGS: u8 = 55;

fn main() -> ExitCode {
    run::process("qmail-dkim", || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if matches!(&arguments[..], [only] if only == "--help") {
            // Descriptor 1 is for reading.
            eprint!("{USAGE}");
            return Ok(0);
        }
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let seconds = settings.integer(&DEATH).map_err(unreadable)?;
        os::signal::exit_52_after(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        work(&home, &settings, arguments)
    })
}

fn work(home: &Home, settings: &Settings, arguments: Vec<OsString>) -> Result<u8, Exit> {
    let missing = || Exit::new(CODE_READ, "no message on descriptor 0");
    let input = os::fd::inherit_file(0).ok_or_else(missing)?;
    let mut file = filter::spool(&input).map_err(failed)?;
    let mut message = Vec::new();
    let read = Read::by_ref(&mut file)
        .take(MESSAGE_BYTES_MAX)
        .read_to_end(&mut message);
    read.map_err(|error| failed(filter::Error::Temporary(error)))?;
    let set = |name: &str| settings.variable(name).is_some();
    let relays = ["RELAYCLIENT", "AUTHINFO"].into_iter().any(set);
    let header = if set(DKIMSIGN_KEY.variable) {
        sign::field(home, settings, &DKIMSIGN_KEY, &message)
    } else if set(DKIMVERIFY.variable) {
        verify::fields(settings, &message)
    } else if relays && sign::has_key(home, settings, &message)? {
        sign::field(home, settings, &settings::front_ends::DKIMKEY, &message)
    } else {
        verify::fields(settings, &message)
    };
    let header = match header {
        Ok(header) => header,
        Err(Refusal::Exit(exit)) => return Err(exit),
        Err(Refusal::Custom(text)) => {
            say(settings, &text);
            return Ok(CODE_CUSTOM);
        }
    };
    let whole = match header.is_empty() {
        true => file,
        false => with_header(&header, file)?,
    };
    Err(become_next(home, settings, arguments, whole)?)
}

/// Why a message goes no further.
enum Refusal {
    Exit(Exit),
    /// A verdict in our own words: `D` or `Z`, then the text.
    Custom(String),
}

impl From<Exit> for Refusal {
    fn from(exit: Exit) -> Self {
        Self::Exit(exit)
    }
}

fn unreadable(error: run::SettingError) -> Exit {
    Exit::new(CODE_SETTINGS, run::chain(&error))
}

fn failed(error: filter::Error) -> Exit {
    Exit::new(error.exit_code(), run::chain(&error))
}

/// Tells the caller why, where it listens.
fn say(settings: &Settings, text: &str) {
    let number = settings.integer(&ERROR_FD).unwrap_or(2);
    let line = format!("{text}\n");
    // A caller who does not listen has the exit code.
    let _ = match i32::try_from(number) {
        Ok(2) => std::io::stderr().write_all(line.as_bytes()),
        Ok(number) if 2 < number => match os::fd::inherit_file(number) {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        },
        _ => Ok(()),
    };
}

fn with_header(header: &[u8], mut message: File) -> Result<File, Exit> {
    let mut whole = filter::temporary_file().map_err(failed)?;
    let copied = whole
        .write_all(header)
        .and_then(|()| message.rewind())
        .and_then(|()| std::io::copy(&mut message, &mut whole));
    copied.map_err(|error| failed(filter::Error::Temporary(error)))?;
    Ok(whole)
}

/// Becomes the next program; comes back when that cannot be.
fn become_next(
    home: &Home,
    settings: &Settings,
    arguments: Vec<OsString>,
    mut message: File,
) -> Result<Exit, Exit> {
    let named = settings.variable(DKIMQUEUE.variable);
    let mut line = match named.filter(|value| !value.is_empty()) {
        Some(value) => filter::words(value, settings).map_err(failed)?,
        None => Vec::new(),
    };
    line.extend(arguments);
    if line.is_empty() {
        line.push("qmail-multi".into());
    }
    let rewound = message.rewind();
    rewound.map_err(|error| failed(filter::Error::Temporary(error)))?;
    let mut command = Command::new(inject::locate(home, &line[0]));
    command.args(&line[1..]);
    let setup = Setup {
        descriptors: vec![(0, message.into())],
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let error = command.exec();
    let shown = text::log::printable(line[0].as_bytes(), 200);
    Ok(Exit::new(CODE_EXEC, format!("cannot run {shown}: {error}")))
}

/// A value of the settings as a path or a name.
fn os_text(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}

/// The domain of the first address in a field, lower case.
fn domain_of(value: &[u8]) -> Option<String> {
    let list = message::AddressList::parse(value).ok()?;
    let address = list.bare().next()?;
    let at = address.iter().rposition(|&b| b == b'@')?;
    domain(&address[at + 1..])
}

/// A name that can be one; it becomes part of a path.
fn domain(text: &[u8]) -> Option<String> {
    let domain = address::Domain::parse(std::str::from_utf8(text).ok()?).ok()?;
    Some(domain.as_str().to_owned())
}

/// The value of a field that is there once.
fn single(message: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut found = message::fields(message).filter(|field| field.is(name));
    let (first, None) = (found.next()?, found.next()) else {
        return None;
    };
    Some(first.unfolded())
}

/// Says whether a name is not one in the control directory.
fn is_path(text: &OsStr) -> bool {
    text.as_bytes().starts_with(b"/") || text.as_bytes().starts_with(b".")
}
