//! Addresses as MAIL and RCPT say them.

use address::{Address, Domain, Quoted};

/// An address that can stand between `<` and `>`: whatever its bytes are,
/// they end neither the path nor the line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path(Vec<u8>);

/// The address cannot be said in SMTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("address has a malformed domain")]
pub struct PathError;

impl Path {
    /// Quotes the local part where needed; an international domain becomes
    /// A-labels.
    pub fn new(address: &Address) -> Result<Self, PathError> {
        let (_, Some(domain)) = address.split() else {
            return Ok(Self(Quoted(address.as_bytes()).to_vec()));
        };
        let mut path = Quoted(address.as_bytes()).to_vec();
        path.truncate(path.len() - domain.len());
        path.extend_from_slice(&domain_text(domain)?);
        Ok(Self(path))
    }

    /// The bytes between the angle brackets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Says whether the server must know SMTPUTF8.
    pub fn is_international(&self) -> bool {
        !self.0.is_ascii()
    }
}

fn domain_text(domain: &[u8]) -> Result<Vec<u8>, PathError> {
    if let Ok(name) = Domain::parse(std::str::from_utf8(domain).map_err(|_| PathError)?) {
        return Ok(name.as_str().into());
    }
    // Names that are odd but safe are for the server to judge.
    let inner = domain
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .unwrap_or(domain);
    let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if inner.iter().all(safe) {
        Ok(domain.to_vec())
    } else {
        Err(PathError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(address: &[u8]) -> Result<Vec<u8>, PathError> {
        Path::new(&Address::parse(address).unwrap()).map(|path| path.0)
    }

    #[test]
    fn no_address_ends_its_own_path() {
        assert_eq!(path(b"ann@Example.org").unwrap(), b"ann@example.org");
        assert_eq!(path(b"a> SIZE=0@c").unwrap(), b"\"a> SIZE=0\"@c");
        assert_eq!(path(b"a@c> SIZE=0"), Err(PathError));
        assert_eq!(path(b"a@c>"), Err(PathError));
        assert_eq!(path(b"#@[]").unwrap(), b"#@[]");
        assert_eq!(path(b"a@[IPv6:::1]").unwrap(), b"a@[IPv6:::1]");
        assert_eq!(path(b"").unwrap(), b"");
        assert_eq!(path(b"postmaster").unwrap(), b"postmaster");
        assert_eq!(
            path("a@bücher.example".as_bytes()).unwrap(),
            b"a@xn--bcher-kva.example"
        );
    }
}
