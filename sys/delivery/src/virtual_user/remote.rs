//! Handing a message for an unknown user to another host.

use super::{Job, io_trouble};
use crate::outcome::{Outcome, Step};
use crate::program::{self, Captured};

/// Runs qmail-remote with the route `DOMAIN:IP:PORT` and turns its report
/// into an exit code: accepted only when both the recipient and the message
/// were (qmail-remote(8)).
pub(super) fn deliver(job: &Job<'_>, route: &[u8]) -> Step<Outcome> {
    let domain = route.split(|&b| b == b':').next().unwrap_or_default();
    let recipient = [&job.facts.ext[..], b"@", domain].concat();
    let bytes = job.message_bytes()?.to_string();
    let mut message = job
        .message
        .try_clone()
        .map_err(|error| io_trouble("read message", &error))?;
    std::io::Seek::rewind(&mut message).map_err(|error| io_trouble("read message", &error))?;
    let mut environment = job.site.clean.clone();
    environment.push((b"SMTPROUTE".to_vec(), route.to_vec()));
    let bin = job.site.home.bin().join("qmail-remote");
    let remote = program::Job {
        program: std::os::unix::ffi::OsStrExt::as_bytes(bin.as_os_str()).to_vec(),
        arguments: vec![
            domain.to_vec(),
            job.facts.sender.clone(),
            job.facts.extra_headers.clone(),
            bytes.into_bytes(),
            recipient,
        ],
        directory: b"/".to_vec(),
        environment,
        captured: Captured::OutputAndErrors,
    };
    let finished = job
        .site
        .programs
        .run(&remote, vec![(0, message.into())])
        .map_err(|error| io_trouble("run qmail-remote", &error))?;
    Ok(outcome(&finished.output))
}

fn outcome(report: &[u8]) -> Outcome {
    let mut records = report
        .split(|&b| b == 0)
        .filter(|record| !record.is_empty());
    let (recipient, message) = (records.next(), records.next());
    let said =
        |record: Option<&[u8]>| text::log::printable(record.map_or(&b""[..], |r| &r[1..]), 1000);
    match (recipient.map(|r| r[0]), message.map(|m| m[0])) {
        (Some(b'h'), _) | (Some(b'D'), None) => Outcome::permanent(said(recipient)),
        (Some(b'r'), Some(b'K')) => Outcome::with(0, said(message)),
        (Some(b'r'), Some(b'D')) => Outcome::permanent(said(message)),
        (Some(b's'), _) => Outcome::temporary(said(recipient)),
        // No report, or one that was cut: the original says the same.
        _ => Outcome::temporary(said(message.or(recipient))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_success_is_one() {
        let code = |report: &[u8]| outcome(report).code;
        assert_eq!(code(b"rok\0Kaccepted\0"), 0);
        assert_eq!(code(b"hno such user\0Kaccepted\0"), 100);
        assert_eq!(code(b"slater\0Kaccepted\0"), 111);
        assert_eq!(code(b"rok\0Zlost\0"), 111);
        assert_eq!(code(b"rok\0Dno\0"), 100);
        assert_eq!(code(b"rok\0"), 111);
        assert_eq!(code(b""), 111);
    }
}
