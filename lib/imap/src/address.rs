//! Address lists of header fields, as ENVELOPE shows them
//! (RFC 3501 §7.4.2).

use crate::header::{Token, tokens};
use crate::write;

/// Most addresses shown of one field.
pub const ADDRESSES_MAX: usize = 10_000;

/// An address, or one end of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address {
    /// Display name, still encoded.
    pub name: Option<Vec<u8>>,
    /// Source route.
    pub route: Option<Vec<u8>>,
    /// Local part; the name of a group at its beginning, nothing at its end.
    pub mailbox: Option<Vec<u8>>,
    /// Domain; nothing for the ends of a group.
    pub host: Option<Vec<u8>>,
}

/// Parses a list of addresses; whatever stands there gives some list.
pub fn parse(value: &[u8]) -> Vec<Address> {
    let mut list = List::default();
    for token in tokens(value, b"<>@,;:") {
        if ADDRESSES_MAX <= list.done.len() {
            break;
        }
        list.take(token);
    }
    list.end_address();
    if list.in_group {
        list.done.push(Address::default());
    }
    list.done
}

/// Appends addresses as ENVELOPE writes them; NIL when there are none.
pub fn write_list(out: &mut Vec<u8>, addresses: &[Address]) {
    if addresses.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in addresses {
        out.push(b'(');
        write::nstring(out, address.name.as_deref());
        out.push(b' ');
        write::nstring(out, address.route.as_deref());
        out.push(b' ');
        write::nstring(out, address.mailbox.as_deref());
        out.push(b' ');
        write::nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

#[derive(Default)]
struct List {
    done: Vec<Address>,
    in_group: bool,
    phrase: Vec<Vec<u8>>,
    comment: Option<Vec<u8>>,
    /// Between `<` and `>`.
    in_angle: bool,
    angle_seen: bool,
    route: Vec<u8>,
    local: Option<Vec<u8>>,
    domain: Option<Vec<u8>>,
}

impl List {
    fn take(&mut self, token: Token) {
        match token {
            Token::Comment(text) => self.comment = Some(text),
            Token::Special(b',') if self.in_angle && self.local.is_none() => self.end_route(),
            Token::Special(b',') => self.end_address(),
            Token::Special(b':') if self.in_angle => self.end_route(),
            Token::Special(b':') if !self.in_group && self.local.is_none() => {
                let mailbox = Some(self.phrase.join(&b' '));
                self.reset();
                self.in_group = true;
                self.done.push(Address {
                    mailbox,
                    ..Address::default()
                });
            }
            Token::Special(b';') => {
                self.end_address();
                if self.in_group {
                    self.done.push(Address::default());
                }
                self.in_group = false;
            }
            Token::Special(b'<') => {
                self.in_angle = true;
                self.angle_seen = true;
                if let Some(local) = self.local.take() {
                    // `a@b <c@d>`: what looked like an address is the name.
                    let domain = self.domain.take().unwrap_or_default();
                    self.phrase = vec![[&local[..], b"@", &domain].concat()];
                }
            }
            Token::Special(b'>') => self.in_angle = false,
            Token::Special(b'@') if self.domain.is_none() => {
                if !self.angle_seen {
                    self.local = Some(self.phrase.concat());
                    self.phrase.clear();
                }
                self.domain = Some(Vec::new());
            }
            Token::Special(_) => {}
            Token::Atom(text) | Token::Quoted(text) | Token::Literal(text) => self.word(text),
        }
    }

    fn word(&mut self, text: Vec<u8>) {
        match &mut self.domain {
            Some(domain) if self.in_angle || !self.angle_seen => domain.extend(text),
            Some(_) => {}
            None if self.in_angle => self.local.get_or_insert_default().extend(text),
            None => self.phrase.push(text),
        }
    }

    /// `@a,@b:` before the address proper.
    fn end_route(&mut self) {
        if let Some(domain) = self.domain.take() {
            if !self.route.is_empty() {
                self.route.push(b',');
            }
            self.route.push(b'@');
            self.route.extend(domain);
        }
    }

    fn end_address(&mut self) {
        let name = match (self.angle_seen, self.phrase.is_empty()) {
            (true, false) => Some(self.phrase.join(&b' ')),
            _ => self.comment.take(),
        };
        let mailbox = match self.local.take() {
            Some(local) => Some(local),
            // A word without a domain: somebody on a host nobody names.
            None if !self.angle_seen && !self.phrase.is_empty() => Some(self.phrase.join(&b' ')),
            None if self.angle_seen => Some(Vec::new()),
            None => None,
        };
        if mailbox.is_some() {
            self.done.push(Address {
                name,
                route: Some(std::mem::take(&mut self.route)).filter(|route| !route.is_empty()),
                mailbox,
                host: Some(self.domain.take().unwrap_or_default()),
            });
        }
        self.reset();
    }

    fn reset(&mut self) {
        *self = Self {
            done: std::mem::take(&mut self.done),
            in_group: self.in_group,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let mut out = Vec::new();
        write_list(&mut out, &parse(value.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_of_every_form() {
        for (value, expected) in [
            ("", "NIL"),
            ("ann@example.org", r#"((NIL NIL "ann" "example.org"))"#),
            (
                "Ann B. <ann@example.org>",
                r#"(("Ann B." NIL "ann" "example.org"))"#,
            ),
            (
                "\"B, Ann\" <ann@example.org>, bob@x",
                r#"(("B, Ann" NIL "ann" "example.org")(NIL NIL "bob" "x"))"#,
            ),
            (
                "ann@example.org (Ann)",
                r#"(("Ann" NIL "ann" "example.org"))"#,
            ),
            (
                "=?utf-8?q?J=C3=B6?= <j@x>",
                r#"(("=?utf-8?q?J=C3=B6?=" NIL "j" "x"))"#,
            ),
            (
                "friends: a@x, B <b@y>; c@z",
                r#"((NIL NIL "friends" NIL)(NIL NIL "a" "x")("B" NIL "b" "y")(NIL NIL NIL NIL)(NIL NIL "c" "z"))"#,
            ),
            ("nobody:;", r#"((NIL NIL "nobody" NIL)(NIL NIL NIL NIL))"#),
            ("<@a,@b:c@d>", r#"((NIL "@a,@b" "c" "d"))"#),
            ("root", r#"((NIL NIL "root" ""))"#),
            ("<>", r#"((NIL NIL "" ""))"#),
            ("\"a b\"@x", r#"((NIL NIL "a b" "x"))"#),
            ("a@[192.0.2.1]", r#"((NIL NIL "a" "[192.0.2.1]"))"#),
            ("a@b <c@d>", r#"(("a@b" NIL "c" "d"))"#),
            ("a@x,, ,b@y", r#"((NIL NIL "a" "x")(NIL NIL "b" "y"))"#),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let many = "a@b,".repeat(100_000);
        assert_eq!(parse(many.as_bytes()).len(), ADDRESSES_MAX);
    }
}
