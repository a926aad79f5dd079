//! Text that may appear in a log line, whoever wrote it.

/// Makes foreign text safe for a qmail-send log line: a newline becomes `/`,
/// `%` and every byte outside 0x21..=0x7e become `_` (qmail-send(8)).
pub fn safe(text: &[u8]) -> String {
    text.iter()
        .map(|&b| match b {
            b'\n' => '/',
            b'%' => '_',
            0x21..=0x7e => char::from(b),
            _ => '_',
        })
        .collect()
}

/// Makes foreign text safe for any other log line or reply: bytes outside
/// printable ASCII become `?`, and at most `bytes_max` bytes are kept.
pub fn printable(text: &[u8], bytes_max: usize) -> String {
    text.iter()
        .take(bytes_max)
        .map(|&b| {
            if matches!(b, 0x20..=0x7e) {
                char::from(b)
            } else {
                '?'
            }
        })
        .collect()
}

/// Makes what a client says one word of a line of `name=value` pairs: programs
/// that read logs must not take a part of a user name for an address.
pub fn word(text: &[u8], bytes_max: usize) -> String {
    text.iter()
        .take(bytes_max)
        .map(|&b| match b {
            b',' | b'[' | b']' | b'=' => '?',
            0x21..=0x7e => char::from(b),
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Attack 28.
    #[test]
    fn a_user_name_cannot_name_another_address() {
        let name = word(b"a], ip=[1.2.3.4]\nx\x1b", 200);
        assert_eq!(name, "a???ip??1.2.3.4??x?");
    }

    #[test]
    fn nothing_a_peer_says_can_end_or_colour_a_log_line() {
        assert_eq!(safe(b"a b%\x1b[31m\nc\xff"), "a_b__[31m/c_");
        assert_eq!(printable(b"one\r\ntwo\x1b", 100), "one??two?");
        assert_eq!(printable(b"abcdef", 3), "abc");
    }
}
