//! Which mailboxes exist: virtual ones as inlookup says, local ones as the
//! host's files say. In doubt a mailbox exists: a valid user must never be
//! refused, and a wrong one still bounces.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use os::account::{Account, AccountError};
use run::{Home, SettingError, Settings};
use smtp::server::Mailbox;
use text::control;
use wire::lookup;

/// Longest local part that is looked up piece by piece.
const LOCAL_BYTES_MAX: usize = 255;
/// Most dashes at which it is cut.
const CUTS_MAX: usize = 10;
/// Longest name of a system user.
const USER_BYTES_MAX: usize = 32;
/// Sources of users that can be asked from within the sandbox.
const SOURCES: [&str; 4] = ["files", "compat", "systemd", "db"];

/// Whose domain it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// In `locals`: users of the host and aliases.
    Local,
    /// In `virtualdomains`.
    Virtual,
    /// Neither: we are a relay for it.
    Elsewhere,
}

/// `locals` and `virtualdomains`.
#[derive(Debug)]
pub struct Domains {
    locals: HashSet<Vec<u8>>,
    virtual_domains: HashMap<Vec<u8>, bool>,
}

impl Domains {
    /// Reads both files; without `locals`, `me` is the only local domain.
    pub fn read(_home: &Home, settings: &Settings) -> Result<Self, SettingError> {
        let fold = |line: &[u8]| line.to_ascii_lowercase();
        let locals = match settings.file("locals")? {
            Some(content) => control::list(&content).map(fold).collect(),
            None => {
                let me = settings.file("me")?.unwrap_or_default();
                control::line(&me).map(fold).into_iter().collect()
            }
        };
        let content = settings.file("virtualdomains")?.unwrap_or_default();
        let mut virtual_domains = HashMap::new();
        for line in control::list(&content) {
            if let Some(colon) = line.iter().position(|&b| b == b':') {
                // Nothing after the colon makes an exception.
                virtual_domains.insert(fold(&line[..colon]), colon + 1 < line.len());
            }
        }
        Ok(Self {
            locals,
            virtual_domains,
        })
    }

    /// Decides as qmail-send does: `locals`, then the address, its domain and
    /// the domain's suffixes in `virtualdomains`.
    pub fn whose(&self, address: &[u8]) -> Whose {
        let address = address.to_ascii_lowercase();
        let Some(at) = address.iter().rposition(|&b| b == b'@') else {
            return Whose::Local;
        };
        let domain = &address[at + 1..];
        if self.locals.contains(domain) {
            return Whose::Local;
        }
        let dots = (0..domain.len()).filter(|&at| domain[at] == b'.');
        let found = [&address[..], domain]
            .into_iter()
            .chain(dots.map(|at| &domain[at..]))
            .chain([&b""[..]])
            .find_map(|key| self.virtual_domains.get(key));
        match found {
            Some(true) => Whose::Virtual,
            _ => Whose::Elsewhere,
        }
    }
}

/// What inlookup's answer means for a recipient.
pub fn of_reply(reply: lookup::Reply) -> Mailbox {
    match reply {
        lookup::Reply::Recipient(mailbox) => match mailbox {
            lookup::Mailbox::Fine | lookup::Mailbox::Alias | lookup::Mailbox::NotVirtual => {
                Mailbox::Fine
            }
            lookup::Mailbox::Absent => Mailbox::Absent,
            lookup::Mailbox::Inactive => Mailbox::Inactive,
            lookup::Mailbox::OverQuota => Mailbox::OverQuota,
        },
        lookup::Reply::Temporary(text) => Mailbox::Temporary(text),
        other => Mailbox::Temporary(format!("inlookup answered another question: {other:?}")),
    }
}

/// Looks for a user of the host or an alias, as qmail-lspawn and qmail-local
/// would. Blocks.
pub fn local(home: &Home, local_part: &[u8]) -> Mailbox {
    let local_part = local_part.to_ascii_lowercase();
    let unusual = LOCAL_BYTES_MAX < local_part.len();
    if unusual
        || is_assigned(&home.users().join("cdb"), &local_part).unwrap_or(true)
        || is_user(&local_part).unwrap_or(true)
        || is_alias(&home.alias(), &local_part).unwrap_or(true)
    {
        Mailbox::Fine
    } else {
        Mailbox::Absent
    }
}

/// users/cdb: the exact name, then prefixes that end in a wildcard character.
/// `None` when nobody can tell.
fn is_assigned(path: &Path, local_part: &[u8]) -> Option<bool> {
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let reader = cdb::Reader::new(&file).ok()?;
    let exact = [b"!", local_part, b"\0"].concat();
    if reader.find(&exact).ok()?.is_some() {
        return Some(true);
    }
    let wildcards = reader.find(b"").ok()??;
    let key = &exact[..exact.len() - 1];
    for length in (1..=key.len()).rev() {
        let may_end = length == 1 || wildcards.contains(&key[length - 1]);
        if may_end && reader.find(&key[..length]).ok()?.is_some() {
            return Some(true);
        }
    }
    Some(false)
}

/// A system user by the whole name or by what stands before a dash; whether
/// the user has a file for the rest cannot be seen from here.
fn is_user(local_part: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(local_part).ok()?;
    let cuts = text.rmatch_indices('-').map(|(at, _)| &text[..at]);
    let names = std::iter::once(text).chain(cuts.take(CUTS_MAX));
    let mut found = false;
    for name in names.filter(|name| !name.is_empty() && name.len() <= USER_BYTES_MAX) {
        match Account::by_name(name) {
            // root gets mail through an alias only.
            Ok(account) => found |= account.identity.uid != 0,
            Err(AccountError::UnknownUser(_)) => {}
            Err(_) => return None,
        }
    }
    match found || only_plain_sources() {
        true => Some(found),
        false => None,
    }
}

/// Users from the network cannot be asked for within the sandbox; then "not
/// found" means nothing.
fn only_plain_sources() -> bool {
    let Ok(text) = std::fs::read_to_string("/etc/nsswitch.conf") else {
        return true;
    };
    let passwd = text.lines().find_map(|line| line.strip_prefix("passwd:"));
    passwd.is_none_or(|sources| {
        sources
            .split_whitespace()
            .filter(|word| !word.starts_with('['))
            .all(|source| SOURCES.contains(&source))
    })
}

/// `.qmail-NAME` in the home of the aliases, or a `-default` above it.
fn is_alias(directory: &Path, local_part: &[u8]) -> Option<bool> {
    let name = std::str::from_utf8(local_part).ok()?.replace('.', ":");
    if name.contains('/') {
        return Some(false);
    }
    let dashes = name.rmatch_indices('-').map(|(at, _)| &name[..=at]);
    let defaults = dashes
        .take(CUTS_MAX)
        .chain([""])
        .map(|prefix| format!("{prefix}default"));
    for extension in std::iter::once(name.clone()).chain(defaults) {
        match directory.join(format!(".qmail-{extension}")).try_exists() {
            Ok(true) => return Some(true),
            Ok(false) => {}
            Err(_) => return None,
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["control", "users", "alias"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let home = Home::at(directory.path());
        (directory, home)
    }

    #[test]
    fn domains_are_looked_for_as_qmail_send_does() {
        let (_directory, home) = home();
        std::fs::write(home.control().join("locals"), "Host.test\n").unwrap();
        let lines = "v.test:v.test\n.sub.test:x\nhost.test:never\nout.v.test:\nann@e.test:ann\n";
        std::fs::write(home.control().join("virtualdomains"), lines).unwrap();
        let domains = Domains::read(&home, &Settings::of_files(&home)).unwrap();
        for (address, whose) in [
            ("a@HOST.test", Whose::Local),
            ("a@v.test", Whose::Virtual),
            ("a@b.sub.test", Whose::Virtual),
            ("a@out.v.test", Whose::Elsewhere),
            ("ann@e.test", Whose::Virtual),
            ("bob@e.test", Whose::Elsewhere),
            ("postmaster", Whose::Local),
        ] {
            assert_eq!(domains.whose(address.as_bytes()), whose, "{address}");
        }
    }

    #[test]
    fn aliases_and_assigned_users_exist_and_nobody_else() {
        let (_directory, home) = home();
        std::fs::write(home.alias().join(".qmail-post:master"), "").unwrap();
        std::fs::write(home.alias().join(".qmail-list-default"), "").unwrap();
        let mut builder = cdb::Builder::default();
        builder.add(b"!joe\0", b"joe").unwrap();
        builder.add(b"!shop-", b"shop").unwrap();
        builder.add(b"", b"-").unwrap();
        std::fs::write(home.users().join("cdb"), builder.finish().unwrap()).unwrap();
        let exists = |name: &str| local(&home, name.as_bytes()) == Mailbox::Fine;
        assert!(exists("Post.Master") && exists("list-x-y") && exists("JOE") && exists("shop-1"));
        assert!(exists("daemon") && exists("daemon-anything"));
        assert!(!exists("no-such-user") && !exists("root") && !exists("joey") && !exists("../x"));
        std::fs::write(home.alias().join(".qmail-default"), "").unwrap();
        assert!(exists("no-such-user"));
    }

    #[test]
    fn in_doubt_a_mailbox_exists() {
        let (_directory, home) = home();
        std::fs::write(home.users().join("cdb"), "not a cdb").unwrap();
        assert_eq!(local(&home, b"no-such-user"), Mailbox::Fine);
        assert_eq!(local(&home, &[b'x'; 300]), Mailbox::Fine);
    }
}
