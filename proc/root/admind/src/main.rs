//! admind: starts administration commands for who may run them from afar
//! (virtual-domains.md §15).
//!
//! Starts as root and stays it (in a single-user installation as its owner):
//! it alone becomes others. It serves `run/admin`, for the listeners only,
//! which run as `qadmin`; it reads no network, no file and no database. Who an
//! administrator is and what it may run it asks inlookup, with the secret the
//! listener was given, so a listener that was taken over can do no more than
//! those who log in through it.
//!
//! Commands get their arguments as they are, without a shell, an environment
//! of ours, and run as the owner of virtual mail. Those that edit control
//! files run as root, and take only options that name no file and no user.
//!
//! Exit codes: 0 after SIGTERM, 100 wrong usage, 111 anything else.

mod child;
mod commands;
mod rights;
mod serve;

use std::process::ExitCode;

use os::account::{Account, Identity, is_root};
use run::{Exit, Home};

const PROGRAM: &str = "admind";
const USAGE: &str = "usage: admind [--allow USER]...

Starts administration commands for indisrvr and indiapi. Serves
ROOT/run/admin, asks ROOT/run/inlookup who somebody is.

  --allow USER  a user whose processes may connect; default qadmin. root and
                our own user always may
  --help        this text

Settings: QREGEX (patterns of vpriv are regular expressions).
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.";
/// Any local process may connect; who is answered is decided by its user.
const SOCKET_MODE: u32 = 0o666;
/// User of the listeners.
const LISTENER: &str = "qadmin";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let Some(allowed) = arguments(std::env::args().skip(1))? else {
            println!("{USAGE}");
            return Ok(());
        };
        start(&allowed).map_err(|text| Exit::new(run::TEMPORARY, text))
    })
}

fn start(allowed: &[String]) -> Result<(), String> {
    let home = Home::find();
    let socket = home.socket("admin");
    let listener = os::socket::listen(&socket, SOCKET_MODE)
        .map_err(|error| format!("cannot listen on {}: {error}", socket.display()))?;
    let accounts = allowed
        .iter()
        .filter_map(|name| Account::by_name(name).ok());
    let mut listeners: Vec<u32> = accounts.map(|account| account.identity.uid).collect();
    let me = Identity::of_this_process();
    listeners.extend([0, me.uid]);
    let owner = match is_root() {
        true => {
            Account::by_name("indimail")
                .map_err(|error| error.to_string())?
                .identity
        }
        false => me,
    };
    let site = serve::Site {
        home,
        owner,
        listeners,
    };
    serve::forever(&listener, site).map_err(|error| format!("cannot go on serving: {error}"))
}

/// The users that may connect; `None` when help is asked for.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Vec<String>>, Exit> {
    let mut allowed = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--allow" => {
                let value = words.next();
                allowed.push(value.ok_or_else(|| run::usage::misused(USAGE))?);
            }
            _ => {
                let text = format!("unknown option {word}; see {PROGRAM} --help");
                return Err(Exit::new(run::PERMANENT, text));
            }
        }
    }
    if allowed.is_empty() {
        allowed.push(LISTENER.to_owned());
    }
    Ok(Some(allowed))
}
