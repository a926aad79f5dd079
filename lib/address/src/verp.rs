//! Variable envelope return paths (queue-and-delivery.md §4.6).

/// What marks a sender as one to be expanded.
const MARK: &[u8] = b"-@[]";

/// The sender of one delivery: `pre@host-@[]` becomes `prebox=dom@host` for
/// the recipient `box@dom`; every other sender stays as it is, and then
/// nobody asks for the recipient.
pub fn expand<'a>(sender: &[u8], recipient: impl FnOnce() -> &'a [u8]) -> Vec<u8> {
    let Some((prefix, host)) = parts(sender) else {
        return sender.to_vec();
    };
    let recipient = recipient();
    let Some(at) = recipient.iter().rposition(|&b| b == b'@') else {
        return sender.to_vec();
    };
    [
        prefix,
        &recipient[..at],
        b"=",
        &recipient[at + 1..],
        b"@",
        host,
    ]
    .concat()
}

/// The address a bounce of the whole message goes to: the mark is cut.
pub fn origin(sender: &[u8]) -> &[u8] {
    match parts(sender) {
        Some(_) => &sender[..sender.len() - MARK.len()],
        None => sender,
    }
}

fn parts(sender: &[u8]) -> Option<(&[u8], &[u8])> {
    let sender = sender.strip_suffix(MARK)?;
    let at = sender.iter().rposition(|&b| b == b'@')?;
    Some((&sender[..at], &sender[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_goes_into_the_sender() {
        assert_eq!(
            expand(b"list-@h.org-@[]", || b"ann@c.org"),
            b"list-ann=c.org@h.org"
        );
        assert_eq!(expand(b"list-@h.org-@[]", || b"ann"), b"list-@h.org-@[]");
        assert_eq!(expand(b"ann@h.org", || b"bob@c"), b"ann@h.org");
        assert_eq!(origin(b"list-@h.org-@[]"), b"list-@h.org");
        assert_eq!(origin(b"#@[]"), b"#@[]");
    }
}
