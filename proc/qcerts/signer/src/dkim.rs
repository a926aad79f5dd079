//! DKIM keys: `dkim.DOMAIN.SELECTOR.pem` beside the certificates, found when
//! they are asked for, so that a new domain needs no restart.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tls::{DkimKey, Error};
use wire::sign::Reply;

use crate::keys::{Stamp, stamp};

/// Most keys that are remembered.
const KEPT_MAX: usize = 1000;

/// The keys of all domains.
#[derive(Debug)]
pub struct DkimKeys {
    directory: PathBuf,
    read: Mutex<HashMap<PathBuf, (Stamp, Arc<DkimKey>)>>,
}

impl DkimKeys {
    /// Those in a directory.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            read: Mutex::default(),
        }
    }

    /// The selector of a domain's key. Of several the last one counts, so
    /// that a new key is used once it is there.
    pub fn selector(&self, domain: &str) -> Reply {
        if !is_name(domain) {
            return Reply::DkimKey(None);
        }
        let prefix = format!("dkim.{domain}.");
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) => return Reply::Refused(error.to_string()),
        };
        let selectors = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let selector = name.strip_prefix(&prefix)?.strip_suffix(".pem")?;
            // Another dot belongs to a longer domain.
            (is_name(selector) && !selector.contains('.')).then(|| selector.to_owned())
        });
        Reply::DkimKey(selectors.max())
    }

    /// Signs with a domain's key.
    pub fn sign(&self, domain: &str, selector: &str, message: &[u8]) -> Reply {
        if !is_name(domain) || !is_name(selector) {
            return Reply::Refused("no name of a key".to_owned());
        }
        let path = self.directory.join(format!("dkim.{domain}.{selector}.pem"));
        match self.find(&path) {
            Ok(key) => key.sign(message),
            Err(error) => Reply::Refused(format!("{}: {}", path.display(), run::chain(&error))),
        }
    }

    fn find(&self, path: &Path) -> Result<Arc<DkimKey>, Error> {
        let fail = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let now = stamp(&fs::metadata(path).map_err(fail)?);
        let mut read = self.read.lock().unwrap_or_else(|dead| dead.into_inner());
        if let Some((then, key)) = read.get(path)
            && *then == now
        {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(DkimKey::from_pem(&fs::read(path).map_err(fail)?)?);
        if KEPT_MAX <= read.len() {
            read.clear();
        }
        read.insert(path.to_owned(), (now, Arc::clone(&key)));
        Ok(key)
    }
}

/// Says whether a text can be part of the name of a key file.
fn is_name(text: &str) -> bool {
    let is_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_one_domain() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "dkim.a.test.one.pem",
            "dkim.a.test.two.pem",
            "dkim.a.test.uk.three.pem",
            "servercert.pem",
        ] {
            fs::write(directory.path().join(name), "no key").unwrap();
        }
        let keys = DkimKeys::new(directory.path().to_owned());
        let selector = |domain: &str| keys.selector(domain);
        assert_eq!(selector("a.test"), Reply::DkimKey(Some("two".into())));
        assert_eq!(selector("a.test.uk"), Reply::DkimKey(Some("three".into())));
        for domain in ["b.test", "a", "../a.test", ""] {
            assert_eq!(selector(domain), Reply::DkimKey(None), "{domain}");
        }
        assert!(matches!(
            keys.sign("a.test", "one", b"x"),
            Reply::Refused(_)
        ));
        assert!(matches!(
            keys.sign("a.test", "../x", b"x"),
            Reply::Refused(_)
        ));
    }
}
