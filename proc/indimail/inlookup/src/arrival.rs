//! What a user who logs in finds: a home, and bulletins
//! (virtual-domains.md §11.8, §9.2, §9.4).
//!
//! Done before the login is granted, so that the mail is there when the
//! mailbox is opened. Nothing here refuses a login: what goes wrong is logged.

use std::io;

use directory::bulletin::{self, Bulletins};
use directory::list::BULLETINS;
use directory::{Cell, Directory, User, VirtualDomain, home};

use crate::world::World;

/// Bulletins of one user that are brought at one login.
const ROWS_MAX: usize = 1000;
/// Longest text that is made into an activation mail.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Makes what is missing and brings what is new.
pub fn prepare(world: &World, directory: &Directory, domain: &VirtualDomain, user: &User) {
    if let Err(error) = try_prepare(world, directory, domain, user) {
        let text = format!("{}: no bulletins: {error}", user.address());
        run::warn(crate::PROGRAM, &text);
    }
}

fn try_prepare(
    world: &World,
    directory: &Directory,
    domain: &VirtualDomain,
    user: &User,
) -> io::Result<()> {
    let bulletins = Bulletins::of(&domain.dir, &world.home.mail(), &user.domain);
    if !user.maildir().join("BulkMail").exists() {
        home::create(user).map_err(io::Error::other)?;
        bulletins.bring(&world.rules().welcome, user)?;
    }
    bulletins.bring_new(user)?;
    let wanted = [("emailid", Cell::from(user.address()))];
    let rows = directory
        .rows(&BULLETINS, &wanted)
        .map_err(io::Error::other)?;
    for row in rows.into_iter().take(ROWS_MAX) {
        let [_, Cell::Text(name)] = &row[..] else {
            continue;
        };
        let row = [wanted[0].clone(), ("filename", row[1].clone())];
        // Who deletes the row brings the mail: another login may do the same.
        if 0 < directory
            .delete_rows(&BULLETINS, &row)
            .map_err(io::Error::other)?
        {
            bulletins.bring(name, user)?;
        }
    }
    Ok(())
}

/// Tells a user who came back since when nothing arrived.
pub fn activated(world: &World, domain: &VirtualDomain, user: &User, since: Option<i64>) {
    use std::io::Read as _;
    let name = world.rules().activation.clone();
    if !bulletin::is_name(&name) {
        return;
    }
    let path = domain.dir.join(bulletin::DIRECTORY).join(name);
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(TEXT_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() {
        return;
    }
    let now = os::clock::unix_seconds();
    let date = tai::Civil::from_unix(since.unwrap_or(now));
    let address = user.address();
    let message = format!(
        "Delivered-To: {address}\nFrom: postmaster@{}\nTo: {address}\nSubject: Your IndiMail \
         Account was de-activated on {}-{}-{}\nDate: {}\n\n{text}",
        user.domain,
        date.day,
        date.month,
        date.year,
        tai::header_date(now)
    );
    let put = home::create(user).map_err(io::Error::other);
    if let Err(error) = put.and_then(|()| bulletin::put(user, message.as_bytes())) {
        let text = format!("{address}: no activation mail: {error}");
        run::warn(crate::PROGRAM, &text);
    }
}
