//! May mail for an address come in? (virtual-domains.md §10.3, USER)
//!
//! The answer must agree with what delivery does: who is called absent here
//! is refused in front of the door, for good. So besides the table of users
//! it looks at aliases in the table and in files, and at a catch-all.

use std::io::{self, Read};
use std::path::Path;

use directory::{Directory, flags};
use wire::lookup::Mailbox;

use crate::world::{Trouble, World};

/// Most of a `.qmail-default` that is read.
const DEFAULT_BYTES_MAX: u64 = 4096;
/// What the last line of an ordinary `.qmail-default` ends with.
const BOUNCE: &str = "bounce-no-mailbox";

/// Finds out about a recipient.
pub fn find(world: &World, address: &[u8]) -> Result<Mailbox, Trouble> {
    let address = address.to_ascii_lowercase();
    if let Some(mailbox) = world.remembered(&address) {
        return Ok(mailbox);
    }
    let mailbox = decide(world, &address)?;
    world.remember(&address, mailbox);
    Ok(mailbox)
}

fn decide(world: &World, address: &[u8]) -> Result<Mailbox, Trouble> {
    let Some(at) = address.iter().rposition(|&b| b == b'@') else {
        return Ok(Mailbox::NotVirtual);
    };
    let Ok(domain) = std::str::from_utf8(&address[at + 1..]) else {
        return Ok(Mailbox::NotVirtual);
    };
    let rules = world.rules();
    let Some(real) = rules.domains.real(domain)? else {
        return Ok(Mailbox::NotVirtual);
    };
    let directory = world.directory()?;
    let local = std::str::from_utf8(&address[..at]).ok();
    if let Some(local) = local {
        if let Some(mailbox) = by_tables(&directory, local, &real)? {
            return Ok(mailbox);
        }
        if let Some((user, _)) = local.split_once('-').filter(|_| rules.extensions)
            && let Some(mailbox) = by_tables(&directory, user, &real)?
        {
            return Ok(mailbox);
        }
    }
    match rules.domains.find(&real)? {
        Some(entry) => by_files(&entry.dir, local),
        // Real by decree of a variable: there is no directory to look into.
        None => Ok(Mailbox::Absent),
    }
}

fn by_tables(directory: &Directory, local: &str, domain: &str) -> Result<Option<Mailbox>, Trouble> {
    Ok(match directory.find_user(local, domain)? {
        Some(user) if !user.active => Some(Mailbox::Inactive),
        Some(user) if user.has(flags::BOUNCE_MAIL) => Some(Mailbox::OverQuota),
        Some(_) => Some(Mailbox::Fine),
        None if directory.aliases(local, domain)?.is_empty() => None,
        None => Some(Mailbox::Alias),
    })
}

/// Alias files of the domain, and its `.qmail-default` when that does
/// anything but bounce.
fn by_files(domain: &Path, local: Option<&str>) -> Result<Mailbox, Trouble> {
    if let Some(local) = local.filter(|local| !local.contains('/')) {
        for name in alias_files(local) {
            if exists(&domain.join(name))? {
                return Ok(Mailbox::Alias);
            }
        }
    }
    let path = domain.join(".qmail-default");
    let mut content = String::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(DEFAULT_BYTES_MAX).read_to_string(&mut content));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mailbox::Absent),
        Err(source) => Err(Trouble::File { path, source }),
        Ok(_) if bounces(&content) => Ok(Mailbox::Absent),
        Ok(_) => Ok(Mailbox::Alias),
    }
}

/// `.qmail-a-b`, then `.qmail-a-default`, as qmail-local(8) looks for them.
fn alias_files(local: &str) -> Vec<String> {
    let local = local.replace('.', ":");
    let mut names = vec![format!(".qmail-{local}")];
    names.extend(
        local
            .match_indices('-')
            .map(|(at, _)| format!(".qmail-{}default", &local[..=at])),
    );
    names
}

/// Says whether every delivery line hands unknown users back.
fn bounces(content: &str) -> bool {
    content
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .all(|line| line.starts_with('|') && line.ends_with(BOUNCE))
}

fn exists(path: &Path) -> Result<bool, Trouble> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // A name that no file can have.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(false),
        Err(source) => Err(Trouble::File {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_files_are_looked_for_as_delivery_does() {
        assert_eq!(
            alias_files("a.b-c-d"),
            [
                ".qmail-a:b-c-d",
                ".qmail-a:b-default",
                ".qmail-a:b-c-default"
            ]
        );
    }

    #[test]
    fn only_a_catch_all_takes_everybody() {
        assert!(bounces("| /r/sbin/vdelivermail '' bounce-no-mailbox\n"));
        assert!(bounces("# comment\n|/r/bin/vfilter '' bounce-no-mailbox"));
        assert!(!bounces("| /r/sbin/vdelivermail '' all@example.com\n"));
        assert!(!bounces("| /r/sbin/vdelivermail '' delete\n"));
        assert!(!bounces("/some/Maildir/\n"));
    }
}
