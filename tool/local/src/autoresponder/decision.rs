//! Whether a message may be answered (RFC 3834 §2).

use ::message::{AddressList, fields};

/// From whom to whom.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub sender: Vec<u8>,
    pub recipient: Vec<u8>,
}

/// Fields of lists; whatever they say.
const OF_LISTS: [&str; 5] = [
    "List-Id",
    "List-Post",
    "Mailing-List",
    "X-Mailing-List",
    "X-ML-Name",
];
/// Fields with recipients.
const OF_RECIPIENTS: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

impl Envelope {
    /// Says whether an answer does no harm.
    pub(super) fn may_be_answered(&self, header: &[u8]) -> bool {
        self.sender_is_somebody() && !self.is_of_robots(header)
    }

    fn sender_is_somebody(&self) -> bool {
        let sender = self.sender.to_ascii_lowercase();
        let Some(at) = sender.iter().rposition(|&b| b == b'@') else {
            return false;
        };
        let local = &sender[..at];
        let is_robot = local.is_empty()
            || local == b"mailer-daemon"
            || local.starts_with(b"owner-")
            || local.ends_with(b"-owner")
            || local.ends_with(b"-request");
        !is_robot
            && sender != b"#@[]"
            && !sender.ends_with(b"-@[]")
            && !sender.eq_ignore_ascii_case(&self.recipient)
    }

    fn is_of_robots(&self, header: &[u8]) -> bool {
        fields(header).any(|field| {
            let value = || field.unfolded().to_ascii_lowercase();
            OF_LISTS.iter().any(|name| field.is(name))
                || field.is("Auto-Submitted") && first_word(&value()) != b"no"
                || field.is("Precedence")
                    && [&b"junk"[..], b"bulk", b"list"].contains(&first_word(&value()))
                || field.is("X-Bogosity") && first_word(&value()) == b"yes"
                || field.is("Delivered-To") && value() == self.recipient.to_ascii_lowercase()
        })
    }

    /// Says whether a recipient field names the recipient, or an alias that
    /// led to it.
    pub(super) fn is_addressed(&self, header: &[u8]) -> bool {
        let mut own = vec![self.recipient.clone()];
        own.extend(
            fields(header)
                .filter(|field| field.is("Delivered-To"))
                .map(|field| field.unfolded()),
        );
        fields(header)
            .filter(|field| OF_RECIPIENTS.iter().any(|name| field.is(name)))
            .filter_map(|field| AddressList::parse(field.value).ok())
            .flat_map(|list| list.addresses().collect::<Vec<_>>())
            .any(|address| own.iter().any(|own| own.eq_ignore_ascii_case(&address)))
    }
}

fn first_word(value: &[u8]) -> &[u8] {
    let end = value
        .iter()
        .position(|b| b.is_ascii_whitespace() || matches!(b, b',' | b';' | b'('));
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(sender: &str) -> Envelope {
        Envelope {
            sender: sender.into(),
            recipient: b"joe@h.org".to_vec(),
        }
    }

    #[test]
    fn senders_that_nobody_reads_get_no_answer() {
        for sender in [
            "",
            "#@[]",
            "ann",
            "@x",
            "MAILER-DAEMON@x",
            "owner-list@x",
            "list-request@x",
            "list-owner-@x-@[]",
            "Joe@H.org",
        ] {
            assert!(!envelope(sender).may_be_answered(b""), "{sender}");
        }
        assert!(envelope("ann@x").may_be_answered(b"Subject: x\n"));
    }

    #[test]
    fn robots_and_lists_get_no_answer() {
        for header in [
            "List-ID: x\n",
            "x-ml-name: x\n",
            "Auto-Submitted: auto-replied\n",
            "Auto-Submitted: auto-generated; x=y\n",
            "Precedence: Bulk\n",
            "Precedence:\n junk\n",
            "X-Bogosity: Yes, tests=bogofilter\n",
            "Delivered-To: Joe@h.org\n",
        ] {
            assert!(
                !envelope("ann@x").may_be_answered(header.as_bytes()),
                "{header}"
            );
        }
        for header in [
            "Auto-Submitted: no\n",
            "Precedence: normal\n",
            "X-Bogosity: No, x\n",
            "Delivered-To: alias@h.org\n",
        ] {
            assert!(
                envelope("ann@x").may_be_answered(header.as_bytes()),
                "{header}"
            );
        }
    }

    #[test]
    fn the_recipient_or_its_alias_is_named() {
        let named = |header: &str| envelope("ann@x").is_addressed(header.as_bytes());
        assert!(named("Cc: Eve <eve@x>,\n\tJoe <JOE@h.org>\n"));
        assert!(named("Delivered-To: sales@h.org\nTo: sales@h.org\n"));
        assert!(!named("To: eve@x\n"));
        assert!(!named("Subject: joe@h.org\n\nTo: joe@h.org\n"));
        assert!(!named("To: \"broken\n"));
    }
}
