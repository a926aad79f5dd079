//! The envelope sender of forwards (queue-and-delivery.md §6.8).

/// Which of the owner files of an address exist.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OwnerFiles {
    /// No `-owner` file.
    #[default]
    None,
    /// Only `-owner`.
    Owner,
    /// `-owner` and `-owner-default`: one sender for each recipient (VERP).
    OwnerAndDefault,
}

/// The sender under which a message for `local@domain` is forwarded.
/// Bounces (an empty sender) and double bounces keep theirs, else a bounce of
/// the forward could come back.
pub fn forward_sender(sender: &[u8], local: &[u8], domain: &[u8], owner: OwnerFiles) -> Vec<u8> {
    if sender.is_empty() || sender == b"#@[]" {
        return sender.to_vec();
    }
    match owner {
        OwnerFiles::None => sender.to_vec(),
        OwnerFiles::Owner => [local, b"-owner@", domain].concat(),
        OwnerFiles::OwnerAndDefault => [local, b"-owner-@", domain, b"-@[]"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_take_the_bounces_of_their_list() {
        let sender = |from, owner| forward_sender(from, b"joe-list", b"h.org", owner);
        assert_eq!(sender(b"a@b", OwnerFiles::None), b"a@b");
        assert_eq!(sender(b"a@b", OwnerFiles::Owner), b"joe-list-owner@h.org");
        assert_eq!(
            sender(b"a@b", OwnerFiles::OwnerAndDefault),
            b"joe-list-owner-@h.org-@[]"
        );
        assert_eq!(sender(b"", OwnerFiles::Owner), b"");
        assert_eq!(sender(b"#@[]", OwnerFiles::OwnerAndDefault), b"#@[]");
    }
}
