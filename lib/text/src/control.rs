//! How the content of a control file is read (queue-and-delivery.md §0.2).
//!
//! The readers differ in what they make of comments, blanks and further
//! lines; which one a file uses is declared in the registry of settings.

/// Bytes removed at the end of a line: space, tab, newline and (so that files
/// edited on other systems work) carriage return.
fn trim_right(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    &line[..end.map_or(0, |last| last + 1)]
}

/// Reads the first line; `#` is data. `None` when that line is empty.
pub fn line(content: &[u8]) -> Option<&[u8]> {
    let first = content.split(|&b| b == b'\n').next().unwrap_or_default();
    Some(trim_right(first)).filter(|line| !line.is_empty())
}

/// Reads the leading decimal integer of the first line; what follows the
/// digits is ignored. `None` when there are no digits or too many.
pub fn integer(content: &[u8]) -> Option<i64> {
    let first = line(content)?;
    let (negative, digits) = match first {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let end = digits
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(digits.len());
    let value: i64 = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    Some(if negative { -value } else { value })
}

/// Reads every line that is neither empty nor a `#` comment.
pub fn list(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|&b| b == b'\n')
        .map(trim_right)
        .filter(|line| !line.is_empty() && line[0] != b'#')
}

/// Looks a key up in `key:value` lines, ignoring ASCII case; of two lines
/// with the same key the later wins.
pub fn lookup<'a>(content: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    for line in list(content) {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            continue;
        };
        if line[..colon].eq_ignore_ascii_case(key) {
            found = Some(&line[colon + 1..]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_hash_and_loses_trailing_blanks() {
        assert_eq!(
            line(b"#not a comment \t\r\nsecond\n"),
            Some(&b"#not a comment"[..])
        );
        assert_eq!(line(b"\nsecond\n"), None);
        assert_eq!(line(b""), None);
    }

    #[test]
    fn an_integer_ignores_what_follows_its_digits() {
        assert_eq!(integer(b"20 seconds\n"), Some(20));
        assert_eq!(integer(b"-3\n"), Some(-3));
        assert_eq!(integer(b"many\n"), None);
        assert_eq!(integer(b"99999999999999999999\n"), None);
    }

    #[test]
    fn a_list_drops_comments_and_empty_lines() {
        let lines: Vec<_> = list(b"a \n#b\n\n  c").collect();
        assert_eq!(lines, [&b"a"[..], b"  c"]);
    }

    #[test]
    fn the_later_of_two_equal_keys_wins() {
        assert_eq!(
            lookup(b"A.org:one\na.ORG:two\nno colon\n", b"a.org"),
            Some(&b"two"[..])
        );
    }
}
