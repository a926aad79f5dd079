//! An SMTP server that takes nothing, on descriptors 0 and 1.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use run::Exit;

/// Longest text that is said.
const TEXT_BYTES_MAX: usize = 200;
/// Longest command that is looked at; more ends the session.
const COMMAND_BYTES_MAX: u64 = 2000;
/// Commands of one session.
const COMMANDS_MAX: usize = 100;

/// Says why, until the client leaves or its time is over.
pub fn serve(ip: &str, permanent: bool, text: &str, seconds: u64) -> Result<(), Exit> {
    let code = if permanent { 553 } else { 451 };
    let text: String = text
        .bytes()
        .take(TEXT_BYTES_MAX)
        .map(|b| match b {
            32..=126 => char::from(b),
            _ => '?',
        })
        .collect();
    let refusal = format!("{code} {text}");
    eprintln!(
        "rblsmtpd:  pid {} from {}: {refusal}",
        std::process::id(),
        text::log::safe(ip.as_bytes())
    );
    let mut out = io::stdout();
    if seconds == 0 {
        let _ = say(&mut out, &refusal);
        return Ok(());
    }
    // However slow the client is, its time ends: this thread writes, and the
    // process does not outlive the clock.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        std::process::exit(0);
    });
    // A client that leaves is no error.
    let _ = session(&mut out, &refusal, ip);
    Ok(())
}

fn session(out: &mut impl Write, refusal: &str, ip: &str) -> io::Result<()> {
    let greeting = std::env::var("RBLGREETING").unwrap_or_default();
    let host = match greeting.as_str() {
        "" => "rblsmtpd.indimail".to_owned(),
        greeting => text::log::printable(greeting.as_bytes(), TEXT_BYTES_MAX),
    };
    say(out, &format!("220 {host}"))?;
    let mut input = BufReader::new(io::stdin());
    for _ in 0..COMMANDS_MAX {
        let mut line = Vec::new();
        let length = (&mut input)
            .take(COMMAND_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        let line = line.trim_ascii();
        let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
        let (verb, argument) = (line[..end].to_ascii_uppercase(), line[end..].trim_ascii());
        let note = |what: &str| {
            eprintln!(
                "rblsmtpd:  pid {} from {}: {refusal}: {what} {}",
                std::process::id(),
                text::log::safe(ip.as_bytes()),
                text::log::safe(path(argument))
            );
        };
        match &verb[..] {
            b"QUIT" => return say(out, &format!("221 {host}")),
            b"MAIL" => {
                note("Sender");
                say(out, &format!("250 {host}"))?;
            }
            b"HELO" | b"EHLO" | b"RSET" | b"NOOP" => say(out, &format!("250 {host}"))?,
            b"VRFY" => say(out, &format!("252 {host}"))?,
            b"RCPT" => {
                note("Recipient");
                say(out, refusal)?;
            }
            _ => say(out, refusal)?,
        }
    }
    say(out, refusal)
}

/// `<a@b>` of `FROM:<a@b>`.
fn path(argument: &[u8]) -> &[u8] {
    let start = argument.iter().position(|&b| b == b'<');
    let end = argument.iter().rposition(|&b| b == b'>');
    match (start, end) {
        (Some(start), Some(end)) if start < end => &argument[start..=end],
        _ => argument,
    }
}

fn say(out: &mut impl Write, line: &str) -> io::Result<()> {
    out.write_all(format!("{line}\r\n").as_bytes())?;
    out.flush()
}
