//! What qmail-rspawn asks for.

use address::{Address, Domain};
use smtp::client::Path;
use wire::dsn::{Dsn, Notify, Wish};

use crate::failure::Failure;

/// One delivery.
#[derive(Debug)]
pub struct Job {
    /// The host as the recipients' domain says it.
    pub host: Host,
    /// The host in text, for reports.
    pub host_text: String,
    /// Envelope sender.
    pub sender: Address,
    /// Sender as SMTP says it.
    pub sender_path: Path,
    /// Header lines to put before the message.
    pub extra_headers: Vec<u8>,
    /// Size of the stored message.
    pub size: u64,
    /// Envelope recipients, and how SMTP says them.
    pub recipients: Vec<(Address, Path)>,
    /// What the sender wants to be told.
    pub dsn: Dsn,
}

/// Where mail goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// By name.
    Name(Domain),
    /// By number, `[192.0.2.1]`, `192.0.2.1` or `[IPv6:2001:db8::1]`.
    Literal(std::net::IpAddr),
}

impl Host {
    /// Parses what stands after the `@`.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let number = inner.unwrap_or(text);
        let tag = number
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let number = tag.map_or(number, |tag| &number[tag.len()..]);
        match number.parse() {
            Ok(ip) => Some(Self::Literal(ip)),
            Err(_) if inner.is_some() => None,
            Err(_) => Domain::parse(text).ok().map(Self::Name),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Literal(ip) => ip.fmt(f),
        }
    }
}

impl Job {
    /// Parses the arguments.
    pub fn parse(arguments: &[Vec<u8>]) -> Result<Self, Failure> {
        let [host, sender, extra_headers, size, recipients @ ..] = arguments else {
            return Err(Failure::Usage);
        };
        if recipients.is_empty() {
            return Err(Failure::Usage);
        }
        let host_text = text::log::printable(host, 255);
        let host = std::str::from_utf8(host)
            .ok()
            .and_then(Host::parse)
            .ok_or_else(|| Failure::NoSuchHost(host_text.clone()))?;
        let size = std::str::from_utf8(size).ok().and_then(|s| s.parse().ok());
        let (sender, sender_path) = address(sender)?;
        Ok(Self {
            host,
            host_text,
            sender,
            sender_path,
            extra_headers: extra_headers.clone(),
            size: size.ok_or(Failure::Usage)?,
            recipients: recipients
                .iter()
                .map(|recipient| address(recipient))
                .collect::<Result<_, _>>()?,
            dsn: Dsn::default(),
        })
    }

    /// Says what the sender wants to be told: the values of the variables
    /// qmail-rspawn sets.
    pub fn with_wishes(mut self, message: &[u8], recipient: &[u8]) -> Self {
        self.dsn = Dsn::from_variables(message, recipient);
        self
    }

    /// What the envelope says to the other side; for everything else the
    /// sender stays who it is.
    pub fn send_as(&mut self, sender: &[u8]) -> Result<(), Failure> {
        self.sender_path = address(sender)?.1;
        Ok(())
    }

    /// What is wanted for the recipients, in order. Nobody is told of a
    /// notification (RFC 3461 §6.1), and the next server is to know that.
    pub fn wishes(&self) -> Vec<Wish> {
        let wish = |(address, _): &(Address, Path)| {
            let mut wish = self.dsn.wish(address.as_bytes());
            if self.sender.is_empty() {
                wish.notify = wish.notify.or(Some(Notify::NEVER));
            }
            wish
        };
        self.recipients.iter().map(wish).collect()
    }

    /// Says whether somebody waits for the news that a recipient got it.
    pub fn wants_success(&self) -> bool {
        let wants = |(address, _): &(Address, Path)| self.dsn.notify(address.as_bytes()).success;
        self.recipients.iter().any(wants)
    }
}

fn address(bytes: &[u8]) -> Result<(Address, Path), Failure> {
    let wrong = || Failure::Address(text::log::printable(bytes, 255));
    let address = Address::parse(bytes).map_err(|_| wrong())?;
    let path = Path::new(&address).map_err(|_| wrong())?;
    Ok((address, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_a_number() {
        let four = Host::Literal("192.0.2.1".parse().unwrap());
        assert_eq!(Host::parse("[192.0.2.1]"), Some(four.clone()));
        assert_eq!(Host::parse("192.0.2.1"), Some(four));
        let six = Host::Literal("::1".parse().unwrap());
        assert_eq!(Host::parse("[IPv6:::1]"), Some(six));
        assert!(matches!(Host::parse("B.example"), Some(Host::Name(_))));
        assert_eq!(Host::parse("[b.example]"), None);
        assert_eq!(Host::parse("a b"), None);
    }

    #[test]
    fn too_few_arguments_are_a_mistake_of_the_caller() {
        let words = |list: &[&str]| -> Vec<Vec<u8>> {
            list.iter().map(|word| word.as_bytes().to_vec()).collect()
        };
        let job = Job::parse(&words(&["b.example", "", "", "10"]));
        assert!(matches!(job, Err(Failure::Usage)));
        let job = Job::parse(&words(&["b.example", "", "", "10", "ann@b.example"]));
        assert!(job.unwrap().sender.is_empty());
        let job = Job::parse(&words(&["b.example", "", "", "10", "a@b> X"]));
        assert!(matches!(job, Err(Failure::Address(_))));
    }
}
