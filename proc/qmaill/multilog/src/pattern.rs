//! The patterns of `+` and `-`.

/// Says whether the whole of `text` matches: a star before a character is any
/// run of other characters, a star at the end is everything.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut rest = text;
    let mut letters = pattern.iter();
    while let Some(&letter) = letters.next() {
        if letter != b'*' {
            match rest.split_first() {
                Some((&first, after)) if first == letter => rest = after,
                _ => return false,
            }
            continue;
        }
        let Some(&stop) = letters.next() else {
            return true;
        };
        match rest.iter().position(|&byte| byte == stop) {
            Some(at) => rest = &rest[at + 1..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stops_at_the_next_character() {
        assert!(matches(b"*", b""));
        assert!(matches(b"*", b"anything"));
        assert!(matches(b"a*", b"abc"));
        assert!(matches(b"* b", b"@4000 b"));
        assert!(!matches(b"* b", b"@4000 c b"));
        assert!(matches(b"* * b", b"x y b"));
        assert!(!matches(b"a", b"ab"));
        assert!(!matches(b"ab", b"a"));
        assert!(matches(b"", b""));
    }
}
