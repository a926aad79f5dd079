//! The `wildmat` patterns of the control files (smtp-receiving.md §0.6).
//!
//! Anchored at both ends, bytewise: `*` any run, `?` one byte, `[...]` a set,
//! `[^...]` its complement, `\c` the byte c. ASCII case is ignored.
//! Linear in memory and at most quadratic in time, whatever the pattern says.

/// Says whether the whole of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go back to: after the last star, and the text it has eaten.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        match (p < pattern.len(), text.get(t)) {
            (false, None) => return true,
            (true, Some(&byte)) => {
                if let Some(used) = one(&pattern[p..], byte.to_ascii_lowercase()) {
                    p += used;
                    t += 1;
                    continue;
                }
            }
            _ => {}
        }
        match retry {
            Some((after_star, eaten)) if eaten < text.len() => {
                retry = Some((after_star, eaten + 1));
                p = after_star;
                t = eaten + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one byte (lower case) against the element at the start of
/// `pattern`; the length of that element when it matches.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', quoted, ..] => (quoted.to_ascii_lowercase() == byte).then_some(2),
        [b'[', ..] => set(pattern, byte),
        [literal, ..] => (literal.to_ascii_lowercase() == byte).then_some(1),
        [] => None,
    }
}

fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let start = if negated { 2 } else { 1 };
    // `]` directly after the opening is a member, not the end.
    let length = pattern[start..].iter().skip(1).position(|&b| b == b']')? + 1;
    let members = &pattern[start..start + length];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        let low = members[i].to_ascii_lowercase();
        if i + 2 < members.len() && members[i + 1] == b'-' {
            found |= (low..=members[i + 2].to_ascii_lowercase()).contains(&byte);
            i += 3;
        } else {
            found |= low == byte;
            i += 1;
        }
    }
    (found != negated).then_some(start + length + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_sets_and_quotes() {
        assert!(matches(b"*@example.com", b"ann@EXAMPLE.com"));
        assert!(matches(b"a?c", b"abc"));
        assert!(!matches(b"a?c", b"ac"));
        assert!(matches(b"[a-c]x", b"bx"));
        assert!(!matches(b"[^a-c]x", b"bx"));
        assert!(matches(b"[]]x", b"]x"));
        assert!(matches(b"\\*", b"*"));
        assert!(!matches(b"\\*", b"a"));
        assert!(matches(b"*", b""));
        assert!(!matches(b"", b"a"));
        assert!(!matches(b"[abc", b"a"));
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = b"*a".repeat(200);
        let text = b"a".repeat(199);
        assert!(!matches(&pattern, &text));
    }
}
