//! Which addresses are this host's own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use run::Settings;
use text::log::printable;

use crate::failure::Failure;

/// The addresses of the interfaces and of `moreipme`, without those of
/// `notipme`. Every loopback address and the unspecified one lead to us, too.
#[derive(Debug, Default)]
pub struct Own {
    ours: BTreeSet<IpAddr>,
    not_ours: BTreeSet<IpAddr>,
}

impl Own {
    /// Asks the system and the control files.
    pub fn read(settings: &Settings) -> Result<Self, Failure> {
        let mut ours = list(settings, &settings::remote::MOREIPME)?;
        if let Ok(interfaces) = getifaddrs() {
            ours.extend(interfaces.filter_map(|interface| {
                let address = interface.address?;
                let four = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
                four.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
            }));
        }
        Ok(Self {
            ours,
            not_ours: list(settings, &settings::remote::NOTIPME)?,
        })
    }

    /// Says whether a connection to this address comes back to us.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !self.not_ours.contains(&ip)
            && (ip.is_loopback() || ip.is_unspecified() || self.ours.contains(&ip))
    }
}

fn list(settings: &Settings, setting: &settings::Setting) -> Result<BTreeSet<IpAddr>, Failure> {
    let lines = settings.list(setting)?.unwrap_or_default();
    let parse = |line: Vec<u8>| {
        let text = std::str::from_utf8(line.trim_ascii()).ok();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Failure::Control(format!("{}: {}", setting.file, printable(&line, 80))))
    };
    lines.into_iter().map(parse).collect()
}
