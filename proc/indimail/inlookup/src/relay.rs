//! Has this sender just read mail from there? (CHECKRELAY,
//! smtp-receiving.md §2.7)

use std::net::IpAddr;

use directory::flags;

use crate::world::{Trouble, World};

/// Services that read mail.
const READING: [&str; 2] = ["imap", "pop3"];

/// Finds out about a sender and an address. Senders are easily forged, the
/// addresses of their clients are not: both must fit.
pub fn may(world: &World, sender: &[u8], remote_ip: &str) -> Result<bool, Trouble> {
    let (true, Ok(ip)) = (sender.contains(&b'@'), remote_ip.parse::<IpAddr>()) else {
        return Ok(false);
    };
    let Some(user) = world
        .user(sender)?
        .filter(|user| !user.has(flags::NO_RELAY))
    else {
        return Ok(false);
    };
    let ip = ip.to_canonical();
    let since = os::clock::unix_seconds() - world.rules().relay_seconds;
    let events = world.directory()?.last_auth(&user)?;
    Ok(events.iter().any(|event| {
        let is_there = event.remote_ip.parse::<IpAddr>();
        READING.contains(&event.service.as_str())
            && is_there.is_ok_and(|there| there.to_canonical() == ip)
            && since <= event.time
    }))
}
