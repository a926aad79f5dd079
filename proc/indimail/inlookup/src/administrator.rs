//! Is that an administrator, and what may it run? (virtual-domains.md §15.1)
//!
//! Which of name and password was wrong is never told, by no text and by no
//! time; that an account is shut out is, as the original does.

use std::time::Instant;

use directory::administrator::{ALL_POWERFUL, Administrator as Row};
use directory::password::Verdict;
use wire::lookup::{Administrator, Rights};

use crate::world::{Trouble, World};

/// A name and a password.
pub fn password(
    world: &World,
    user: &str,
    password: &[u8],
    remote_ip: &str,
) -> Result<Administrator, Trouble> {
    let directory = world.directory()?;
    let found = directory.administrator(user)?;
    let shown = shown(user, found.as_ref());
    // Guesses of names that nobody has count for the address.
    let (limits, now) = (world.rules().limits, Instant::now());
    let counted_as = format!("administrator {shown}");
    if let Some(stopped) = world.failures.stopped(&limits, &counted_as, remote_ip, now) {
        let why = format!("refused unchecked: {}", stopped.words());
        log(&shown, remote_ip, &why);
        return Ok(Administrator::Refused);
    }
    if let Some(row) = &found
        && (row.is_disabled || !directory.count_attempt(&row.name, &day())?)
    {
        log(&shown, remote_ip, "refused: disabled");
        return Ok(Administrator::Disabled);
    }
    let stored = found.as_ref().map(|row| row.password_hash.as_str());
    let verdict = world.pool.check(password, stored)?;
    let Some(row) = found.filter(|_| verdict != Verdict::Mismatch) else {
        world.failures.add(&limits, &counted_as, remote_ip, now);
        log(&shown, remote_ip, "refused: wrong name or password");
        return Ok(Administrator::Refused);
    };
    world.failures.succeeded(&counted_as, remote_ip, now);
    granted(world, &row, remote_ip, "password")
}

/// A token.
pub fn token(world: &World, token: &[u8], remote_ip: &str) -> Result<Administrator, Trouble> {
    let Some(row) = world.directory()?.owner_of_token(token)? else {
        log("-", remote_ip, "refused: unknown token");
        return Ok(Administrator::Refused);
    };
    if row.is_disabled {
        log(&row.name, remote_ip, "refused: disabled");
        return Ok(Administrator::Disabled);
    }
    granted(world, &row, remote_ip, "token")
}

fn granted(
    world: &World,
    row: &Row,
    remote_ip: &str,
    proof: &str,
) -> Result<Administrator, Trouble> {
    let directory = world.directory()?;
    directory.record_access(&row.name)?;
    let rights = if row.name == ALL_POWERFUL {
        Rights::All
    } else {
        let rights = directory.privileges(&row.name)?.into_iter();
        Rights::Some(rights.map(|one| (one.program, one.switches)).collect())
    };
    log(&row.name, remote_ip, &format!("granted by {proof}"));
    Ok(Administrator::Granted {
        name: row.name.clone(),
        rights,
    })
}

/// Two digits that change every day, as many as the column has.
fn day() -> String {
    let days = os::clock::unix_seconds().div_euclid(24 * 3600);
    format!("{:02}", days.rem_euclid(100))
}

fn shown(user: &str, found: Option<&Row>) -> String {
    found.map_or_else(
        || text::log::printable(user.as_bytes(), 32),
        |row| row.name.clone(),
    )
}

fn log(name: &str, remote_ip: &str, what: &str) {
    let ip = text::log::safe(remote_ip.as_bytes());
    let name = text::log::safe(name.as_bytes());
    run::info(
        crate::PROGRAM,
        &format!("administrator {name} from {ip}: {what}"),
    );
}
