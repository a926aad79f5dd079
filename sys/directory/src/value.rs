//! Which texts fit which columns, and which names new users and domains may
//! have (virtual-domains.md §1.3).

use std::path::Path;

use crate::{Error, User};

/// Longest user name.
pub const USER_BYTES_MAX: usize = 40;
/// Longest domain name.
pub const DOMAIN_BYTES_MAX: usize = 67;
/// Longest crypt string.
pub const HASH_BYTES_MAX: usize = 128;
/// Longest gecos.
pub const GECOS_BYTES_MAX: usize = 48;
/// Longest home directory.
pub const DIRECTORY_BYTES_MAX: usize = 156;
/// Longest quota text.
pub const QUOTA_BYTES_MAX: usize = 30;
/// Longest SCRAM and CRAM secret.
pub const SCRAM_BYTES_MAX: usize = 255;
/// Longest line of an alias.
pub const LINE_BYTES_MAX: usize = 190;

/// Bytes of a user name beside letters and digits, unless `ALLOWCHARS` says
/// otherwise.
pub const ALLOWED_DEFAULT: &str = "._-+=&";

/// Names that every domain may rely on; never inactive, and confirmed before
/// they are deleted. Both spellings that documents use are here.
pub const RESERVED: [&str; 11] = [
    "postmaster",
    "abuse",
    "mailer-daemon",
    "spam",
    "nonspam",
    "nospam",
    "register-spam",
    "register-nonspam",
    "register-nospam",
    "prefilt",
    "postfilt",
];

fn refused(field: &'static str, problem: impl Into<String>) -> Error {
    Error::Value {
        field,
        problem: problem.into(),
    }
}

/// Checks the name of a user about to be created. Upper case is refused
/// rather than folded, `/`, blanks, quotes, `:` and control bytes always,
/// whatever `allowed` says: the name becomes a part of a path.
pub fn check_new_user(name: &str, allowed: &str) -> Result<(), Error> {
    const FIELD: &str = "user name";
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(refused(
            FIELD,
            format!("[{name}] has an uppercase character"),
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(refused(FIELD, "must begin with a letter or digit"));
    }
    if USER_BYTES_MAX < name.len() {
        return Err(refused(FIELD, format!("is longer than {USER_BYTES_MAX}")));
    }
    if name.ends_with('.') || name.contains("..") {
        return Err(refused(FIELD, "ends with a dot or has two in a row"));
    }
    let fine = |b: u8| {
        b.is_ascii_alphanumeric()
            || (b.is_ascii_graphic()
                && !matches!(b, b'/' | b':' | b'"' | b'\'' | b'`' | b'\\' | b'@')
                && allowed.as_bytes().contains(&b))
    };
    match name.chars().find(|&c| !u8::try_from(c).is_ok_and(fine)) {
        Some(c) => Err(refused(
            FIELD,
            format!("has a character that is not allowed: {c:?}"),
        )),
        None => Ok(()),
    }
}

/// Checks a domain name about to be created.
pub fn check_new_domain(name: &str) -> Result<(), Error> {
    const FIELD: &str = "domain";
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(refused(
            FIELD,
            format!("[{name}] has an uppercase character"),
        ));
    }
    if name.is_empty() || DOMAIN_BYTES_MAX < name.len() {
        return Err(refused(
            FIELD,
            format!("[{name}] is empty or longer than {DOMAIN_BYTES_MAX}"),
        ));
    }
    let fine = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.split('.').all(fine) {
        Ok(())
    } else {
        Err(refused(
            FIELD,
            format!("[{}] is not a domain name", name.escape_debug()),
        ))
    }
}

/// Checks what is about to be stored for a user. `:` separates fields
/// elsewhere and is refused.
pub fn check_user(user: &User) -> Result<(), Error> {
    let fields = [
        ("user name", user.name.as_str(), USER_BYTES_MAX),
        ("domain", &user.domain, DOMAIN_BYTES_MAX),
        ("gecos", &user.gecos, GECOS_BYTES_MAX),
        ("quota", &user.quota, QUOTA_BYTES_MAX),
    ];
    for (field, text, bytes_max) in fields {
        check_text(field, text, bytes_max)?;
        if text.contains(':') {
            return Err(refused(field, "has a colon"));
        }
    }
    check_text("password", &user.password_hash, HASH_BYTES_MAX)?;
    check_text(
        "SCRAM secret",
        user.scram.as_deref().unwrap_or_default(),
        SCRAM_BYTES_MAX,
    )
}

/// Checks a home directory.
pub fn check_directory(path: &Path) -> Result<(), Error> {
    let text = path
        .to_str()
        .ok_or_else(|| refused("directory", "is not UTF-8"))?;
    if !path.is_absolute() {
        return Err(refused("directory", "is not absolute"));
    }
    check_text("directory", text, DIRECTORY_BYTES_MAX)
}

/// Checks a line of an alias: not empty, one line.
pub fn check_line(line: &str) -> Result<(), Error> {
    if line.is_empty() {
        return Err(refused("alias line", "is empty"));
    }
    check_text("alias line", line, LINE_BYTES_MAX)
}

/// Checks a name that people give to something: not empty, one line.
pub fn check_name(field: &'static str, name: &str, bytes_max: usize) -> Result<(), Error> {
    if name.trim() != name || name.is_empty() {
        return Err(refused(field, "is empty or has blanks around it"));
    }
    check_text(field, name, bytes_max)
}

/// Checks a filter rule: what fits the columns of the table.
pub fn check_filter(address: &str, rule: &vfilter::Row) -> Result<(), Error> {
    let texts = [
        ("address", address, 107),
        ("filter name", &rule.name, 32),
        ("keyword", &rule.keyword, 64),
        ("folder", &rule.destination, 156),
        ("action", &rule.action, 64),
    ];
    for (field, text, bytes_max) in texts {
        check_text(field, text, bytes_max)?;
    }
    if i16::try_from(rule.header).is_err() {
        return Err(refused("header", "is out of range"));
    }
    if i8::try_from(rule.comparison).is_err() {
        return Err(refused("comparison", "is out of range"));
    }
    Ok(())
}

/// Checks length and control characters.
pub(crate) fn check_text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Error> {
    if bytes_max < text.len() {
        Err(refused(field, format!("is longer than {bytes_max} bytes")))
    } else if text.chars().any(char::is_control) {
        Err(refused(field, "has a control character"))
    } else {
        Ok(())
    }
}

/// A name for a question: lower case, without blanks around it. `None` when
/// it cannot be anybody's.
pub fn fold(name: &str, bytes_max: usize) -> Option<String> {
    let name = name.trim().to_lowercase();
    (!name.is_empty() && name.len() <= bytes_max && !name.chars().any(char::is_control))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_their_directory_are_refused() {
        for name in [
            "../x", "..", ".joe", "joe.", "a..b", "a/b", "a:b", "a b", "a\0b", "a\nb", "a'b",
            "a\"b", "", "Joe", "jöe", "a`b", "a\\b", "-a", "a@b",
        ] {
            // Not even when the site allows every character there is.
            let everything: String = (0..128u8).map(char::from).collect();
            assert!(check_new_user(name, &everything).is_err(), "{name:?}");
            assert!(check_new_user(name, ALLOWED_DEFAULT).is_err(), "{name:?}");
        }
        for name in ["joe", "joe.smith", "a-b_c+d", "0day", "mailer-daemon"] {
            assert!(check_new_user(name, ALLOWED_DEFAULT).is_ok(), "{name:?}");
        }
        assert!(check_new_user("a#b", ALLOWED_DEFAULT).is_err());
        assert!(check_new_user("a#b", "#").is_ok());
    }

    #[test]
    fn domains_are_host_names_in_lower_case() {
        for name in [
            "",
            "Example.com",
            "-bad.com",
            "bad-.com",
            "a..b",
            ".a",
            "a.",
            "a/b",
            "../etc",
            "a b",
            "a:b",
            "a_b.c",
            "a\n.b",
        ] {
            assert!(check_new_domain(name).is_err(), "{name:?}");
        }
        assert!(check_new_domain("example.com").is_ok());
        assert!(check_new_domain("localhost").is_ok());
        assert!(check_new_domain(&"a".repeat(68)).is_err());
    }
}
