//! Lists of bad clients in the DNS, asked before the greeting, as rblsmtpd
//! does for sessions under tcpserver (smtp-receiving.md §1.8).

use std::net::IpAddr;

use wire::verify::{Reply, Request};

use crate::verifier::Verifier;

/// Longest text of a list in a reply.
const TEXT_BYTES_MAX: usize = 200;

/// One line of dnsbl.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    name: String,
    /// What is said instead of the list's own text.
    text: Option<String>,
    meaning: Meaning,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    LetIn,
    RefuseNow,
    RefuseForGood,
}

impl List {
    /// `NAME` or `NAME:TEXT`, after `-` to refuse for good, after `!` to let
    /// in.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (meaning, rest) = match (line.strip_prefix('!'), line.strip_prefix('-')) {
            (Some(rest), _) => (Meaning::LetIn, rest),
            (_, Some(rest)) => (Meaning::RefuseForGood, rest),
            _ => (Meaning::RefuseNow, line),
        };
        let (name, text) = match rest.split_once(':') {
            Some((name, text)) => (name, Some(text.to_owned())),
            None => (rest, None),
        };
        let name = name.trim().to_owned();
        (!name.is_empty()).then_some(Self {
            name,
            text,
            meaning,
        })
    }
}

/// Asks the lists in their order until one knows the client; what it is told
/// instead of a greeting. A list that does not answer knows nobody.
pub async fn refusal(lists: &[List], verifier: &mut Verifier, ip: IpAddr) -> Option<String> {
    for list in lists {
        let question = Request::Listed {
            ip,
            list: list.name.clone(),
            by_address: list.text.is_some() || list.meaning == Meaning::LetIn,
        };
        let Reply::Listed(Some(said)) = verifier.ask(&question).await else {
            continue;
        };
        let code = match list.meaning {
            Meaning::LetIn => return None,
            Meaning::RefuseNow => 451,
            Meaning::RefuseForGood => 554,
        };
        let text = list.text.clone().unwrap_or(said);
        let text = text.replace("%IP%", &ip.to_string());
        let text = text::log::printable(text.as_bytes(), TEXT_BYTES_MAX);
        return Some(format!("{code} {text}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_follows() {
        let list = |line: &str| List::parse(line.as_bytes()).unwrap();
        assert_eq!(list("bl.test").meaning, Meaning::RefuseNow);
        assert_eq!(list("!wl.test").meaning, Meaning::LetIn);
        let for_good = list("-bl.test:go away: %IP%");
        assert_eq!(for_good.meaning, Meaning::RefuseForGood);
        assert_eq!(for_good.text.as_deref(), Some("go away: %IP%"));
        assert_eq!(List::parse(b"-"), None);
    }
}
