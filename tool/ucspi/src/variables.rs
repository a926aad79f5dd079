//! What a program is told about its connection (smtp-receiving.md §1.4).

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

/// Both ends.
#[derive(Debug)]
pub struct Ends {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub local_name: Option<String>,
    pub remote_name: Option<String>,
    pub info: Option<String>,
}

/// Sets the variables; what is not known is removed, so that no inherited
/// copy is believed.
pub fn set(command: &mut Command, ends: &Ends) {
    let is_six = matches!(ends.remote.ip(), IpAddr::V6(_));
    command.env("PROTO", if is_six { "TCP6" } else { "TCP" });
    let mut put = |name: &str, value: Option<String>| {
        for family in ["TCP", "TCP6"] {
            match &value {
                Some(value) => command.env(format!("{family}{name}"), value),
                None => command.env_remove(format!("{family}{name}")),
            };
        }
    };
    put("LOCALIP", Some(ends.local.ip().to_string()));
    put("LOCALPORT", Some(ends.local.port().to_string()));
    put("LOCALHOST", ends.local_name.clone());
    put("REMOTEIP", Some(ends.remote.ip().to_string()));
    put("REMOTEPORT", Some(ends.remote.port().to_string()));
    put("REMOTEHOST", ends.remote_name.clone());
    put("REMOTEINFO", ends.info.clone());
    for name in ["TCPPARANOID", "TCP6INTERFACE"] {
        command.env_remove(name);
    }
}
