//! vdelivermail: delivers one message to a user of a virtual domain; vfilter,
//! another name of it: does so by the rules of the user and of the domain.
//!
//! `vdelivermail '' DEFAULT` in a domain's `.qmail-default`, run by
//! qmail-local as the owner of the virtual mail, with qmail-local's variables
//! (`EXT` is the user, `HOST` the domain, `SENDER`, `LOCAL`, `QQEH`) and the
//! message on descriptor 0. It can also be called with qmail-local's own nine
//! arguments. Writes below the user's home; asks the database of users.
//!
//! DEFAULT says what to do with mail for unknown users: `bounce-no-mailbox`,
//! `delete`, a directory, an address or a route `DOMAIN:IP:PORT`.
//!
//! Exits 0, 100 or 111; every trouble of ours is 111 (vdelivermail(8)).
//! `vfilter [-v] USER@DOMAIN` says what would become of the message, and does
//! nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use delivery::virtual_user::{self, Job, Options};
use delivery::{DirectoryUsers, Site};
use dotqmail::Facts;
use run::{Exit, Home};

const USAGE: &str = "usage: vdelivermail '' DEFAULT\n\nDelivers the message on descriptor 0 to the virtual user EXT@HOST.\nDEFAULT, for unknown users: bounce-no-mailbox, delete, /DIRECTORY, ADDRESS or DOMAIN:IP:PORT\nExit codes: 0 delivered, 99 delivered and no further lines, 100 never, 111 later.";

const FILTER_USAGE: &str = "usage: vfilter '' DEFAULT\n       vfilter [-v] USER@DOMAIN\n\nDelivers the message on descriptor 0 to the virtual user EXT@HOST as the rules say that vcfilter made.\nDEFAULT, for unknown users: bounce-no-mailbox, delete, /DIRECTORY, ADDRESS or DOMAIN:IP:PORT\nWith an address: says what would become of the message, with -v also why, and does nothing.\nExit codes: 0 delivered, 99 delivered and no further lines, 100 never, 111 later.";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let is_filter = Path::new(&called).file_name() == Some("vfilter".as_ref());
    let (name, usage) = match is_filter {
        true => ("vfilter", FILTER_USAGE),
        false => ("vdelivermail", USAGE),
    };
    run::process(name, || {
        os::account::set_umask(0o077);
        if run::usage::help(usage, &arguments) {
            return Ok(0);
        }
        let arguments: Vec<Vec<u8>> = arguments.into_iter().map(OsStringExt::into_vec).collect();
        let explained = match is_filter {
            true => explained(&arguments),
            false => None,
        };
        let (facts, default) = match &explained {
            Some((facts, _)) => (facts.clone(), b"bounce-no-mailbox".to_vec()),
            None => facts(&arguments, usage)?,
        };
        let message = os::fd::inherit_file(0)
            .ok_or_else(|| Exit::new(run::TEMPORARY, "descriptor 0 is closed"))?;
        let trouble = |error: &dyn std::error::Error| Exit::new(run::TEMPORARY, error.to_string());
        let message: File = delivery::seekable(message).map_err(|error| trouble(&error))?;
        let site = Site::open(name, Home::find()).map_err(|error| trouble(&error))?;
        let job = Job {
            site: &site,
            users: &DirectoryUsers::new(&site.home, &site.settings, Arc::default()),
            facts: &facts,
            default: &default,
            options: &Options::from_settings(&site.settings),
            message: &message,
            trace: run::Tracer::id_of_process(),
        };
        let mut out = std::io::stdout();
        let outcome = match explained {
            Some((_, rules)) => virtual_user::explain_filter(&job, rules, |line| {
                let _ = writeln!(out, "{line}");
            }),
            None if is_filter => virtual_user::filter(&job),
            None => virtual_user::deliver(&job),
        };
        let _ = std::io::stdout().write_all(&outcome.output);
        Ok::<_, Exit>(outcome.code)
    })
}

/// `[-v] USER@DOMAIN`: whose rules to explain, and whether each of them.
fn explained(arguments: &[Vec<u8>]) -> Option<(Facts, bool)> {
    let (address, rules) = match arguments {
        [address] => (address, false),
        [option, address] if option == b"-v" => (address, true),
        _ => return None,
    };
    let at = address.iter().rposition(|&b| b == b'@')?;
    let (ext, domain) = (address[..at].to_vec(), address[at + 1..].to_vec());
    let facts = Facts {
        local: [&domain[..], b"-", &ext].concat(),
        ext,
        domain,
        ..Facts::default()
    };
    Some((facts, rules))
}

/// Who the message is for, and what to do when there is no such user.
fn facts(arguments: &[Vec<u8>], usage: &str) -> Result<(Facts, Vec<u8>), Exit> {
    match arguments {
        [_, default] => Ok((of_environment()?, default.clone())),
        // qmail-local's arguments: the user is the extension.
        [
            user,
            home,
            local,
            _dash,
            ext,
            domain,
            sender,
            default,
            rest @ ..,
        ] if rest.len() <= 1 => {
            let facts = Facts {
                user: user.clone(),
                home: home.clone(),
                local: local.clone(),
                domain: domain.clone(),
                ext: ext.clone(),
                sender: sender.clone(),
                new_sender: sender.clone(),
                extra_headers: rest.first().cloned().unwrap_or_default(),
                default: None,
                wishes: run::variables::wishes(),
            };
            Ok((facts, default.clone()))
        }
        _ => Err(Exit::new(run::TEMPORARY, run::usage::misused(usage).text)),
    }
}

fn of_environment() -> Result<Facts, Exit> {
    let variable = |name: &str| std::env::var_os(name).map(OsStringExt::into_vec);
    let needed = |name: &str| {
        variable(name).ok_or_else(|| {
            let text = format!("{name} is not set; qmail-local sets it for program lines");
            Exit::new(run::PERMANENT, text)
        })
    };
    let (ext, domain) = (needed("EXT")?, needed("HOST")?);
    let sender = needed("SENDER")?;
    let local = variable("LOCAL").unwrap_or_else(|| [&domain[..], b"-", &ext].concat());
    Ok(Facts {
        user: variable("USER").unwrap_or_else(|| domain.clone()),
        home: variable("HOME").unwrap_or_else(|| b"/".to_vec()),
        local,
        ext,
        new_sender: variable("NEWSENDER").unwrap_or_else(|| sender.clone()),
        sender,
        domain,
        extra_headers: variable("QQEH").unwrap_or_default(),
        default: variable("DEFAULT"),
        wishes: run::variables::wishes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_a_question() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let asked = |list: &[&str]| -> Option<(Vec<u8>, bool)> {
            let list: Vec<Vec<u8>> = words(list);
            explained(&list).map(|(facts, rules)| (facts.ext, rules))
        };
        assert_eq!(asked(&["joe@d.org"]), Some((b"joe".to_vec(), false)));
        assert_eq!(asked(&["-v", "joe@d.org"]), Some((b"joe".to_vec(), true)));
        assert_eq!(asked(&["", "all@d.org"]), None);
    }

    #[test]
    fn two_arguments_or_those_of_qmail_local() {
        let words = |text: &str| -> Vec<Vec<u8>> {
            text.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect()
        };
        let line = "d.org /d/d.org d.org-joe - joe d.org a@b bounce-no-mailbox X:y";
        let (facts, default) = facts(&words(line), USAGE).unwrap();
        assert_eq!(default, b"bounce-no-mailbox");
        assert_eq!(
            (&facts.ext[..], &facts.domain[..]),
            (&b"joe"[..], &b"d.org"[..])
        );
        assert_eq!(
            super::facts(&words("a b c"), USAGE).unwrap_err().code,
            run::TEMPORARY
        );
    }
}
