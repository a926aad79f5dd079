//! Header lines of an envelope that become variables of a delivery program
//! (ENVHEADERS, queue-and-delivery.md §3.1.5).

/// Names that would change what a program is, or what another program
/// believes about the delivery. Settings of this system are refused beside.
const REFUSED: &[&str] = &[
    "ASSIGNDIR",
    "BASE_PATH",
    "CDPATH",
    "CERTDIR",
    "CONTROLDIR",
    "DEFAULT",
    "DOMAINDIR",
    "DTLINE",
    "EDITOR",
    "ENV",
    "EXT",
    "EXT2",
    "EXT3",
    "EXT4",
    "FAST_QUOTA",
    "GCONV_PATH",
    "HOME",
    "HOST",
    "HOST2",
    "HOST3",
    "HOST4",
    "HOSTALIASES",
    "IFS",
    "LANG",
    "LOCAL",
    "LOCALDOMAIN",
    "LOCPATH",
    "LOGNAME",
    "MDA",
    "MESSID",
    "MTA",
    "NEWSENDER",
    "NLSPATH",
    "NOALIAS",
    "NULLQUEUE",
    "OLDPWD",
    "PAGER",
    "PATH",
    "PS4",
    "PWD",
    "PWSTRUCT",
    "RECIPIENT",
    "RELAYCLIENT",
    "RES_OPTIONS",
    "RPLINE",
    "SENDER",
    "SMTPROUTE",
    "SPAMFILTER",
    "TERMCAP",
    "TERMINFO",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "UFLINE",
    "USER",
    "XFILTER",
];
/// Families of such names.
const REFUSED_PREFIXES: &[&str] = &[
    "ALIAS",
    "ALLOW",
    "BASH",
    "BOUNCE",
    "DISCARD",
    "DYLD_",
    "ELIMINATE",
    "GIT_",
    "GLIBC_",
    "HOLD",
    "INCLUDE",
    "INDIMAIL",
    "JAVA",
    "LC_",
    "LD_",
    "MAIL",
    "MALLOC_",
    "NODE_",
    "OVERQUOTA",
    "PERL",
    "PYTHON",
    "QHPSI",
    "QMAIL",
    "QQ",
    "QUEUE",
    "QUOTA",
    "REAL",
    "RUBY",
    "RUST_",
    "SHELL",
    "SSL",
    "TCP",
    "TLS",
];
/// Most bytes of a name and of a value.
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The variables for these header lines: names in upper case with `_` for
/// `-`, values after the colon and blanks. What a sender may not decide is
/// left out: a name outside `[A-Z0-9_]`, one of a fixed list, and every
/// variable that is a setting of this system.
pub fn of_headers(lines: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut variables: Vec<(String, Vec<u8>)> = Vec::new();
    for line in lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        if let (b' ' | b'\t', Some((_, value))) = (line[0], variables.last_mut()) {
            if value.len() + line.len() < VALUE_BYTES_MAX {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            continue;
        };
        let Some(name) = variable_name(&line[..colon]) else {
            continue;
        };
        let value = line[colon + 1..].trim_ascii();
        let value: Vec<u8> = value.iter().copied().filter(|&b| b != 0).collect();
        if value.len() <= VALUE_BYTES_MAX {
            variables.push((name, value));
        }
    }
    variables
}

/// What the sender of the message this process delivers wants to be told, as
/// lines of [`wire::dsn`].
pub fn wishes() -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    let [message, recipient] = wire::dsn::DELIVERY_VARIABLES.map(|name| {
        let value = std::env::var_os(name);
        value.map(OsStringExt::into_vec).unwrap_or_default()
    });
    wire::dsn::Dsn::from_variables(&message, &recipient).to_headers()
}

fn variable_name(field: &[u8]) -> Option<String> {
    let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let starts_well = field.first()?.is_ascii_alphabetic();
    if !starts_well || NAME_BYTES_MAX < field.len() || !field.iter().all(is_allowed) {
        return None;
    }
    let name = String::from_utf8_lossy(field)
        .to_ascii_uppercase()
        .replace('-', "_");
    let is_setting = || settings::all().any(|setting| setting.variable == name);
    let is_refused = REFUSED.contains(&name.as_str())
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || is_setting();
    (!is_refused).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_becomes_a_variable() {
        let lines = b"X-Spam-Flag:  YES \nSubject: a\n b\nX-Indimail-Trace: 0123456789abcdef\n";
        let expected = [
            ("X_SPAM_FLAG", "YES"),
            ("SUBJECT", "a b"),
            ("X_INDIMAIL_TRACE", "0123456789abcdef"),
        ];
        let variables = of_headers(lines);
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(variables, expected);
    }

    #[test]
    fn a_sender_decides_nothing_that_matters() {
        for line in [
            "Path: /tmp",
            "LD-Preload: x",
            "ld_library_path: y",
            "Controldir: /tmp",
            "IFS: x",
            "QmailLocal: /tmp/x",
            "A B: c",
            "X\u{e9}: c",
            ": c",
            "noline",
            "1X: c",
            "BASH-ENV: x",
            "BASH_FUNC_x%%: () { x; }",
            "Home: /",
            "Tcpremoteip: 1.2.3.4",
            "Overquota-Cmd: /bin/x",
            "A=B: c",
            "Indimail-Dsn: X-Indimail-Dsn: NOTIFY=NEVER",
        ] {
            assert_eq!(of_headers(line.as_bytes()), [], "{line}");
        }
    }
}
