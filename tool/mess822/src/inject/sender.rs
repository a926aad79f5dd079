//! Who sends (queue-and-delivery.md §3.2.3).

use message::{Names, Token};
use run::Settings;

use super::options::Options;

const FROM_USER: &[&str] = &["QMAILUSER", "MAILUSER", "USER", "LOGNAME"];
const FROM_HOST: &[&str] = &["QMAILHOST", "MAILHOST"];
const FROM_NAME: &[&str] = &["QMAILNAME", "MAILNAME", "NAME"];
const ANONYMOUS: &[u8] = b"anonymous";
/// What marks a sender as one to be expanded for each recipient.
const VERP_MARK: &[u8] = b"-@[]";

/// The person at the keyboard, as the environment tells.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Person {
    user: Vec<u8>,
    host: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    envelope_user: Option<Vec<u8>>,
    envelope_host: Option<Vec<u8>>,
}

impl Person {
    /// Reads the variables.
    pub fn read(settings: &Settings) -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| settings.variable(name))
                .map(printable)
        };
        Self {
            user: first(FROM_USER).unwrap_or_else(|| ANONYMOUS.to_vec()),
            host: first(FROM_HOST),
            name: first(FROM_NAME).filter(|name| !name.is_empty()),
            envelope_user: first(&["QMAILSUSER"]),
            envelope_host: first(&["QMAILSHOST"]),
        }
    }

    /// Somebody with this address and name.
    pub fn named(address: &[u8], name: &[u8]) -> Self {
        Self {
            user: printable(address),
            name: Some(printable(name)).filter(|name| !name.is_empty()),
            ..Self::default()
        }
    }

    /// The `From` field.
    pub fn field_from(&self, names: &Names, options: &Options) -> Vec<u8> {
        let address = names.complete(&joined(&self.user, self.host.as_deref()));
        let address = address::Quoted(&address).to_vec();
        let mut out = b"From: ".to_vec();
        match &self.name {
            None => out.extend_from_slice(&address),
            Some(name) if options.address_comment => {
                out.extend_from_slice(&address);
                out.extend_from_slice(b" (");
                for &byte in name {
                    if b"()\\".contains(&byte) {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
                out.push(b')');
            }
            Some(name) => {
                Token::Quoted(name.clone()).print(&mut out);
                out.extend_from_slice(b" <");
                out.extend_from_slice(&address);
                out.push(b'>');
            }
        }
        out.push(b'\n');
        out
    }

    /// The envelope sender: that of `-f`, else the incoming `Return-Path`,
    /// else this person, with the marks of VERP.
    pub fn envelope_sender(
        &self,
        names: &Names,
        options: &Options,
        return_path: Option<Vec<u8>>,
        now: i64,
        pid: u32,
    ) -> Vec<u8> {
        if let Some(sender) = &options.sender {
            return names.complete(sender);
        }
        let mut sender = match return_path.filter(|_| !options.ignore_return_path) {
            Some(path) if path.is_empty() => return path,
            Some(path) => path,
            None => {
                let mut user = self.envelope_user.as_ref().unwrap_or(&self.user).clone();
                if options.verp_by_message {
                    user.extend_from_slice(format!("-{now}.{pid}").as_bytes());
                }
                if options.verp_by_recipient {
                    user.push(b'-');
                }
                let host = self.envelope_host.as_deref().or(self.host.as_deref());
                names.complete(&joined(&user, host))
            }
        };
        if options.verp_by_recipient {
            sender.extend_from_slice(VERP_MARK);
        }
        sender
    }
}

fn joined(user: &[u8], host: Option<&[u8]>) -> Vec<u8> {
    match host {
        Some(host) => [user, b"@", host].concat(),
        None => user.to_vec(),
    }
}

/// A variable cannot end a line of the header.
fn printable(value: &[u8]) -> Vec<u8> {
    let replace = |&b: &u8| if b.is_ascii_control() { b' ' } else { b };
    value.iter().map(replace).collect()
}
