//! The quoted form of an address (queue-and-delivery.md §0.5).

/// Prints an address as headers and SMTP want it.
pub struct Quoted<'a>(pub &'a [u8]);

impl Quoted<'_> {
    /// The local part bare where it may be, else as a quoted string; then the
    /// `@` and the domain as they are. The empty address stays empty.
    pub fn to_vec(&self) -> Vec<u8> {
        let at = self
            .0
            .iter()
            .rposition(|&b| b == b'@')
            .unwrap_or(self.0.len());
        let (local, rest) = self.0.split_at(at);
        if self.0.is_empty() || is_dot_atom(local) {
            return self.0.to_vec();
        }
        let mut out = vec![b'"'];
        for &byte in local {
            if matches!(byte, b'\r' | b'\n' | b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
        out.extend_from_slice(rest);
        out
    }
}

/// RFC 5322 §3.2.3, and 8-bit bytes as RFC 6531 allows.
fn is_dot_atom(local: &[u8]) -> bool {
    !local.is_empty()
        && local
            .split(|&b| b == b'.')
            .all(|atom| !atom.is_empty() && atom.iter().all(is_atext))
}

fn is_atext(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_{|}~`".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert_eq!(Quoted(b"ann.b@c").to_vec(), b"ann.b@c");
        assert_eq!(Quoted(b"a b@c").to_vec(), b"\"a b\"@c");
        assert_eq!(Quoted(b"a\"\\@c").to_vec(), b"\"a\\\"\\\\\"@c");
        assert_eq!(Quoted(b".a@c").to_vec(), b"\".a\"@c");
        assert_eq!(Quoted(b"a..b@c").to_vec(), b"\"a..b\"@c");
        assert_eq!(Quoted(b"@c").to_vec(), b"\"\"@c");
        assert_eq!(Quoted(b"").to_vec(), b"");
    }
}
