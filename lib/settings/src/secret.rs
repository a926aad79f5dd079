//! Values that are not shown to whoever looks at settings.

use std::borrow::Cow;

/// What stands in their place.
pub const HIDDEN: &str = "set; not shown";

/// Parts of names of files and variables whose content is nobody's business.
const MARKS: [&str; 6] = ["pass", "secret", "key", "auth", "token", "mysql"];
/// Routes: `host:relay:port user password`.
const ROUTES: [&str; 3] = ["smtproutes", "smtproute", "smtproutesfile"];

/// Says whether nothing of a value may be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    MARKS.iter().any(|mark| name.contains(mark))
}

/// A value, of one line or several, as it may be shown.
pub fn shown<'a>(name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    if is_secret(name) {
        return Cow::Borrowed(HIDDEN.as_bytes());
    }
    if !ROUTES.contains(&name.to_ascii_lowercase().as_str()) {
        return Cow::Borrowed(value);
    }
    let lines: Vec<Vec<u8>> = value.split(|&b| b == b'\n').map(route).collect();
    Cow::Owned(lines.join(&b'\n'))
}

/// A route without its password: everything behind the user.
fn route(line: &[u8]) -> Vec<u8> {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    // The first word is the host with its relay, which may be empty.
    let user = line.iter().position(is_blank).map(|blank| {
        let rest = &line[blank..];
        blank + rest.iter().position(|b| !is_blank(b)).unwrap_or(rest.len())
    });
    let password = user.and_then(|user| {
        let blank = user + line[user..].iter().position(is_blank)?;
        (!line[blank..].trim_ascii().is_empty()).then_some(blank)
    });
    match password {
        Some(blank) => [&line[..blank], b" ***"].concat(),
        None => line.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_routes_are_hidden_and_nothing_else_of_them() {
        let routes = b"a.example:relay:587 joe pass word\nb.example:relay\n:smart ann\t\tx\n \n# x";
        let expected = b"a.example:relay:587 joe ***\nb.example:relay\n:smart ann ***\n \n# x";
        for name in ["smtproutes", "SMTPROUTE"] {
            assert_eq!(*shown(name, routes), expected[..]);
        }
        assert_eq!(*shown("locals", routes), routes[..]);
    }

    #[test]
    fn what_is_secret_by_name_is_not_shown_at_all() {
        for name in ["AUTH_SMTP", "PASSWORD_HASH", "host.mysql", "TLSKEY"] {
            assert_eq!(*shown(name, b"x"), *HIDDEN.as_bytes());
        }
    }

    #[test]
    fn no_password_of_any_route_is_shown() {
        property::holds(|u| {
            let relay: &str = u.choose(&["", "relay", "[::1]:25", "r:587:1:2"])?;
            let blank: &str = u.choose(&[" ", "\t", "  \t "])?;
            let line = format!("h.example:{relay}{blank}user{blank}PRECIOUS{blank}");
            let out = shown("smtproutes", line.as_bytes()).into_owned();
            assert!(!String::from_utf8_lossy(&out).contains("PRECIOUS"));
            Ok(())
        });
    }
}
