//! signer: signs with private keys for processes that may not read them.
//!
//! Starts as root (or as the one user of a single-user installation), opens
//! its socket `run/signer`, becomes `qcerts` and closes a sandbox in which
//! only the certificates can be read. It answers only the users named by
//! `--allow` and `--allow-dkim`, only for the keys named by `--key`, and only with signatures: a
//! key never leaves the process. A certificate that is replaced is used from
//! the next handshake on.
//!
//! Exit codes: 0 after SIGTERM, 100 wrong usage, 111 anything else.

mod dkim;
mod keys;
mod serve;

use std::process::ExitCode;

use os::account::{Account, is_root};
use run::{Exit, Home, PERMANENT, sandboxes};

use keys::Keys;

const PROGRAM: &str = "signer";
const USAGE: &str =
    "usage: signer [--key FILE]... [--allow USER]... [--allow-dkim USER]... [--user USER]

Signs TLS handshakes for the mail servers, which cannot read private keys.

  --key FILE    a PEM file with chain and key below the certificate directory;
                default servercert.pem
  --allow USER  a user whose processes may ask; default qmaild, indimail
                and qadmin. root and the signer's own user always may
  --allow-dkim USER  a user whose processes may have mail signed, by the keys
                dkim.DOMAIN.SELECTOR.pem in the same directory; default qmailr
  --user USER   whom to become when started as root; default qcerts

Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.";

/// What the command line says.
struct Arguments {
    keys: Vec<String>,
    allowed: Vec<String>,
    allowed_dkim: Vec<String>,
    user: String,
}

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<u8, Exit> {
        let arguments = match arguments(std::env::args().skip(1))? {
            Some(arguments) => arguments,
            None => {
                println!("{USAGE}");
                return Ok(0);
            }
        };
        start(&arguments).map_err(|error| Exit::new(run::TEMPORARY, error))
    })
}

fn start(arguments: &Arguments) -> Result<u8, String> {
    let home = Home::find();
    let socket = home.socket("signer");
    let say = |what: String| move |error: std::io::Error| format!("{what}: {error}");
    // Anyone may connect; who is answered is decided by user (SO_PEERCRED).
    let listener = os::socket::listen(&socket, 0o666)
        .map_err(say(format!("cannot listen on {}", socket.display())))?;
    let uids = |names: &[String]| -> Vec<u32> {
        let accounts = names.iter().filter_map(|name| Account::by_name(name).ok());
        accounts.map(|account| account.identity.uid).collect()
    };
    let mut askers = serve::Askers {
        tls: uids(&arguments.allowed),
        dkim: uids(&arguments.allowed_dkim),
    };
    if is_root() {
        let account = Account::by_name(&arguments.user).map_err(|error| error.to_string())?;
        account
            .identity
            .assume()
            .map_err(|error| error.to_string())?;
    }
    let always = [0, os::account::Identity::of_this_process().uid];
    askers.tls.extend(always);
    askers.dkim.extend(always);
    sandboxes::close(sandboxes::signer(&home), PROGRAM);
    let keys = Keys::new(home.certs(), arguments.keys.clone());
    keys.check().map_err(|error| error.to_string())?;
    let dkim = dkim::DkimKeys::new(home.certs());
    serve::forever(&listener, &socket, &askers, serve::All { keys, dkim })
        .map_err(say(format!("cannot accept on {}", socket.display())))
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, Exit> {
    let mut arguments = Arguments {
        keys: Vec::new(),
        allowed: Vec::new(),
        allowed_dkim: Vec::new(),
        user: "qcerts".to_owned(),
    };
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        if !["--key", "--allow", "--allow-dkim", "--user"].contains(&word.as_str()) {
            let text = format!("unknown option {word}; see signer --help");
            return Err(Exit::new(PERMANENT, text));
        }
        let value = words.next().ok_or_else(usage)?;
        match word.as_str() {
            "--key" if keys::is_plain_name(&value) => arguments.keys.push(value),
            "--allow" => arguments.allowed.push(value),
            "--allow-dkim" => arguments.allowed_dkim.push(value),
            "--user" => arguments.user = value,
            _ => return Err(usage()),
        }
    }
    if arguments.keys.is_empty() {
        arguments.keys.push("servercert.pem".to_owned());
    }
    if arguments.allowed.is_empty() {
        arguments.allowed = ["qmaild", "indimail", "qadmin"].map(str::to_owned).to_vec();
    }
    if arguments.allowed_dkim.is_empty() {
        arguments.allowed_dkim = vec!["qmailr".to_owned()];
    }
    Ok(Some(arguments))
}

fn usage() -> Exit {
    run::usage::misused(USAGE)
}
