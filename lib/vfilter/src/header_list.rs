//! The header fields rules can name, by their numbers.

/// The list rules are numbered by when a site has none of its own. The
/// misspelling is part of it.
const NAMES: [&str; 47] = [
    "Return-Path",
    "From",
    "Subject",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Date",
    "Sender",
    "User-Agent",
    "Message-Id",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Precedence",
    "Organization",
    "Errors-To",
    "List-Id",
    "Importance",
    "Mailing-List",
    "X-Sender",
    "X-Mailing-List",
    "X-ML-Name",
    "X-List",
    "X-Loop",
    "X-BeenThere",
    "X-Sequence",
    "X-Mailer",
    "X-QHPSI",
    "X-Priority",
    "X-Spam-Status",
    "X-Spam-Rating",
    "X-Bogosity",
    "Received",
    "X-Quarantine",
    "Domainkey-Signature",
    "DKIM-Signature",
    "DKIM-Status",
    "Domainkey-Status",
    "X-Forwarded-To",
    "X-Forwarded-For",
    "Return-Receipt-To",
    "Dispostion-Notification-To",
    "Disposition-Notification-Options",
    "Original-Recipient",
    "X-BitDefender-Spam",
    "X-DSPAM-Result",
];

/// Names of header fields; a rule has the number of one. Another list means
/// other rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderList(Vec<String>);

impl HeaderList {
    /// What the control file says, if there is one.
    pub fn of_file(content: Option<&[u8]>) -> Self {
        content.map_or_else(Self::default, |text| {
            Self::parse(&String::from_utf8_lossy(text))
        })
    }

    /// Reads a list, one name a line.
    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self(lines.map(str::to_owned).collect())
    }

    /// The name with this number.
    pub fn name(&self, number: usize) -> Option<&str> {
        self.0.get(number).map(String::as_str)
    }

    /// The number of a name, in any case.
    pub fn number(&self, name: &str) -> Option<usize> {
        let same = |listed: &String| listed.eq_ignore_ascii_case(name);
        self.0.iter().position(same)
    }

    /// Says whether a field is in the list.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
    }
}

impl Default for HeaderList {
    fn default() -> Self {
        Self(NAMES.into_iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_numbers_the_fields_anew() {
        let own = HeaderList::of_file(Some(b"X-A\n\n X-B \n"));
        assert_eq!((own.number("x-b"), own.name(0)), (Some(1), Some("X-A")));
        assert!(!own.has(b"Subject"));
        let usual = HeaderList::of_file(None);
        assert_eq!(usual.number("subject"), Some(2));
        assert_eq!(usual.name(46), Some("X-DSPAM-Result"));
    }
}
