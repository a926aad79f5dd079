//! The keys: read when first asked for, and again when their file changes.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tls::{Error, LocalKey};

/// Files by name, and what was read from them.
#[derive(Debug)]
pub struct Keys {
    directory: PathBuf,
    names: Vec<String>,
    read: Mutex<HashMap<String, (Stamp, Arc<LocalKey>)>>,
}

/// Tells two contents of a file apart: inode, size, time of change.
pub type Stamp = (u64, u64, i64, i64);

/// Says whether a name stays within its directory.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

impl Keys {
    /// The keys of these names in a directory.
    pub fn new(directory: PathBuf, names: Vec<String>) -> Self {
        Self {
            directory,
            names,
            read: Mutex::default(),
        }
    }

    /// Reads all keys once, so that a wrong file is found at the start.
    pub fn check(&self) -> Result<(), Error> {
        self.names
            .iter()
            .try_for_each(|name| self.find(name).map(drop))
    }

    /// The key of this name. When its file was replaced by a broken one, the
    /// key read before stays in use.
    pub fn find(&self, name: &str) -> Result<Arc<LocalKey>, Error> {
        if !self.names.iter().any(|known| known == name) {
            return Err(Error::Pem(format!("no key {name:?}")));
        }
        let mut read = self.read.lock().unwrap_or_else(|dead| dead.into_inner());
        let old = read.get(name);
        match self.read(name, old.map(|(stamp, _)| *stamp)) {
            Ok(Some((stamp, key))) => {
                let key = Arc::new(key);
                read.insert(name.to_owned(), (stamp, Arc::clone(&key)));
                Ok(key)
            }
            Ok(None) => Ok(Arc::clone(&old.expect("only a known stamp is unchanged").1)),
            Err(error) => match old {
                Some((_, key)) => {
                    run::warn(
                        crate::PROGRAM,
                        &format!("{name}: {error}; using the old key"),
                    );
                    Ok(Arc::clone(key))
                }
                None => Err(error),
            },
        }
    }

    /// Reads a file; `None` when it is as it was.
    fn read(&self, name: &str, known: Option<Stamp>) -> Result<Option<(Stamp, LocalKey)>, Error> {
        let path = self.directory.join(name);
        let fail = |source| Error::Read {
            path: path.clone(),
            source,
        };
        let stamp = stamp(&fs::metadata(&path).map_err(fail)?);
        if Some(stamp) == known {
            return Ok(None);
        }
        let pem = fs::read(&path).map_err(fail)?;
        Ok(Some((stamp, LocalKey::from_pem(&pem)?)))
    }
}

pub fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(keys: &Keys, pem: &str) {
        os::file::replace(&keys.directory.join("a.pem"), pem.as_bytes(), 0o600).unwrap();
    }

    #[test]
    fn a_renewed_key_is_used_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::new(directory.path().to_owned(), vec!["a.pem".into()]);
        assert!(keys.check().is_err());
        let pem = || tls::self_signed(&["a.test".into()]).unwrap();
        write(&keys, &pem());
        let first = keys.find("a.pem").unwrap();
        assert!(Arc::ptr_eq(&first, &keys.find("a.pem").unwrap()));
        write(&keys, &pem());
        let second = keys.find("a.pem").unwrap();
        assert_ne!(first.describe(), second.describe());
        write(&keys, "nonsense");
        assert_eq!(second.describe(), keys.find("a.pem").unwrap().describe());
    }

    #[test]
    fn only_named_keys_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::new(directory.path().to_owned(), vec!["a.pem".into()]);
        fs::write(directory.path().join("b.pem"), "x").unwrap();
        assert!(
            keys.find("b.pem")
                .unwrap_err()
                .to_string()
                .contains("no key")
        );
        assert!(!is_plain_name("../b.pem") && !is_plain_name("/b") && is_plain_name("b.pem"));
    }
}
