//! What an operator holds.

use std::collections::BTreeSet;

/// Messages, recipients and channels that wait until they are released.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holds {
    /// The local and the remote channel.
    pub channels: [bool; 2],
    /// Messages by number.
    pub messages: BTreeSet<u64>,
    /// Domains of recipients in lower case; one that begins with a dot stands
    /// for everything below it.
    pub domains: BTreeSet<Vec<u8>>,
}

impl Holds {
    /// Says whether the recipient's domain is held.
    pub fn recipient(&self, recipient: &[u8]) -> bool {
        self.domain_of(recipient).is_some()
    }

    /// The hold that stops a recipient.
    pub fn domain_of(&self, recipient: &[u8]) -> Option<&[u8]> {
        if self.domains.is_empty() {
            return None;
        }
        let at = recipient.iter().rposition(|&b| b == b'@')?;
        let domain = recipient[at + 1..].to_ascii_lowercase();
        let dots = domain.iter().enumerate().filter(|(_, b)| **b == b'.');
        let below = dots.map(|(at, _)| &domain[at..]);
        std::iter::once(&domain[..])
            .chain(below)
            .find_map(|name| self.domains.get(name))
            .map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_what_is_below_it_only_with_a_dot() {
        let domains = [b"a.example".to_vec(), b".b.example".to_vec()];
        let holds = Holds {
            domains: domains.into(),
            ..Holds::default()
        };
        for (recipient, is_held) in [
            (&b"x@a.example"[..], true),
            (b"x@A.Example", true),
            (b"x@sub.a.example", false),
            (b"x@sub.b.example", true),
            (b"x@very.sub.b.example", true),
            (b"x@b.example", false),
            (b"a.example", false),
            (b"a.example@c.example", false),
            (b"@", false),
        ] {
            assert_eq!(holds.recipient(recipient), is_held, "{recipient:?}");
        }
    }
}
