//! What a server offers in its answer to EHLO.

use sasl::Mechanism;

use super::reply::Reply;

/// The extensions we know and a server has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extensions {
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 4954: mechanisms that we can do, in the server's order.
    pub mechanisms: Vec<Mechanism>,
}

impl Extensions {
    /// Reads the reply to EHLO; its first line is a greeting.
    pub fn parse(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines().skip(1) {
            // Old servers write `AUTH=LOGIN` for `AUTH LOGIN`.
            let mut words = line
                .split(|b| matches!(b, b' ' | b'\t' | b'='))
                .filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else {
                continue;
            };
            match keyword.to_ascii_uppercase().as_slice() {
                b"STARTTLS" => found.starttls = true,
                b"PIPELINING" => found.pipelining = true,
                b"SIZE" => found.size = true,
                b"8BITMIME" => found.eight_bit_mime = true,
                b"SMTPUTF8" => found.smtputf8 = true,
                b"DSN" => found.dsn = true,
                b"REQUIRETLS" => found.require_tls = true,
                b"AUTH" => {
                    for mechanism in words.filter_map(Mechanism::parse) {
                        if !found.mechanisms.contains(&mechanism) {
                            found.mechanisms.push(mechanism);
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_have_no_case_and_unknown_ones_do_no_harm() {
        let reply = Reply {
            code: 250,
            text: b"250-STARTTLS is my name\n250-size 1000\n250-8BitMime\n250-X-ODD a b\n\
                250-AUTH PLAIN GSSAPI CRAM-MD5\n250-AUTH=LOGIN PLAIN\n250 PIPELINING"
                .to_vec(),
        };
        let found = Extensions::parse(&reply);
        assert!(!found.starttls, "the greeting line is not a keyword");
        assert!(found.size && found.eight_bit_mime && found.pipelining && !found.smtputf8);
        let mechanisms = [Mechanism::Plain, Mechanism::CramMd5, Mechanism::Login];
        assert_eq!(found.mechanisms, mechanisms);
    }
}
