//! What deliveries ask and say, when the users are on a database server:
//! they run programs of users beside them and get no way to it.

use directory::User;
use wire::lookup::{self, Reply, Request};

use crate::world::{Trouble, World};

/// Answers a delivery.
pub fn answer(world: &World, request: &Request) -> Result<Reply, Trouble> {
    let directory = world.directory()?;
    Ok(match request {
        Request::User { local, domain } => {
            Reply::User(directory.find_user(local, domain)?.map(shown).map(Box::new))
        }
        Request::Aliases { local, domain } => Reply::Aliases(directory.aliases(local, domain)?),
        Request::Filters { local, domain } => {
            let rules = directory.filters(local, domain)?;
            Reply::Filters(rules.into_iter().map(filter).collect())
        }
        Request::OverQuota {
            local,
            domain,
            usage,
        } => {
            if let Some(user) = directory.find_user(local, domain)? {
                match usage {
                    Some(bytes) => directory.mark_over_quota(&user, *bytes)?,
                    None => directory.clear_over_quota(&user)?,
                }
                world.forget_recipient(&user.address());
            }
            Reply::Done
        }
        Request::Delivered { local, domain } => {
            if let Some(user) = directory.find_user(local, domain)? {
                directory.record_auth(&user, "deli", "", 0)?;
            }
            Reply::Done
        }
        other => Reply::Temporary(format!("no delivery asks {other:?}")),
    })
}

/// A row without its secrets.
fn shown(user: User) -> lookup::User {
    lookup::User {
        name: user.name,
        domain: user.domain,
        gid_flags: user.gid_flags,
        gecos: user.gecos,
        dir: user.dir.to_string_lossy().into_owned(),
        quota: user.quota,
        active: user.active,
    }
}

fn filter(row: vfilter::Row) -> lookup::Filter {
    lookup::Filter {
        number: row.number,
        name: row.name,
        header: row.header,
        comparison: row.comparison,
        keyword: row.keyword,
        destination: row.destination,
        action: row.action,
    }
}
