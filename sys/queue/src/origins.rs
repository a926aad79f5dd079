//! Which users of this machine mean something to the queue.

use std::io;

use message::Origin;
use os::account::{Account, Identity};
use run::Home;

use crate::{Error, Layout};

/// The users of the mail system, found by what they own.
///
/// In a single-user installation they are all the same, and then a user is
/// just a user.
#[derive(Clone, Debug)]
pub struct Origins {
    queue: u32,
    bounce: Option<u32>,
    alias: Option<u32>,
    network: Option<u32>,
    virtual_mail: Option<u32>,
}

impl Origins {
    /// Finds them for one queue.
    pub fn find(home: &Home, layout: &Layout) -> Result<Self, Error> {
        let queue = owner(layout.root())?;
        let other = |uid: &u32| *uid != queue && *uid != 0;
        let bounce = owner(&layout.lock("sendmutex")).ok().filter(other);
        if bounce.is_none() {
            return Ok(Self {
                queue,
                bounce,
                alias: None,
                network: None,
                virtual_mail: None,
            });
        }
        let named = |name| {
            Account::by_name(name)
                .ok()
                .map(|a| a.identity.uid)
                .filter(other)
        };
        Ok(Self {
            queue,
            bounce,
            alias: owner(&home.alias()).ok().filter(other),
            network: named("qmaild"),
            virtual_mail: named("indimail"),
        })
    }

    /// What the `Received` line calls this user.
    pub fn of(&self, uid: u32) -> Origin {
        match Some(uid) {
            known if known == self.bounce => Origin::Bounce,
            known if known == self.alias => Origin::Alias,
            known if known == self.network => Origin::Network,
            _ => Origin::User(uid),
        }
    }

    /// Says whether this user's word about queues, clients and policy counts:
    /// root and the users of the mail system.
    pub fn trusts(&self, uid: u32) -> bool {
        let known = [
            Some(self.queue),
            self.bounce,
            self.alias,
            self.network,
            self.virtual_mail,
        ];
        uid == 0 || known.contains(&Some(uid))
    }
}

fn owner(path: &std::path::Path) -> Result<u32, Error> {
    let found: io::Result<Identity> = Identity::owner_of(path);
    found
        .map(|identity| identity.uid)
        .map_err(|source| Error::Owner {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_single_user_installation_a_user_is_just_a_user() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue/queue1");
        crate::create(&root, None).unwrap();
        let home = Home::at(directory.path());
        let origins = Origins::find(&home, &Layout::detect(root).unwrap()).unwrap();
        let uid = os::account::real_uid();
        assert_eq!(origins.of(uid), Origin::User(uid));
        assert!(origins.trusts(uid));
        assert!(!origins.trusts(uid + 1));
    }
}
