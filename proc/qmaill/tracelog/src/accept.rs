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

/// The line of an event, in printable ASCII whatever its strings hold; `None`
/// when the bytes are no event.
pub fn line(datagram: &[u8]) -> Option<String> {
    if EVENT_BYTES_MAX < datagram.len() {
        return None;
    }
    let event: Event = serde_json::from_slice(datagram).ok()?;
    let json = serde_json::to_string(&event).ok()?;
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            line.push(character);
        } else {
            // Strings are the only place where others occur; JSON escapes
            // them as UTF-16.
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
    line.push('\n');
    Some(line)
}

#[cfg(test)]
mod tests {
    use wire::trace::{Kind, TraceId};

    use super::*;

    #[test]
    fn a_line_is_printable_and_means_the_same() {
        let mut event = Event::new(TraceId::new(1, 2), 1.5, "test", 7, Kind::Queued);
        event.text = Some("a\nb\u{1b}[31m \u{7f} \u{202e} \u{1f600}".to_owned());
        let line = line(&serde_json::to_vec(&event).unwrap()).unwrap();
        let (text, newline) = line.split_at(line.len() - 1);
        assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text}");
        assert_eq!(newline, "\n");
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), event);
    }

    #[test]
    fn what_is_no_event_is_dropped() {
        assert_eq!(line(b"{}"), None);
        assert_eq!(line(b"\xff\xfe"), None);
        assert_eq!(line(&[b' '; EVENT_BYTES_MAX + 1]), None);
    }
}
