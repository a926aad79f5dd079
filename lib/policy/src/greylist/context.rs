//! The file a greylisting server keeps its entries in, in both forms: ours
//! and the current servers' (`IP NUL sender NUL length NUL T…NUL time NUL
//! state LF`, read by length), and the text of older ones (`I time ip`,
//! `G time ip from to`).

use std::net::IpAddr;

use super::table::network;
use super::{Key, State};

/// A context file is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed at byte {offset}")]
pub struct BadContext {
    /// Where.
    pub offset: usize,
}

/// Reads a file of either form.
pub fn parse(file: &[u8]) -> Result<Vec<(Key, u64, State)>, BadContext> {
    match file {
        [b'I' | b'G', b' ', ..] => Ok(parse_text(file)),
        _ => parse_records(file),
    }
}

/// Prints entries, each with its one recipient.
pub fn print<'a>(entries: impl Iterator<Item = (&'a Key, u64, State)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, time, state) in entries {
        let recipient = [b"T", &key.recipient[..], b"\0"].concat();
        out.extend_from_slice(key.network.to_string().as_bytes());
        out.push(0);
        out.extend_from_slice(&key.sender);
        out.push(0);
        out.extend_from_slice(recipient.len().to_string().as_bytes());
        out.push(0);
        out.extend_from_slice(&recipient);
        out.extend_from_slice(time.to_string().as_bytes());
        out.extend_from_slice(&[0, number(state), b'\n']);
    }
    out
}

fn parse_records(file: &[u8]) -> Result<Vec<(Key, u64, State)>, BadContext> {
    let mut entries = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let bad = BadContext {
            offset: file.len() - rest.len(),
        };
        let ip = decimal::<IpAddr>(field(&mut rest).ok_or(bad)?).ok_or(bad)?;
        let sender = field(&mut rest).ok_or(bad)?.to_ascii_lowercase();
        let length = decimal::<usize>(field(&mut rest).ok_or(bad)?).ok_or(bad)?;
        let recipients = rest.get(..length).ok_or(bad)?;
        rest = &rest[length..];
        let time = decimal::<u64>(field(&mut rest).ok_or(bad)?).ok_or(bad)?;
        let (&[state, b'\n'], tail) = rest.split_first_chunk::<2>().ok_or(bad)? else {
            return Err(bad);
        };
        rest = tail;
        let Some(state) = of_number(state) else {
            continue;
        };
        for recipient in recipients.split(|&b| b == 0) {
            let Some(recipient) = recipient.strip_prefix(b"T") else {
                continue;
            };
            let key = Key {
                network: network(ip),
                sender: sender.clone(),
                recipient: recipient.to_ascii_lowercase(),
            };
            entries.push((key, time, state));
        }
    }
    Ok(entries)
}

/// Lines that are neither `I` nor `G` are somebody else's.
fn parse_text(file: &[u8]) -> Vec<(Key, u64, State)> {
    let mut entries = Vec::new();
    for line in file.split(|&b| b == b'\n') {
        let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
        let (time, ip, sender, recipient, state) = match words[..] {
            [b"I", time, ip] => (time, ip, &b""[..], &b""[..], State::Passed),
            [b"G", time, ip, sender, recipient] => (time, ip, sender, recipient, State::New),
            _ => continue,
        };
        let (Some(time), Some(ip)) = (decimal(time), decimal::<IpAddr>(ip)) else {
            continue;
        };
        let sender = if sender == b"." { b"" } else { sender };
        let key = Key {
            network: network(ip),
            sender: sender.to_ascii_lowercase(),
            recipient: recipient.to_ascii_lowercase(),
        };
        entries.push((key, time, state));
    }
    entries
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&b| b == 0)?;
    let (field, tail) = rest.split_at(end);
    *rest = &tail[1..];
    Some(field)
}

fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn number(state: State) -> u8 {
    match state {
        State::New => 0,
        State::Early => 1,
        State::Stale => 2,
        State::Known => 4,
        State::Passed => 5,
        State::Bounce => 6,
    }
}

fn of_number(number: u8) -> Option<State> {
    Some(match number {
        0 => State::New,
        1 => State::Early,
        2 => State::Stale,
        4 => State::Known,
        5 => State::Passed,
        6 => State::Bounce,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        let key = |recipient: &str| Key {
            network: "192.0.2.0".parse().unwrap(),
            sender: b"a@b.test".to_vec(),
            recipient: recipient.as_bytes().to_vec(),
        };
        let entries = [
            (key("x@y"), 1000, State::New),
            // A newline is a byte like any other: records have a length.
            (key("odd\nname@y"), 2000, State::Known),
        ];
        let file = print(
            entries
                .iter()
                .map(|(key, time, state)| (key, *time, *state)),
        );
        assert_eq!(parse(&file).unwrap(), entries);
        let foreign = b"192.0.2.9\0A@b.test\x0016\0Tc@d.test\0Te@f\x00100\0\x05\n";
        let recipients: Vec<_> = parse(foreign)
            .unwrap()
            .into_iter()
            .map(|(key, ..)| key.recipient)
            .collect();
        assert_eq!(recipients, [b"c@d.test".to_vec(), b"e@f".to_vec()]);
    }

    #[test]
    fn the_older_text_is_read() {
        let text = b"I 1000 192.0.2.1\nG 2000 192.0.2.2 . c@d.test\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries[0].2, State::Passed);
        assert_eq!((&entries[1].0.sender[..], entries[1].1), (&b""[..], 2000));
    }

    #[test]
    fn no_file_makes_the_reader_panic() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            let _ = parse(&bytes);
            Ok(())
        });
    }
}
