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
pub mod reorg;
pub mod stale;

use std::path::Path;

use directory::bulletin::Bulletins;
use directory::{Directory, Placement, User, home, tree};
use run::Exit;
use settings::users;

use crate::domain::populate::remember_suffix;
use crate::site::{Site, file, refused};

/// Where homes of a domain go.
pub fn placement(
    site: &Site,
    domain_directory: &Path,
    users_per_level: Option<u32>,
) -> Result<Placement, Exit> {
    let users = users_per_level
        .or_else(|| self::users_per_level(domain_directory))
        .unwrap_or(tree::USERS_PER_LEVEL);
    let base = site.home.mail();
    Placement::below(&base, users).map_err(|error| file(&base, &error))
}

/// How many users a domain has in one directory, when it says so.
pub fn users_per_level(domain_directory: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(domain_directory.join(".users_per_level")).ok()?;
    text.trim().parse().ok().filter(|&users| 0 < users)
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
    let user = match site.is_limited(domain_directory)? {
        true => directory.add_user_within_limits(new, &placement),
        false => directory.add_user(new, &placement),
    };
    let user = user.map_err(|error| refused(&error))?;
    // The row comes first: a home without one would stay for ever, a row
    // without a home gets it with the first message or login.
    if let Err(error) = home::create(&user) {
        let _ = directory.delete_user(&user.name, &user.domain, Some(&placement));
        return Err(refused(&error));
    }
    remember_suffix(domain_directory, &placement, &user)?;
    welcome(site, domain_directory, &user)?;
    directory
        .record_auth(&user, "add", &administrator(), 0)
        .map_err(|error| refused(&error))?;
    Ok(user)
}

/// The first message of a new mailbox, where the domain has one.
fn welcome(site: &Site, domain_directory: &Path, user: &User) -> Result<(), Exit> {
    let name = site.text(&users::WELCOMEMAIL)?;
    let bulletins = Bulletins::of(domain_directory, &site.home.mail(), &user.domain);
    if let Err(error) = bulletins.bring(&name, user) {
        // The account is what was asked for.
        eprintln!("{}: no welcome mail: {error}", user.address());
    }
    Ok(())
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
