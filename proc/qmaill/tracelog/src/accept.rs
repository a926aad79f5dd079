//! Which datagrams are events, and how they are printed.

use std::fmt::Write;

use os::account::{Account, Identity};
use wire::trace::{EVENT_BYTES_MAX, Event};

/// The users of the mail system.
const USERS: [&str; 9] = [
    "alias", "indimail", "qcerts", "qmaild", "qmaill", "qmailp", "qmailq", "qmailr", "qmails",
];

/// Whose events count.
#[derive(Clone, Debug)]
pub struct Senders(Vec<u32>);

impl Senders {
    /// Root and the users of the mail system, as far as they exist; this
    /// process's own user in any case.
    pub fn find() -> Self {
        let known = USERS.iter().filter_map(|name| Account::by_name(name).ok());
        let mut uids: Vec<u32> = known.map(|account| account.identity.uid).collect();
        uids.extend([0, Identity::of_this_process().uid]);
        Self(uids)
    }

    /// Does this user's event count?
    pub fn include(&self, uid: u32) -> bool {
        self.0.contains(&uid)
    }
}

/// Appends a line for each event of a datagram, in printable ASCII whatever
/// its strings hold; `false`, and nothing, when some of it is no event.
pub fn append_lines(lines: &mut String, datagram: &[u8]) -> bool {
    if EVENT_BYTES_MAX < datagram.len() {
        return false;
    }
    let before = lines.len();
    let mut events = datagram.split(|&b| b == b'\n');
    let all = events.all(|event| append_line(lines, event).is_some());
    if !all {
        lines.truncate(before);
    }
    all
}

fn append_line(lines: &mut String, event: &[u8]) -> Option<()> {
    let parsed: Event = serde_json::from_slice(event).ok()?;
    // Our programs send what is printed; anything else is made so.
    if event.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        lines.push_str(std::str::from_utf8(event).ok()?);
        lines.push('\n');
        return Some(());
    }
    let json = serde_json::to_string(&parsed).ok()?;
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            lines.push(character);
        } else {
            // Strings are the only place where others occur; JSON escapes
            // them as UTF-16.
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(lines, "\\u{unit:04x}");
            }
        }
    }
    lines.push('\n');
    Some(())
}

#[cfg(test)]
mod tests {
    use wire::trace::{Kind, TraceId};

    use super::*;

    fn lines(datagram: &[u8]) -> Option<String> {
        let mut lines = "before\n".to_owned();
        let all = append_lines(&mut lines, datagram);
        assert!(all || lines == "before\n");
        all.then(|| lines["before\n".len()..].to_owned())
    }

    #[test]
    fn a_line_is_printable_and_means_the_same() {
        let mut event = Event::new(TraceId::new(1, 2), 1.5, "test", 7, Kind::Queued);
        event.text = Some("a\nb\u{1b}[31m \u{7f} \u{202e} \u{1f600}".to_owned());
        let line = lines(&serde_json::to_vec(&event).unwrap()).unwrap();
        let (text, newline) = line.split_at(line.len() - 1);
        assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text}");
        assert_eq!(newline, "\n");
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), event);
    }

    #[test]
    fn a_datagram_has_one_event_a_line() {
        let event = Event::new(TraceId::new(1, 2), 1.5, "test", 7, Kind::Queued);
        let one = serde_json::to_vec(&event).unwrap();
        let both = [&one[..], &one[..]].join(&b'\n');
        assert_eq!(lines(&both).unwrap().lines().count(), 2);
        assert_eq!(lines(&[&one[..], b"{}"].join(&b'\n')), None);
    }

    #[test]
    fn what_is_no_event_is_dropped() {
        assert_eq!(lines(b""), None);
        assert_eq!(lines(b"{}"), None);
        assert_eq!(lines(b"\xff\xfe"), None);
        assert_eq!(lines(&[b' '; EVENT_BYTES_MAX + 1]), None);
    }
}
