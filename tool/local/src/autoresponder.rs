//! autoresponder: answers a message with a text (RFC 3834).
//!
//! Silent whenever an answer could do harm: to bounces, lists, other robots,
//! and to whoever got one already. The answer has an empty envelope sender,
//! so that nothing answers it.

mod decision;
mod limit;
mod options;
mod reply;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use run::{Exit, Home, Settings};
use settings::{sending, site};

use crate::message;
use decision::Envelope;
use limit::Limit;
use options::Options;

/// Longest text file.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Longest header that is looked at.
const HEADER_BYTES_MAX: usize = 1 << 20;

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let options = Options::parse(arguments)?;
    match answer(&options) {
        Err(exit) if options.quiet => Err(Exit::new(exit.code, "")),
        result => result.map(|()| 0),
    }
}

fn answer(options: &Options) -> Result<(), Exit> {
    let now = os::clock::unix_seconds();
    if !options.is_time(now) {
        return Ok(());
    }
    let envelope = Envelope {
        sender: message::needed("SENDER")?,
        recipient: recipient()?,
    };
    let file = message::standard_input()?;
    let header = header(&file).map_err(trouble("unable to read message"))?;
    let settings = Settings::of_process(&Home::find());
    let listed = listed(&settings, &envelope.sender)?;
    let is_addressed = options.unaddressed || envelope.is_addressed(&header);
    if listed || !is_addressed || !envelope.may_be_answered(&header) {
        return Ok(());
    }
    let text = read_text(options)?;
    let reply = reply::compose(&reply::Parts {
        options,
        envelope: &envelope,
        header: &header,
        original: &file,
        text: &text,
        from: &from(options, &settings, &envelope)?,
        me: &line(&settings, &site::ME)?.unwrap_or_else(|| os::account::host_name().into_bytes()),
        now,
    })
    .map_err(trouble("unable to read message"))?;
    if options.print {
        return io::stdout()
            .write_all(&reply)
            .map_err(trouble("unable to write"));
    }
    let limit = Limit {
        directory: &options.directory,
        replies_max: options.replies_max,
        window_seconds: options.window_seconds,
        links: options.links,
    };
    // Remembered first: who is in doubt keeps silent.
    let Some(remembered) = limit.take(&envelope.sender, now)? else {
        return Ok(());
    };
    let reply = delivery::memory_file(&reply).map_err(trouble("out of memory"))?;
    let recipients = [envelope.sender.clone()];
    let queued = message::queue("autoresponder", b"", &reply, b"", &recipients);
    if let Err(error) = queued {
        remembered.forget();
        return Err(error);
    }
    Ok(())
}

fn recipient() -> Result<Vec<u8>, Exit> {
    match message::variable("RECIPIENT") {
        Some(recipient) => Ok(recipient),
        None => Ok([
            &message::needed("LOCAL")?[..],
            b"@",
            &message::needed("HOST")?,
        ]
        .concat()),
    }
}

fn header(file: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0; HEADER_BYTES_MAX];
    let mut length = 0;
    while length < text.len() {
        match file.read_at(&mut text[length..], length as u64)? {
            0 => break,
            got => length += got,
        }
    }
    text.truncate(::message::body_offset(&text[..length]));
    Ok(text)
}

fn read_text(options: &Options) -> Result<Vec<u8>, Exit> {
    let path = &options.text;
    let shown = format!("unable to read {}", path.display());
    let file = File::open(path).map_err(trouble(&shown))?;
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, TEXT_BYTES_MAX), &mut text)
        .map_err(trouble(&shown))?;
    Ok(text)
}

/// Senders a site takes for addresses nobody should write to.
fn listed(settings: &Settings, sender: &[u8]) -> Result<bool, Exit> {
    let file = |name| {
        let content = settings.file(name);
        content.map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))
    };
    let at = sender.iter().rposition(|&b| b == b'@');
    let host = at.map(|at| &sender[at..]);
    let exact = file("badrcptto")?.unwrap_or_default();
    let named = text::control::list(&exact).any(|line| {
        line.eq_ignore_ascii_case(sender)
            || host.is_some_and(|host| line.eq_ignore_ascii_case(host))
    });
    let patterns = file("badrcptpatterns")?.unwrap_or_default();
    Ok(
        text::control::list(&patterns).fold(named, |verdict, line| match line.strip_prefix(b"!") {
            Some(pattern) => verdict && !text::wildmat::matches(pattern, sender),
            None => verdict || text::wildmat::matches(line, sender),
        }),
    )
}

fn from(options: &Options, settings: &Settings, envelope: &Envelope) -> Result<Vec<u8>, Exit> {
    if let Some(from) = &options.from {
        return Ok(from.clone());
    }
    let Some(name) = message::variable("SERVICE_RESPONDER") else {
        return Ok(address::Quoted(&envelope.recipient).to_vec());
    };
    let user = line(settings, &sending::BOUNCEFROM)?.unwrap_or_else(|| b"MAILER-DAEMON".to_vec());
    let host = match line(settings, &sending::BOUNCEHOST)? {
        Some(host) => host,
        None => line(settings, &site::ME)?.unwrap_or_else(|| b"bouncehost".to_vec()),
    };
    let plain: Vec<u8> = name
        .into_iter()
        .filter(|b| !matches!(b, b'"' | b'\\'))
        .collect();
    Ok([b"\"", &plain[..], b"\" <", &user, b"@", &host, b">"].concat())
}

fn line(settings: &Settings, setting: &settings::Setting) -> Result<Option<Vec<u8>>, Exit> {
    let value = settings.line(setting);
    value.map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))
}

fn trouble(what: &str) -> impl Fn(io::Error) -> Exit {
    let what = what.to_owned();
    move |error| Exit::new(run::TEMPORARY, format!("{what}: {error}"))
}
