//! Incomplete addresses made complete (queue-and-delivery.md §3.2.5).

use crate::host_rules::HostRules;
use crate::token::Token;

/// The names that are added to addresses without them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names(Method);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Method {
    Names {
        default_host: Vec<Token>,
        default_domain: Vec<Token>,
        plus_domain: Vec<Token>,
    },
    Rules(HostRules),
}

impl Names {
    /// From the control files `defaulthost`, `defaultdomain` and
    /// `plusdomain`.
    pub fn new(default_host: &[u8], default_domain: &[u8], plus_domain: &[u8]) -> Self {
        Self(Method::Names {
            default_host: host_tokens(default_host),
            default_domain: host_tokens(default_domain),
            plus_domain: host_tokens(plus_domain),
        })
    }

    /// By rules for host names, as new-inject has them.
    pub fn by_rules(rules: HostRules) -> Self {
        Self(Method::Rules(rules))
    }

    /// Rewrites an address that is not header syntax, like an argument of a
    /// program; the result is for an envelope.
    pub fn complete(&self, address: &[u8]) -> Vec<u8> {
        let mut tokens = address_tokens(address);
        self.rewrite(&mut tokens);
        let mut out = Vec::new();
        tokens.iter().for_each(|token| token.print_raw(&mut out));
        out
    }

    /// Makes an address complete. The empty one and those that end in `@[]`,
    /// which mean something of their own, stay as they are.
    pub(crate) fn rewrite(&self, address: &mut Vec<Token>) {
        let special =
            matches!(address.as_slice(), [.., Token::At, Token::Literal(l)] if l.is_empty());
        if address.is_empty() || special {
            return;
        }
        if let Some(colon) = address.iter().rposition(|token| *token == Token::Colon) {
            address.drain(..=colon);
        }
        match &self.0 {
            Method::Names {
                default_host,
                default_domain,
                plus_domain,
            } => by_names(address, default_host, default_domain, plus_domain),
            Method::Rules(rules) => by_rules(address, rules),
        }
    }
}

fn by_names(
    address: &mut Vec<Token>,
    default_host: &[Token],
    default_domain: &[Token],
    plus_domain: &[Token],
) {
    // Also `@.@`: what is left must not end as if it were half an address.
    while matches!(address.last(), Some(Token::Dot | Token::At)) {
        address.pop();
    }
    if !address.contains(&Token::At) {
        address.push(Token::At);
        address.extend_from_slice(default_host);
    }
    expand_plus(address, plus_domain);
    let at = address.iter().rposition(|token| *token == Token::At);
    let host = at.map_or(&[][..], |at| &address[at + 1..]);
    let complete = host
        .iter()
        .any(|token| matches!(token, Token::Dot | Token::Literal(_)));
    if !complete {
        address.push(Token::Dot);
        address.extend_from_slice(default_domain);
    }
}

fn expand_plus(address: &mut Vec<Token>, plus_domain: &[Token]) {
    let Some(Token::Atom(last)) = address.last_mut() else {
        return;
    };
    if last.last() != Some(&b'+') {
        return;
    }
    last.pop();
    if last.is_empty() {
        address.pop();
    } else {
        address.push(Token::Dot);
    }
    address.extend_from_slice(plus_domain);
}

fn by_rules(address: &mut Vec<Token>, rules: &HostRules) {
    let at = address.iter().rposition(|token| *token == Token::At);
    let mut host = Vec::new();
    if let Some(at) = at {
        let tokens = address.split_off(at + 1);
        tokens.iter().for_each(|token| token.print_raw(&mut host));
    } else {
        address.push(Token::At);
    }
    address.extend(host_tokens(&rules.apply(&host)));
    if address.last() == Some(&Token::At) {
        address.pop();
    }
}

/// An address as bytes, cut at its last `@`; the local part needs no quotes.
pub(crate) fn address_tokens(address: &[u8]) -> Vec<Token> {
    if address.is_empty() {
        return Vec::new();
    }
    let at = address.iter().rposition(|&b| b == b'@');
    let (local, host) = address.split_at(at.unwrap_or(address.len()));
    let quoted = address::Quoted(local).to_vec() != local || local.is_empty();
    let mut tokens = if quoted {
        vec![Token::Quoted(local.to_vec())]
    } else {
        host_tokens(local)
    };
    if let Some(host) = host.strip_prefix(b"@") {
        tokens.push(Token::At);
        tokens.extend(host_tokens(host));
    }
    tokens
}

/// A host name as atoms and dots, or a literal.
fn host_tokens(host: &[u8]) -> Vec<Token> {
    if let Some(inner) = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")) {
        return vec![Token::Literal(inner.to_vec())];
    }
    let mut tokens = Vec::new();
    for (at, label) in host.split(|&b| b == b'.').enumerate() {
        if 0 < at {
            tokens.push(Token::Dot);
        }
        if !label.is_empty() {
            tokens.push(Token::Atom(label.to_vec()));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_not_header_syntax() {
        let names = Names::new(b"here", b"example.org", b"plus.example");
        let complete =
            |address: &str| String::from_utf8(names.complete(address.as_bytes())).unwrap();
        assert_eq!(complete("joe"), "joe@here.example.org");
        assert_eq!(complete("joe <x> (y)@b"), "joe <x> (y)@b.example.org");
        assert_eq!(complete("a@b@c.d"), "a@b@c.d");
        assert_eq!(complete("joe@b+"), "joe@b.plus.example");
        assert_eq!(complete("#@[]"), "#@[]");
        assert_eq!(complete("joe@[192.0.2.1]"), "joe@[192.0.2.1]");
        assert_eq!(complete(""), "");
        assert_eq!(complete("joe@b.c."), "joe@b.c");
    }
}
