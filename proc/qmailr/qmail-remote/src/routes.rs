//! Artificial routes (queue-and-delivery.md §7.3).

use run::Settings;
use settings::remote::{MORESMTPROUTES, SMTPROUTE, SMTPROUTES};
use text::control;
use text::log::printable;

use crate::failure::Failure;
use crate::job::{Host, Job};

/// The port of SMTP.
const SMTP_PORT: u16 = 25;
/// The key of routes for messages without a sender.
const NULL_SENDER_KEY: &[u8] = b"!@";

/// Where mail goes instead of to the exchangers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The relay; `None` for the exchangers of the domain after all.
    pub relay: Option<Host>,
    /// Its port.
    pub port: u16,
    /// Overrides [`settings::remote::MIN_PENALTY`].
    pub penalty: Option<u32>,
    /// Overrides [`settings::remote::MAX_TOLERANCE`].
    pub tolerance: Option<u32>,
    /// Who to be there.
    pub login: Option<(Vec<u8>, Vec<u8>)>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            relay: None,
            port: SMTP_PORT,
            penalty: None,
            tolerance: None,
            login: None,
        }
    }
}

impl Route {
    /// The route of a job: by whole recipient in the database, then for null
    /// senders, then by host and what is above it in the variable or the
    /// file, and in the database.
    pub fn find(settings: &Settings, job: &Job) -> Result<Self, Failure> {
        // The guide uses both names.
        let variable = settings
            .variable(SMTPROUTE.variable)
            .or_else(|| settings.variable("SMTPROUTES"));
        let table = match variable {
            Some(entries) if !entries.is_empty() => entries.to_vec(),
            _ => settings.list(&SMTPROUTES)?.unwrap_or_default().join(&b'\n'),
        };
        let file = settings
            .variable(MORESMTPROUTES.variable)
            .and_then(|name| std::str::from_utf8(name).ok())
            .filter(|name| !name.is_empty())
            .unwrap_or(MORESMTPROUTES.file);
        let database = settings.file(file)?;
        let database = |key: &[u8]| match &database {
            Some(bytes) => cdb::Reader::new(bytes)
                .and_then(|reader| reader.find(&key.to_ascii_lowercase()))
                .map_err(|_| Failure::Control(format!("{file} is damaged"))),
            None => Ok(None),
        };
        let [(first, _), ..] = job.recipients.as_slice() else {
            return Ok(Self::default());
        };
        if let Some(value) = database(first.as_bytes())? {
            return Self::parse(value);
        }
        if job.sender.is_empty()
            && let Some(value) = control::lookup(&table, NULL_SENDER_KEY)
        {
            return Self::parse(value);
        }
        for key in keys(&job.host) {
            if let Some(value) = control::lookup(&table, key.as_bytes()) {
                return Self::parse(value);
            }
            if let Some(value) = database(key.as_bytes())?.filter(|_| !key.is_empty()) {
                return Self::parse(value);
            }
        }
        Ok(Self::default())
    }

    /// Parses `relay[:port[:penalty[:tolerance]]][ user password]`; an IPv6
    /// relay stands in brackets.
    fn parse(value: &[u8]) -> Result<Self, Failure> {
        let wrong = || Failure::Route(printable(value, 60));
        let mut words = value
            .split(|b| matches!(b, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        // An empty relay before credentials is no word.
        let target = if value.first().is_none_or(|b| matches!(b, b' ' | b'\t')) {
            b""
        } else {
            words.next().unwrap_or_default()
        };
        let login = match (words.next(), words.next()) {
            (Some(user), Some(password)) => Some((user.to_vec(), password.to_vec())),
            _ => None,
        };
        let target = std::str::from_utf8(target).map_err(|_| wrong())?;
        let relay_end = match target.find(']') {
            Some(bracket) if target.starts_with('[') => bracket + 1,
            _ => target.find(':').unwrap_or(target.len()),
        };
        let (relay, rest) = target.split_at(relay_end);
        let mut numbers = rest.strip_prefix(':').unwrap_or(rest).split(':');
        let mut number = || match numbers.next() {
            None | Some("") => Ok(None),
            Some(digits) => digits.parse::<u32>().map(Some).map_err(|_| wrong()),
        };
        let port = match number()? {
            Some(port) => u16::try_from(port).map_err(|_| wrong())?,
            None => SMTP_PORT,
        };
        Ok(Self {
            relay: match relay {
                "" => None,
                relay => Some(Host::parse(relay).ok_or_else(wrong)?),
            },
            port,
            penalty: number()?,
            tolerance: number()?,
            login,
        })
    }
}

/// Under which keys a host is looked up: itself, what is above it with a dot
/// in front, everything.
fn keys(host: &Host) -> Vec<String> {
    let mut keys: Vec<String> = match host {
        Host::Name(name) => name.suffixes().map(str::to_owned).collect(),
        Host::Literal(ip) => vec![format!("[{ip}]"), ip.to_string()],
    };
    keys.push(String::new());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(routes: &str, host: &str, sender: &str) -> Route {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        std::fs::write(directory.path().join("control/smtproutes"), routes).unwrap();
        let settings = Settings::of_files(&run::Home::at(directory.path()));
        let recipient = format!("ann@{host}");
        let words = [host, sender, "", "1", &recipient].map(|w| w.as_bytes().to_vec());
        Route::find(&settings, &Job::parse(&words).unwrap()).unwrap()
    }

    fn relay(routes: &str, host: &str) -> Option<String> {
        find(routes, host, "x@y")
            .relay
            .map(|relay| relay.to_string())
    }

    #[test]
    fn the_longest_match_wins() {
        let routes = "a.example:one\n.example:two\n:three\nexcept.example:\n";
        assert_eq!(relay(routes, "a.example").as_deref(), Some("one"));
        assert_eq!(relay(routes, "A.Example").as_deref(), Some("one"));
        assert_eq!(relay(routes, "x.a.example").as_deref(), Some("two"));
        assert_eq!(relay(routes, "example").as_deref(), Some("three"));
        assert_eq!(relay(routes, "except.example"), None);
    }

    #[test]
    fn a_route_has_port_penalty_and_credentials() {
        let route = find(
            "b.example:[2001:db8::1]:587:0:60 user pass\n",
            "b.example",
            "",
        );
        assert_eq!(route.relay, Host::parse("[2001:db8::1]"));
        assert_eq!(
            (route.port, route.penalty, route.tolerance),
            (587, Some(0), Some(60))
        );
        assert_eq!(route.login, Some((b"user".to_vec(), b"pass".to_vec())));
        assert_eq!(find("b.example:r\n", "b.example", "").port, 25);
        let only_login = find("b.example: user pass\n", "b.example", "");
        assert_eq!((only_login.relay, only_login.login.is_some()), (None, true));
    }

    #[test]
    fn bounces_may_take_another_way() {
        let routes = "!@:bounces\n:other\n";
        let route = find(routes, "b.example", "");
        assert_eq!(route.relay, Host::parse("bounces"));
        assert_eq!(relay(routes, "b.example").as_deref(), Some("other"));
    }

    #[test]
    fn a_route_that_makes_no_sense_defers() {
        for wrong in ["r:port", "r:70000", "a/b"] {
            assert!(matches!(
                Route::parse(wrong.as_bytes()),
                Err(Failure::Route(_))
            ));
        }
    }
}
