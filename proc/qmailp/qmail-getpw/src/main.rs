//! qmail-getpw: maps a local part to a system user.
//!
//! Runs as `qmailp`, started by qmail-lspawn with the local part as its
//! argument. Prints `user`, uid, gid, home, dash and extension, each followed
//! by NUL (qmail-getpw(8)). Exits 0, or 115 (a home cannot be looked at now),
//! 116 (there is no alias account), 118 (the user database cannot be asked).
//!
//! In a single-user installation, recognised by `alias` belonging to the
//! caller, only the caller's own account matches and `alias` is the caller.

use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use os::account::{Account, AccountError, Identity};
use run::{Exit, Home};

/// Longest login name.
const NAME_BYTES_MAX: usize = 31;
/// What separates a user's name from the extension.
const BREAK: u8 = b'-';
/// Who gets what nobody else does.
const ALIAS: &str = "alias";

const USAGE: &str = "usage: qmail-getpw local
Prints the user a local part belongs to: user, uid, gid, home, dash, extension,
each followed by a NUL byte. Before a local part that may be --help, write --.
Exit codes: 0 found, 115 a home cannot be looked at, 116 no alias account,
118 the user database cannot be asked.
";

fn main() -> ExitCode {
    run::process("qmail-getpw", || {
        let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        // Anybody can send mail to --help; qmail-lspawn asks with a -- before.
        if 1 < arguments.len() && arguments[0] == "--" {
            arguments.remove(0);
        }
        let mut arguments = arguments.into_iter();
        let local = arguments.next().ok_or_else(|| run::usage::misused(USAGE))?;
        let users = System::new(&Home::find());
        let found = find(&users, &local.into_vec())?;
        let mut out = io::stdout().lock();
        let written = out.write_all(&found.to_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Exit::new(118, format!("cannot write: {error}")))
    })
}

/// A user and what is left of the local part.
#[derive(Debug, Eq, PartialEq)]
struct Found {
    user: String,
    identity: Identity,
    home: Vec<u8>,
    dash: &'static str,
    ext: Vec<u8>,
}

impl Found {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [
            self.user.as_bytes(),
            self.identity.uid.to_string().as_bytes(),
            self.identity.gid.to_string().as_bytes(),
            &self.home,
            self.dash.as_bytes(),
            &self.ext,
        ] {
            out.extend_from_slice(field);
            out.push(0);
        }
        out
    }
}

/// Where users come from.
trait Users {
    /// An account that may get mail.
    fn by_name(&self, name: &str) -> Result<Option<Account>, Exit>;
    /// Who gets the rest.
    fn alias(&self) -> Result<Account, Exit>;
}

/// The whole local part, then what stands before each break, longest first;
/// else alias.
fn find(users: &impl Users, local: &[u8]) -> Result<Found, Exit> {
    let breaks = (0..local.len()).rev().filter(|&at| local[at] == BREAK);
    for end in std::iter::once(local.len()).chain(breaks) {
        let Some(name) = login_name(&local[..end]) else {
            continue;
        };
        if let Some(account) = users.by_name(&name)? {
            let is_whole = end == local.len();
            return Ok(Found {
                user: account.name,
                identity: account.identity,
                home: account.home.as_os_str().as_bytes().to_vec(),
                dash: if is_whole { "" } else { "-" },
                ext: local.get(end + 1..).unwrap_or_default().to_vec(),
            });
        }
    }
    let alias = users.alias()?;
    Ok(Found {
        user: ALIAS.to_owned(),
        identity: alias.identity,
        home: alias.home.as_os_str().as_bytes().to_vec(),
        dash: "-",
        ext: local.to_vec(),
    })
}

fn login_name(prefix: &[u8]) -> Option<String> {
    let fits = (1..=NAME_BYTES_MAX).contains(&prefix.len());
    let name = std::str::from_utf8(prefix).ok().filter(|_| fits)?;
    (!name.contains('\0')).then(|| name.to_ascii_lowercase())
}

/// The machine's accounts.
struct System {
    alias_home: std::path::PathBuf,
    /// The only user of a single-user installation.
    only: Option<Identity>,
}

impl System {
    fn new(home: &Home) -> Self {
        let me = Identity::of_this_process();
        let owner = Identity::owner_of(&home.alias()).ok();
        Self {
            alias_home: home.alias(),
            only: owner
                .filter(|owner| owner.uid == me.uid && me.uid != 0)
                .map(|_| me),
        }
    }
}

impl Users for System {
    fn by_name(&self, name: &str) -> Result<Option<Account>, Exit> {
        let account = match Account::by_name(name) {
            Ok(account) => account,
            Err(AccountError::UnknownUser(_)) => return Ok(None),
            Err(error) => return Err(Exit::new(118, error.to_string())),
        };
        let uid = account.identity.uid;
        let is_somebody_else = self.only.is_some_and(|only| only.uid != uid);
        if uid == 0 || is_somebody_else || account.name != name {
            return Ok(None);
        }
        Ok(owns_home(&account)?.then_some(account))
    }

    fn alias(&self) -> Result<Account, Exit> {
        let identity = match self.only {
            Some(only) => only,
            None => match Account::by_name(ALIAS) {
                Ok(account) => account.identity,
                Err(AccountError::UnknownUser(_)) => {
                    return Err(Exit::new(116, "there is no account named alias"));
                }
                Err(error) => return Err(Exit::new(118, error.to_string())),
            },
        };
        Ok(Account {
            name: ALIAS.to_owned(),
            identity,
            // Several installations share one alias account, so the home is
            // the installation's, whatever the user database says.
            home: self.alias_home.clone(),
        })
    }
}

/// A user without a home of their own gets no mail.
fn owns_home(account: &Account) -> Result<bool, Exit> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match std::fs::metadata(Path::new(&account.home)) {
        Ok(metadata) => Ok(metadata.uid() == account.identity.uid),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => {
            Ok(false)
        }
        Err(error) => Err(Exit::new(
            115,
            format!("{}: {error}", account.home.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Users for Fixed {
        fn by_name(&self, name: &str) -> Result<Option<Account>, Exit> {
            let known = ["ann", "ann-list"].contains(&name);
            Ok(known.then(|| account(name)))
        }

        fn alias(&self) -> Result<Account, Exit> {
            Ok(account("alias"))
        }
    }

    fn account(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            identity: Identity { uid: 7, gid: 8 },
            home: format!("/home/{name}").into(),
        }
    }

    #[test]
    fn the_longest_user_wins_and_the_rest_keeps_its_case() {
        for (local, expected) in [
            ("ann", "ann||"),
            ("ANN", "ann||"),
            ("ann-Foo", "ann|-|Foo"),
            ("ann-list", "ann-list||"),
            ("ann-list-Owner-x", "ann-list|-|Owner-x"),
            ("ann-", "ann|-|"),
            ("bob-x", "alias|-|bob-x"),
            ("-ann", "alias|-|-ann"),
        ] {
            let found = find(&Fixed, local.as_bytes()).unwrap();
            let ext = String::from_utf8(found.ext).unwrap();
            assert_eq!(
                format!("{}|{}|{ext}", found.user, found.dash),
                expected,
                "{local}"
            );
        }
    }

    #[test]
    fn the_answer_is_six_fields() {
        let found = find(&Fixed, b"ann-x").unwrap();
        assert_eq!(found.to_bytes(), b"ann\x007\x008\0/home/ann\0-\0x\0");
    }

    #[test]
    fn a_long_name_is_nobody() {
        assert_eq!(login_name(&[b'a'; 32]), None);
        assert_eq!(login_name(b"a\xff"), None);
    }
}
