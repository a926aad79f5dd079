//! Asking.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use address::Domain;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::Error;

/// How long one server may take for one question.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a question is repeated.
const ATTEMPTS: usize = 2;
/// Most addresses of one name; a name with more is somebody's experiment.
const ADDRESSES_MAX: usize = 32;
/// Most TXT records or host names of one name.
const RECORDS_MAX: usize = 64;
/// The port of DNS.
const PORT: u16 = 53;

/// Asks name servers.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
}

impl Resolver {
    /// The servers of the control file `dnsresolver` or the variable
    /// `DNSRESOLVER`, else those of `/etc/resolv.conf`. Reads files: call it
    /// before a sandbox closes.
    pub fn from_settings(settings: &run::Settings) -> Result<Self, Error> {
        let (config, options) = configuration(settings)?;
        Self::build(config, options)
    }

    /// The servers of `/etc/resolv.conf`.
    pub fn of_system() -> Result<Self, Error> {
        let (config, options) = of_system()?;
        Self::build(config, options)
    }

    /// Exactly these servers; `/etc/hosts` is not read.
    pub fn with_servers(servers: &[SocketAddr]) -> Result<Self, Error> {
        let (config, options) = of_servers(servers);
        Self::build(config, options)
    }

    fn build(config: ResolverConfig, options: ResolverOpts) -> Result<Self, Error> {
        let inner = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| Error::Setup(error.to_string()))?;
        Ok(Self { inner })
    }

    /// The IPv4 and IPv6 addresses of a host, IPv4 first.
    pub async fn addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, Error> {
        let (four, six) = tokio::join!(self.ipv4(host), self.ipv6(host));
        let mut found: Vec<IpAddr> = Vec::new();
        let mut why = None;
        match four {
            Ok(addresses) => found.extend(addresses.into_iter().map(IpAddr::V4)),
            Err(error) => why = Some(error),
        }
        match six {
            Ok(addresses) => found.extend(addresses.into_iter().map(IpAddr::V6)),
            // A temporary failure of either says more than an absence.
            Err(error) if why.as_ref().is_none_or(|first| !first.is_temporary()) => {
                why = Some(error);
            }
            Err(_) => {}
        }
        match why {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// The IPv4 addresses of a host; also what DNS lists answer with.
    pub async fn ipv4(&self, host: &Domain) -> Result<Vec<Ipv4Addr>, Error> {
        self.ask(
            name(host)?,
            RecordType::A,
            ADDRESSES_MAX,
            |data| match data {
                RData::A(address) => Some(address.0),
                _ => None,
            },
        )
        .await
    }

    /// The IPv6 addresses of a host.
    pub async fn ipv6(&self, host: &Domain) -> Result<Vec<Ipv6Addr>, Error> {
        self.ask(
            name(host)?,
            RecordType::AAAA,
            ADDRESSES_MAX,
            |data| match data {
                RData::AAAA(address) => Some(address.0),
                _ => None,
            },
        )
        .await
    }

    /// The TXT records of a name, the strings of each joined.
    pub async fn txt(&self, host: &Domain) -> Result<Vec<Vec<u8>>, Error> {
        self.ask(
            name(host)?,
            RecordType::TXT,
            RECORDS_MAX,
            |data| match data {
                RData::TXT(text) => Some(text.txt_data.concat()),
                _ => None,
            },
        )
        .await
    }

    /// The names of an address. They are what the owner of the address
    /// claims; look their addresses up before believing them.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<Domain>, Error> {
        self.ask(
            Name::from(address),
            RecordType::PTR,
            RECORDS_MAX,
            |data| match data {
                RData::PTR(host) => Domain::parse(&host.0.to_ascii()).ok(),
                _ => None,
            },
        )
        .await
    }

    /// The name of an address that also has this address: what nobody but
    /// the owners of both could have said. At most a few names are tried.
    pub async fn confirmed_name(&self, address: IpAddr) -> Result<Option<Domain>, Error> {
        /// Names of one address that are looked up.
        const NAMES_MAX: usize = 4;
        let names = match self.names(address).await {
            Ok(names) => names,
            Err(error) if error.is_temporary() => return Err(error),
            Err(_) => return Ok(None),
        };
        for name in names.into_iter().take(NAMES_MAX) {
            match self.addresses(&name).await {
                Ok(addresses) if addresses.contains(&address) => return Ok(Some(name)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Preferences and exchangers as they stand in the MX records; the null
    /// exchanger is `None`.
    pub(crate) async fn mx_records(
        &self,
        domain: &Domain,
        records_max: usize,
    ) -> Result<Vec<(u16, Option<Domain>)>, Error> {
        self.ask(
            name(domain)?,
            RecordType::MX,
            records_max,
            |data| match data {
                RData::MX(mx) if mx.exchange.is_root() => Some((mx.preference, None)),
                RData::MX(mx) => Domain::parse(&mx.exchange.to_ascii())
                    .ok()
                    .map(|host| (mx.preference, Some(host))),
                _ => None,
            },
        )
        .await
    }

    async fn ask<T>(
        &self,
        name: Name,
        kind: RecordType,
        records_max: usize,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let answer = self.inner.lookup(name, kind).await?;
        let records: Vec<T> = answer
            .answers()
            .iter()
            .filter_map(|record| pick(&record.data))
            .take(records_max)
            .collect();
        if records.is_empty() {
            Err(Error::NoRecords)
        } else {
            Ok(records)
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// What [`Resolver::from_settings`] is made of, for libraries that bring a
/// resolver of their own.
pub fn configuration(settings: &run::Settings) -> Result<(ResolverConfig, ResolverOpts), Error> {
    let value = settings
        .line(&settings::remote::DNSRESOLVER)
        .map_err(|error| Error::Setup(error.to_string()))?;
    match value.filter(|value| !value.is_empty()) {
        Some(list) => Ok(of_servers(&parse_servers(&list)?)),
        None => of_system(),
    }
}

fn of_system() -> Result<(ResolverConfig, ResolverOpts), Error> {
    let (config, mut options) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| Error::Setup(format!("/etc/resolv.conf: {error}")))?;
    limit(&mut options);
    Ok((config, options))
}

fn of_servers(servers: &[SocketAddr]) -> (ResolverConfig, ResolverOpts) {
    let servers = servers.iter().map(|server| {
        let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut options = ResolverOpts::default();
    limit(&mut options);
    options.use_hosts_file = ResolveHosts::Never;
    (config, options)
}

fn limit(options: &mut ResolverOpts) {
    options.timeout = QUERY_TIMEOUT;
    options.attempts = ATTEMPTS;
    options.edns0 = true;
    options.try_tcp_on_error = true;
}

/// The name with its final dot, so that no search list is used.
fn name(domain: &Domain) -> Result<Name, Error> {
    Name::from_ascii(format!("{domain}.")).map_err(|_| Error::BadName)
}

/// Parses `IP`, `IP:PORT`, `[IP]:PORT`, separated by blanks or commas.
fn parse_servers(list: &[u8]) -> Result<Vec<SocketAddr>, Error> {
    let wrong = || {
        Error::Setup(format!(
            "dnsresolver must be a list of IP or IP:PORT, not {:?}",
            String::from_utf8_lossy(list)
        ))
    };
    let text = std::str::from_utf8(list).map_err(|_| wrong())?;
    let servers: Option<Vec<SocketAddr>> = text
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse() {
            Ok(server) => Some(server),
            Err(_) => Some(SocketAddr::new(word.parse().ok()?, PORT)),
        })
        .collect();
    servers.filter(|list| !list.is_empty()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_port() {
        let servers = parse_servers(b"127.0.0.1:5300, ::1 [::1]:53").unwrap();
        let expected = ["127.0.0.1:5300", "[::1]:53", "[::1]:53"];
        assert_eq!(servers, expected.map(|s| s.parse::<SocketAddr>().unwrap()));
        assert!(parse_servers(b"ns.example.org").is_err());
        assert!(parse_servers(b" ").is_err());
    }
}
