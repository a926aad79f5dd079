//! The line the queue writer puts on top of every message
//! (queue-and-delivery.md §3.1.4).

use std::fmt;
use std::net::IpAddr;

/// Longest host name that gets into the line.
const HOST_BYTES_MAX: usize = 253;

/// Who put the message into the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A user of this machine.
    User(u32),
    /// The owner of the system aliases: a forward.
    Alias,
    /// The network daemons.
    Network,
    /// qmail-send: a bounce.
    Bounce,
}

/// Where the message came from, when that is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Address of the client.
    pub ip: IpAddr,
    /// This host, which took it; see [`Client::new`].
    host: String,
}

impl Client {
    /// Keeps of the host's name only what a name can have, so that a name
    /// from the environment cannot end the line or forge another.
    pub fn new(ip: IpAddr, host: &str) -> Self {
        let host = host
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
            .take(HOST_BYTES_MAX)
            .collect();
        Self { ip, host }
    }
}

/// One `Received` line; `Display` prints it with its newline.
#[derive(Clone, Debug)]
pub struct Received {
    /// Process that wrote the message.
    pub pid: u32,
    /// On whose behalf.
    pub origin: Origin,
    /// From where.
    pub client: Option<Client>,
    /// When, in Unix seconds.
    pub time: i64,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received: (indimail {} invoked ", self.pid)?;
        if let Some(client) = &self.client {
            write!(f, "from {} by host {} ", client.ip, client.host)?;
        }
        match self.origin {
            Origin::User(uid) => write!(f, "by uid {uid}")?,
            Origin::Alias => f.write_str("by alias")?,
            Origin::Network => f.write_str("from network")?,
            Origin::Bounce => f.write_str("for bounce")?,
        }
        writeln!(f, "); {}", tai::header_date(self.time))
    }
}

/// What of a client's words may stand in a `Received` field
/// (smtp-receiving.md §2.9); the rest becomes `?`.
pub fn received_text(text: &[u8]) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".@%+/=:-_[] ".contains(&b);
    text.iter()
        .map(|&b| if allowed(b) { char::from(b) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(origin: Origin, client: Option<Client>) -> String {
        let time = 812_090_813;
        Received {
            pid: 7,
            origin,
            client,
            time,
        }
        .to_string()
    }

    #[test]
    fn the_forms_of_the_guide() {
        assert_eq!(
            line(Origin::User(500), None),
            "Received: (indimail 7 invoked by uid 500); 26 Sep 1995 04:46:53 -0000\n"
        );
        let client = Client::new("192.0.2.9".parse().unwrap(), "mx.example.org");
        assert_eq!(
            line(Origin::User(500), Some(client)),
            "Received: (indimail 7 invoked from 192.0.2.9 by host mx.example.org by uid 500); \
             26 Sep 1995 04:46:53 -0000\n"
        );
        assert!(line(Origin::Alias, None).contains("invoked by alias)"));
        assert!(line(Origin::Network, None).contains("invoked from network)"));
        assert!(line(Origin::Bounce, None).contains("invoked for bounce)"));
    }

    #[test]
    fn a_host_name_from_the_environment_cannot_forge_a_line() {
        let client = Client::new("::1".parse().unwrap(), "a\nX-Forged: yes\r\n(b)");
        let line = line(Origin::User(1), Some(client));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains("by host aX-Forged:yesb by uid 1"));
    }
}
