//! qmail-send ↔ qmail-lspawn and qmail-rspawn (queue-and-delivery.md §5.1).
//!
//! The spawner first writes its limit of deliveries; then come commands one
//! way and reports the other, in any order. The bytes are the guide's.

/// Longest command; a spawner that reads more without its end gives up.
pub const COMMAND_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a report qmail-send keeps; the rest is ignored.
pub const REPORT_BYTES_MAX: usize = 10_000;

/// What qmail-remote says behind the server's address when that server will
/// tell the sender of success, so that nobody else has to (RFC 3461 §5.2.2).
/// Said only when the sender wants to know.
pub const ACCEPTED_WITH_REPORTS: &str = "accepted message and will report";

/// Starts one delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Slot of the delivery, below the spawner's limit.
    pub slot: u16,
    /// File name relative to `mess/`, like `7/1234`.
    pub message: Vec<u8>,
    /// Envelope sender, VERP expanded.
    pub sender: Vec<u8>,
    /// Header lines put in front at delivery (QQEH).
    pub extra_headers: Vec<u8>,
    /// Header lines that become variables (ENVHEADERS).
    pub env_headers: Vec<u8>,
    /// Rewritten recipient.
    pub recipient: Vec<u8>,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// `K`: the recipient has it.
    Success,
    /// `Z`: try again later.
    Deferral,
    /// `D`: never.
    Failure,
    /// Another letter: the spawner is confused; defer.
    Mangled,
}

/// What a spawner says of one delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Slot of the delivery.
    pub slot: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Text after the letter, at most [`REPORT_BYTES_MAX`] bytes.
    pub text: Vec<u8>,
}

/// Appends a command. NUL bytes inside a field would move the fields after
/// it, so a field ends at its first NUL.
pub fn append_command(out: &mut Vec<u8>, command: &Command) {
    out.extend_from_slice(&command.slot.to_le_bytes());
    for field in [
        &command.message,
        &command.sender,
        &command.extra_headers,
        &command.env_headers,
        &command.recipient,
    ] {
        append_field(out, field);
    }
}

/// Appends a report.
pub fn append_report(out: &mut Vec<u8>, report: &Report) {
    out.extend_from_slice(&report.slot.to_le_bytes());
    out.push(match report.outcome {
        Outcome::Success => b'K',
        Outcome::Failure => b'D',
        Outcome::Deferral | Outcome::Mangled => b'Z',
    });
    append_field(out, &report.text);
}

fn append_field(out: &mut Vec<u8>, field: &[u8]) {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    out.extend_from_slice(&field[..end]);
    out.push(0);
}

/// Takes one command from the start of `input`, with the bytes it used.
pub fn take_command(input: &[u8]) -> Option<(Command, usize)> {
    let (slot, mut rest) = input.split_first_chunk::<2>()?;
    let mut field = || {
        let end = rest.iter().position(|&b| b == 0)?;
        let (field, tail) = rest.split_at(end);
        rest = &tail[1..];
        Some(field.to_vec())
    };
    let command = Command {
        slot: u16::from_le_bytes(*slot),
        message: field()?,
        sender: field()?,
        extra_headers: field()?,
        env_headers: field()?,
        recipient: field()?,
    };
    Some((command, input.len() - rest.len()))
}

/// Takes one report from the start of `input`, with the bytes it used.
pub fn take_report(input: &[u8]) -> Option<(Report, usize)> {
    let (slot, rest) = input.split_first_chunk::<2>()?;
    let end = rest.iter().position(|&b| b == 0)?;
    let (letter, text) = rest[..end].split_first().unwrap_or((&0, &[]));
    let outcome = match letter {
        b'K' => Outcome::Success,
        b'Z' => Outcome::Deferral,
        b'D' => Outcome::Failure,
        _ => Outcome::Mangled,
    };
    let text = text[..text.len().min(REPORT_BYTES_MAX)].to_vec();
    Some((
        Report {
            slot: u16::from_le_bytes(*slot),
            outcome,
            text,
        },
        2 + end + 1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_back_as_it_went() {
        let command = Command {
            slot: 258,
            message: b"3/26".to_vec(),
            sender: b"ann@example.org".to_vec(),
            extra_headers: b"X-A: b\n".to_vec(),
            env_headers: Vec::new(),
            recipient: b"bob@example.org".to_vec(),
        };
        let mut wire = Vec::new();
        append_command(&mut wire, &command);
        assert_eq!(&wire[..2], [2, 1]);
        assert_eq!(take_command(&wire[..wire.len() - 1]), None);
        assert_eq!(take_command(&wire), Some((command, wire.len())));
    }

    #[test]
    fn a_report_with_a_strange_letter_is_mangled() {
        let (report, used) = take_report(b"\x01\x00Qhuh\0next").unwrap();
        assert_eq!((report.outcome, used), (Outcome::Mangled, 7));
        assert_eq!(
            take_report(b"\x01\x00\0").unwrap().0.outcome,
            Outcome::Mangled
        );
    }
}
