//! Signing: which key, as whom, how.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mailauth::{KeyError, OwnKey, Style};
use run::{Exit, Home, Settings};
use settings::Setting;
use settings::front_ends::{DKIMDOMAIN, DKIMEXPIRE, DKIMIDENTITY, DKIMKEY, DKIMSIGNOPTIONS};

use crate::{Refusal, domain, domain_of, is_path, os_text, single, unreadable};

/// How long a signature is good unless something else is said.
const SECONDS: u64 = 604_800;
const CODE_NO_KEY: u8 = 35;
const CODE_CONFIGURATION: u8 = 87;
/// Options with a value that means nothing any more.
const VALUES_IGNORED: &[char] = &['b', 'z', 'd', 's', 'y', 'k'];
const UNREADABLE: &str = "ZUnable to read private key. (#4.3.0)";

/// Says whether there is a key to sign with though nobody asked for it.
pub fn has_key(home: &Home, settings: &Settings, message: &[u8]) -> Result<bool, Exit> {
    let value = settings.line(&DKIMKEY).map_err(unreadable)?;
    let Some(domain) = signer(settings, message)? else {
        return Ok(false);
    };
    Ok(paths(home, &value.unwrap_or_default(), &domain)
        .iter()
        .any(|path| path.exists()))
}

/// The field that goes before the message, lines ending in LF; empty when it
/// is not signed.
pub fn field(
    home: &Home,
    settings: &Settings,
    key: &'static Setting,
    message: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let value = settings.line(key).map_err(unreadable)?.unwrap_or_default();
    let is_pattern = value.contains(&b'%');
    let Some(domain) = signer(settings, message)? else {
        // Nobody can be answered for.
        return Ok(Vec::new());
    };
    let style = style(settings)?;
    for path in paths(home, &value, &domain) {
        let pem = match std::fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                run::warn("qmail-dkim", &format!("{}: {error}", path.display()));
                return Err(Refusal::Custom(UNREADABLE.to_owned()));
            }
        };
        let selector = path.file_name().and_then(|name| name.to_str());
        let selector = selector.unwrap_or_default();
        return match sign(&pem, message, &domain, selector, &style) {
            Ok(field) => Ok(field),
            Err(KeyError::TooShort) => {
                run::warn("qmail-dkim", &format!("{}: key too short", path.display()));
                Ok(Vec::new())
            }
            Err(KeyError::Malformed) => Err(Refusal::Custom(UNREADABLE.to_owned())),
            Err(KeyError::Message(why)) => {
                run::warn("qmail-dkim", &format!("not signed: {why}"));
                Ok(Vec::new())
            }
        };
    }
    match is_pattern {
        true => Ok(Vec::new()),
        false => Err(Exit::new(CODE_NO_KEY, "the private key does not exist").into()),
    }
}

fn sign(
    pem: &[u8],
    message: &[u8],
    domain: &str,
    selector: &str,
    style: &Style,
) -> Result<Vec<u8>, KeyError> {
    // As it goes over the wire.
    let mut lines = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|&b| b == b'\n') {
        lines.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    let field = OwnKey::from_pem(pem)?.sign(&lines, domain, selector, style)?;
    Ok(field.into_iter().filter(|&b| b != b'\r').collect())
}

/// The domain that signs.
fn signer(settings: &Settings, message: &[u8]) -> Result<Option<String>, Exit> {
    let named = settings.line(&DKIMDOMAIN).map_err(unreadable)?;
    if let Some(named) = named.filter(|value| !value.is_empty()) {
        let at = named.iter().rposition(|&b| b == b'@');
        let name = at.map_or(&named[..], |at| &named[at + 1..]);
        return match domain(name) {
            Some(domain) => Ok(Some(domain)),
            None => Err(Exit::new(CODE_CONFIGURATION, "DKIMDOMAIN is no domain")),
        };
    }
    let field = single(message, "Sender").or_else(|| single(message, "From"));
    Ok(field.and_then(|value| domain_of(&value)))
}

/// Where the key of a domain may be: with its name, then without it.
fn paths(home: &Home, value: &[u8], domain: &str) -> Vec<PathBuf> {
    let place = |text: Vec<u8>| {
        let name = os_text(text);
        match is_path(&name) {
            true => Path::new(&name).to_owned(),
            false => home.control().join(name),
        }
    };
    let replaced = |by: &str| {
        let parts: Vec<&[u8]> = value.split(|&b| b == b'%').collect();
        parts.join(by.as_bytes())
    };
    if !value.contains(&b'%') {
        return vec![place(value.to_vec())];
    }
    let mut without = replaced("");
    while let Some(at) = without.windows(2).position(|pair| pair == b"//") {
        without.remove(at);
    }
    vec![place(replaced(domain)), place(without)]
}

/// `DKIMSIGNOPTIONS`, and the variables before it.
fn style(settings: &Settings) -> Result<Style, Exit> {
    let text = |setting| -> Result<Option<String>, Exit> {
        let line = settings.line(setting).map_err(unreadable)?;
        Ok(line
            .filter(|line| !line.is_empty())
            .map(|line| text::log::printable(&line, 1000)))
    };
    let wrong = |what: &str| Exit::new(CODE_CONFIGURATION, format!("DKIMSIGNOPTIONS: {what}"));
    let mut style = Style {
        seconds: Some(SECONDS),
        ..Style::default()
    };
    let seconds = |text: &str| match text {
        "-" => Ok(None),
        text => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(wrong("-x and DKIMEXPIRE are seconds or -")),
        },
    };
    let options = text(&DKIMSIGNOPTIONS)?.unwrap_or_default();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-').unwrap_or("?").chars();
        while let Some(letter) = letters.next() {
            match letter {
                'l' | 'q' | 't' | 'h' => continue,
                'c' | 'i' | 'x' => {}
                letter if VALUES_IGNORED.contains(&letter) => {}
                _ => return Err(wrong(word)),
            }
            let rest = letters.as_str();
            let value = match rest.is_empty() {
                true => words.next().ok_or_else(|| wrong("a value is missing"))?,
                false => rest,
            };
            match letter {
                'c' => {
                    (style.simple_header, style.simple_body) = match value {
                        "r" => (false, false),
                        "s" => (true, true),
                        "t" => (false, true),
                        "u" => (true, false),
                        _ => return Err(wrong("-c is r, s, t or u")),
                    };
                }
                'i' => style.identity = Some(value.to_owned()),
                'x' => style.seconds = seconds(value)?,
                _ => {}
            }
            break;
        }
    }
    if let Some(identity) = text(&DKIMIDENTITY)? {
        style.identity = Some(identity);
    }
    if let Some(expire) = text(&DKIMEXPIRE)? {
        style.seconds = seconds(&expire)?;
    }
    Ok(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Style, Exit> {
        let settings = Settings::of_files(&Home::at("/nowhere"));
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, Some(value.as_bytes())));
        style(&settings.overlaid(variables))
    }

    #[test]
    fn options_are_those_of_getopt() {
        let style = with(&[]).unwrap();
        assert_eq!((style.simple_header, style.seconds), (false, Some(SECONDS)));
        let options = "-b 2 -lqt -c u -iann@a.test -x 60 -z 2";
        let style = with(&[("DKIMSIGNOPTIONS", options)]).unwrap();
        assert_eq!((style.simple_header, style.simple_body), (true, false));
        assert_eq!(style.identity.as_deref(), Some("ann@a.test"));
        assert_eq!(style.seconds, Some(60));
        let both = [("DKIMSIGNOPTIONS", "-x 60"), ("DKIMEXPIRE", "-")];
        assert_eq!(with(&both).unwrap().seconds, None);
        for wrong in ["-c", "-c x", "-x soon", "-?", "word"] {
            assert!(with(&[("DKIMSIGNOPTIONS", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_looked_for_with_and_without_its_domain() {
        let home = Home::at("/r");
        let paths = |value: &str| paths(&home, value.as_bytes(), "a.test");
        let expected: &[PathBuf] = &["/k/a.test/s".into(), "/k/s".into()];
        assert_eq!(paths("/k/%/s"), expected);
        let control = home.control().join("keys/one");
        assert_eq!(paths("keys/one"), [control]);
    }
}
