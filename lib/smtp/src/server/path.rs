//! Addresses and parameters of MAIL and RCPT (RFC 5321 §4.1.2).

/// Longest path a client may write.
const PATH_BYTES_MAX: usize = 899;
/// Most parameters of one command.
const PARAMETERS_MAX: usize = 16;

/// Why an argument is not a path with parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PathError {
    /// No path, too long, control bytes, unbalanced quotes.
    Syntax,
}

/// One `KEY` or `KEY=value`.
pub(super) type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// Splits the text after `FROM:` or `TO:` into the address, unquoted and
/// without source route, and the parameters.
pub(super) fn parse(argument: &[u8]) -> Result<(Vec<u8>, Vec<Parameter<'_>>), PathError> {
    let argument = argument.trim_ascii_start();
    let (path, rest) = match argument.strip_prefix(b"<") {
        Some(rest) => {
            let end = closing(rest).ok_or(PathError::Syntax)?;
            (&rest[..end], &rest[end + 1..])
        }
        None => {
            let end = argument.iter().position(|&b| b == b' ');
            let (path, rest) = argument.split_at(end.unwrap_or(argument.len()));
            if path.is_empty() {
                return Err(PathError::Syntax);
            }
            (path, rest)
        }
    };
    if !rest.is_empty() && rest[0] != b' ' {
        return Err(PathError::Syntax);
    }
    let parameters = parameters(rest)?;
    Ok((address(path)?, parameters))
}

/// Where the `>` is that is neither quoted nor escaped.
fn closing(path: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn parameters(rest: &[u8]) -> Result<Vec<Parameter<'_>>, PathError> {
    let words = rest.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let parameters: Vec<_> = words
        .map(|word| match word.iter().position(|&b| b == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        })
        .collect();
    match parameters.len() <= PARAMETERS_MAX {
        true => Ok(parameters),
        false => Err(PathError::Syntax),
    }
}

/// The address of a path: no source route, the local part unquoted.
fn address(path: &[u8]) -> Result<Vec<u8>, PathError> {
    if PATH_BYTES_MAX < path.len() {
        return Err(PathError::Syntax);
    }
    let path = match path.first() {
        // RFC 5321 §4.1.1.3: source routes are read and ignored.
        Some(b'@') => {
            let colon = path.iter().position(|&b| b == b':');
            &path[colon.ok_or(PathError::Syntax)? + 1..]
        }
        _ => path,
    };
    let mut out = Vec::with_capacity(path.len());
    let (mut quoted, mut escaped) = (false, false);
    // Where the domain starts: after the last `@` outside of quotes.
    let mut domain = None;
    for &byte in path {
        match byte {
            b if b.is_ascii_control() => return Err(PathError::Syntax),
            b if escaped => {
                escaped = false;
                out.push(b);
            }
            b'\\' => escaped = true,
            b'"' if domain.is_some() => return Err(PathError::Syntax),
            b'"' => quoted = !quoted,
            b' ' | b'<' | b'>' | b',' | b';' if !quoted => return Err(PathError::Syntax),
            b => {
                out.push(b);
                if b == b'@' && !quoted {
                    domain = Some(out.len());
                }
            }
        }
    }
    if quoted || escaped {
        return Err(PathError::Syntax);
    }
    match domain {
        Some(at) if !is_domain(&out[at..]) || at == 1 => Err(PathError::Syntax),
        // A quoted `@` and no domain would change its meaning unquoted.
        None if out.contains(&b'@') => Err(PathError::Syntax),
        _ => Ok(out),
    }
}

/// A host name or a bracketed address; 8-bit bytes are looked at later.
fn is_domain(domain: &[u8]) -> bool {
    /// RFC 1035 §2.3.4, and room for the last dot.
    const DOMAIN_BYTES_MAX: usize = 254;
    if let [b'[', inner @ .., b']'] = domain {
        let text = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-');
        return !inner.is_empty() && inner.iter().all(text);
    }
    let name = domain.strip_suffix(b".").unwrap_or(domain);
    let label = |label: &[u8]| {
        !label.is_empty()
            && label
                .iter()
                .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_') || !b.is_ascii())
    };
    domain.len() <= DOMAIN_BYTES_MAX && name.split(|&b| b == b'.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(argument: &[u8]) -> Result<Vec<u8>, PathError> {
        parse(argument).map(|(address, _)| address)
    }

    #[test]
    fn quotes_routes_and_blanks_are_taken_off() {
        assert_eq!(address_of(b"<ann@b.test>").unwrap(), b"ann@b.test");
        assert_eq!(address_of(b" ann@b.test").unwrap(), b"ann@b.test");
        assert_eq!(address_of(b"<>").unwrap(), b"");
        assert_eq!(
            address_of(b"<@x.test,@y.test:ann@b.test>").unwrap(),
            b"ann@b.test"
        );
        assert_eq!(address_of(b"<\"a b\"@b.test>").unwrap(), b"a b@b.test");
        assert_eq!(address_of(b"<\"a>b\"@b.test>").unwrap(), b"a>b@b.test");
        assert_eq!(address_of(b"<\"a\\\"b\"@b.test>").unwrap(), b"a\"b@b.test");
        assert_eq!(address_of(b"<a@[192.0.2.1]>").unwrap(), b"a@[192.0.2.1]");
        assert_eq!(address_of(b"<postmaster>").unwrap(), b"postmaster");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for bad in [
            &b""[..],
            b"<a@b.test",
            b"<a\0@b.test>",
            b"<a@b\r.test>",
            b"<a b@c.test>",
            b"<a@b test>",
            b"<a@b..test>",
            b"<@b.test>",
            b"<a@>",
            b"<a@b.test>x",
            b"<\"a@b.test>",
            b"<a\\>",
            b"<\"a@b.test\">",
            b"<a@b.test,c@d.test>",
            b"<a@../../etc/passwd>",
            b"<a@;rm>",
            b"<@route>",
        ] {
            assert_eq!(
                parse(bad),
                Err(PathError::Syntax),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
        let long = [b"<", &[b'a'; 900][..], b"@b>"].concat();
        assert_eq!(parse(&long), Err(PathError::Syntax));
    }

    #[test]
    fn parameters_are_split() {
        let (_, parameters) = parse(b"<a@b> SIZE=10  SMTPUTF8").unwrap();
        assert_eq!(
            parameters,
            [(&b"SIZE"[..], Some(&b"10"[..])), (b"SMTPUTF8", None)]
        );
    }

    #[test]
    fn what_is_quoted_again_is_read_as_the_same() {
        property::holds(|u| {
            let argument = property::bytes(u)?;
            if let Ok((address, _)) = parse(&argument) {
                let again = [b"<", &address::Quoted(&address).to_vec()[..], b">"].concat();
                assert_eq!(parse(&again).unwrap().0, address);
            }
            Ok(())
        });
    }
}
