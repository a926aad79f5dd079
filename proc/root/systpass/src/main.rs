//! systpass: checks the password of a system user, with the interface of
//! checkpassword (virtual-domains.md §11.3, smtp-receiving.md §3.4).
//!
//! Needs to read shadow(5): it runs as root, or as a member of group
//! `shadow`. It reads descriptor 3 and the system's accounts, nothing else.
//! Who it does not know, and who has another password, is left to the program
//! its arguments name, on a new descriptor 3. POSTAUTH and that program run
//! as whoever called us.
//!
//! root is nobody here: an account that is guessed over the network must not
//! be that one. An account that has ended has no password any more. A user
//! that does not exist takes as long as one that does.
//!
//! Exit codes: 0 right, 1 wrong, 2 misused, 111 not now; those of POSTAUTH
//! when that is set.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use checker::{Proof, WRONG, is_native, next};
use directory::password::{self, Verdict};
use os::account::{Account, AccountError};
use run::{Exit, ProgramEnd};

const USAGE: &str = "usage: systpass [PROGRAM [ARGUMENTS]]

Checks login and password on descriptor 3 against the system's accounts and
runs PROGRAM with the same descriptor when they are wrong. With
NATIVE_CHECKPASSWORD set it runs PROGRAM when they are right.
Variables: STRIP_DOMAIN (user@domain is user), POSTAUTH.
Exit codes: 0 right, 1 wrong, 2 misused, 111 not now.";
/// Seconds of a day, as shadow(5) counts them.
const DAY: i64 = 24 * 3600;

fn main() -> ExitCode {
    run::process("systpass", || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(ProgramEnd::from(()));
        }
        let input = checker::input()?;
        let Some(attempt) = checker::attempt(&input)? else {
            return next(&arguments, &input);
        };
        // The system's hashes are of no use for a challenge.
        let Proof::Password(password) = attempt.proof else {
            return next(&arguments, &input);
        };
        let login = String::from_utf8_lossy(attempt.login);
        match check(name(&login), password)? {
            Some(home) => granted(&arguments, &login, &home),
            None if is_native() => Err(Exit::new(WRONG, "")),
            None => next(&arguments, &input),
        }
    })
}

/// The account a login names.
fn name(login: &str) -> &str {
    match (std::env::var_os("STRIP_DOMAIN"), login.split_once('@')) {
        (Some(_), Some((user, _))) => user,
        _ => login,
    }
}

/// The home of the account, when that is its password.
fn check(name: &str, password: &[u8]) -> Result<Option<PathBuf>, Exit> {
    let account = match Account::by_name(name) {
        Ok(account) => Some(account),
        Err(AccountError::UnknownUser(_)) => None,
        Err(error) => return Err(temporary(&error)),
    };
    let account = account.filter(|account| account.identity.uid != 0);
    let stored = match &account {
        Some(account) => os::shadow::find(&account.name).map_err(|error| temporary(&error))?,
        None => None,
    };
    let today = os::clock::unix_seconds().div_euclid(DAY);
    let stored = stored.filter(|stored| stored.expires.is_none_or(|day| today < day));
    let (Some(account), Some(stored)) = (account, stored) else {
        password::check_nobody(password);
        return Ok(None);
    };
    match password::check(password, &stored.hash) {
        Verdict::Match | Verdict::MatchObsolete => Ok(Some(account.home)),
        Verdict::Mismatch => Ok(None),
    }
}

fn granted(arguments: &[OsString], login: &str, home: &Path) -> Result<ProgramEnd, Exit> {
    checker::after(login, home)?;
    if !is_native() {
        return Ok(ProgramEnd::from(()));
    }
    let mut command = checker::command(arguments)?;
    command.env("USER", login).env("HOME", home);
    os::child::prepare(&mut command, os::child::Setup::default());
    Err(checker::become_program(command))
}

fn temporary(error: &dyn std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(error))
}
