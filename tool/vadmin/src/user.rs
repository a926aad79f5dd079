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

use directory::{Directory, Placement, User, home, tree};
use run::Exit;

use crate::domain::populate::remember_suffix;
use crate::site::{Site, file, refused};

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

/// Adds a user, with home and Maildir, to the domain with this directory.
pub fn create(
    site: &Site,
    directory: &Directory,
    domain_directory: &Path,
    users_per_level: Option<u32>,
    new: &User,
) -> Result<User, Exit> {
    let placement = placement(site, domain_directory, users_per_level)?;
    let user = directory
        .add_user(new, &placement)
        .map_err(|error| refused(&error))?;
    // The row comes first: a home without one would stay for ever, a row
    // without a home gets it with the first message or login.
    if let Err(error) = home::create(&user) {
        let _ = directory.delete_user(&user.name, &user.domain, Some(&placement));
        return Err(refused(&error));
    }
    remember_suffix(domain_directory, &placement, &user)?;
    directory
        .record_auth(&user, "add", &administrator(), 0)
        .map_err(|error| refused(&error))?;
    Ok(user)
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
