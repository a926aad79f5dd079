//! Commands about users.

pub mod add;
pub mod app_password;
pub mod delete;
pub mod info;
pub mod modify;
pub mod move_home;
pub mod passwd;
pub mod quota;
pub mod rename;

use std::path::Path;

use directory::{Placement, tree};
use run::Exit;

use crate::site::{Site, file};

/// Where homes of a domain go.
pub fn placement(
    site: &Site,
    domain_directory: &Path,
    users_per_level: Option<u32>,
) -> Result<Placement, Exit> {
    let of_domain = || {
        let text = std::fs::read_to_string(domain_directory.join(".users_per_level")).ok()?;
        text.trim().parse().ok().filter(|&users| 0 < users)
    };
    let users = users_per_level
        .or_else(of_domain)
        .unwrap_or(tree::USERS_PER_LEVEL);
    let base = site.home.mail();
    Placement::below(&base, users).map_err(|error| file(&base, &error))
}

/// From where the administrator calls, for the record.
pub fn administrator() -> String {
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let ip = connection.split(' ').next().unwrap_or_default();
    match ip.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}
