//! vchkpass: checks the password of a virtual user, with the interface of
//! checkpassword (virtual-domains.md §11.1, §11.2).
//!
//! Runs as whoever calls it, mostly `qmaild`; inlookup decides who may ask.
//! Descriptor 3: `login NUL password-or-challenge NUL response NUL`, and
//! perhaps the number of a method and NUL, 512 bytes at most. What it cannot
//! decide, and what is wrong, goes unchanged to the program its arguments
//! name, on a new descriptor 3.
//!
//! Exit codes: 0 right, 1 wrong, 2 misused, 3 right but not for relaying, 111
//! not now; those of POSTAUTH when that is set. With NATIVE_CHECKPASSWORD or
//! DOVECOT_VERSION in the environment it becomes the named program when the
//! password is right, as checkpassword does.
//!
//! Unlike the original it reads no database and learns no hash.

mod ask;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use checker::{NO_RELAY, WRONG, is_native, next, say};
use run::{Exit, Home, ProgramEnd};
use wire::lookup::{Account, Login};

const USAGE: &str = "usage: vchkpass [PROGRAM [ARGUMENTS]]

Checks login and password on descriptor 3 and runs PROGRAM with the same
descriptor when they are wrong. With NATIVE_CHECKPASSWORD set it runs PROGRAM
when they are right. Variables: TCPREMOTEIP, SERVICE, POSTAUTH.
Exit codes: 0 right, 1 wrong, 2 misused, 3 right but not for relaying, 111 not
now.";

fn main() -> ExitCode {
    run::process("vchkpass", || {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(ProgramEnd::from(()));
        }
        let input = checker::input()?;
        let Some(attempt) = checker::attempt(&input)? else {
            return next(&arguments, &input);
        };
        match ask::login(&Home::find(), &attempt) {
            Ok(Login::Granted(account)) => granted(&arguments, &account),
            Ok(Login::Forbidden(why)) => {
                say(&format!("553-Sorry, {why} (#5.7.1)"));
                Err(Exit::new(WRONG, ""))
            }
            Ok(Login::Refused) if is_native() => Err(Exit::new(WRONG, "")),
            Ok(Login::Refused) => next(&arguments, &input),
            Err(why) => {
                say("454-temporary authentication failure (#4.3.0)");
                Err(Exit::new(run::TEMPORARY, why))
            }
        }
    })
}

fn granted(arguments: &[OsString], account: &Account) -> Result<ProgramEnd, Exit> {
    let home = Path::new(&account.maildir)
        .parent()
        .unwrap_or(Path::new("/"));
    checker::after(&account.address, home)?;
    if is_native() {
        let mut command = checker::command(arguments)?;
        command
            .env("USER", &account.address)
            .env("HOME", home)
            .env("MAILDIR", &account.maildir)
            .env("userdb_home", home)
            .env("userdb_mail", format!("maildir:{}", account.maildir))
            .env("EXTRA", "userdb_home userdb_mail");
        return Err(checker::become_program(command));
    }
    match account.may_relay {
        true => Ok(ProgramEnd::from(())),
        false => Err(Exit::new(NO_RELAY, "")),
    }
}
