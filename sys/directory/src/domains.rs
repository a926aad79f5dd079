//! Which domains are ours (virtual-domains.md §2.5).

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// File in the directory of a domain that is being renamed: nobody can say
/// now who its users are.
pub const RENAMING: &str = ".domain_rename";

/// A domain as `users/cdb` has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VirtualDomain {
    /// Owner of its files.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// Its own directory, symbolic links not followed.
    pub dir: PathBuf,
}

/// Which file it was: a change of any of these means another content.
type Stamp = (u64, u64, i64, i64, u64);

/// The table of domains. Reads the file again when it was replaced. May be
/// shared between threads.
#[derive(Debug)]
pub struct Domains {
    cdb: PathBuf,
    real: Vec<String>,
    aliases: BTreeMap<String, String>,
    cached: Mutex<Option<(Stamp, Arc<Vec<u8>>)>>,
}

impl Domains {
    /// The table in a `users` directory.
    pub fn at(users: &Path) -> Self {
        Self {
            cdb: users.join("cdb"),
            real: Vec::new(),
            aliases: BTreeMap::new(),
            cached: Mutex::new(None),
        }
    }

    /// Adds what `REAL_DOMAINS` (`a:b:c`) and `ALIAS_DOMAINS`
    /// (`alias,real:alias2,real2`) say; both come before the table.
    pub fn with_overrides(mut self, real: &str, aliases: &str) -> Self {
        let items = |text: &str| -> Vec<String> {
            let parts = text.split(':').filter(|part| !part.is_empty());
            parts.map(str::to_lowercase).collect()
        };
        self.real = items(real);
        self.aliases = items(aliases)
            .iter()
            .filter_map(|pair| pair.split_once(','))
            .map(|(alias, real)| (alias.to_owned(), real.to_owned()))
            .collect();
        self
    }

    /// The real domain behind a name: itself, or what it is an alias of.
    /// `None` when it is no virtual domain of ours; an error never means
    /// that.
    pub fn real(&self, domain: &str) -> Result<Option<String>, Error> {
        let real = self.name(domain)?;
        if let Some(name) = &real
            && let Some(entry) = self.find(name)?
            && entry.dir.join(RENAMING).exists()
        {
            return Err(Error::Moving {
                place: name.clone(),
            });
        }
        Ok(real)
    }

    fn name(&self, domain: &str) -> Result<Option<String>, Error> {
        let domain = domain.to_lowercase();
        if self.real.contains(&domain) {
            return Ok(Some(domain));
        }
        if let Some(real) = self.aliases.get(&domain) {
            return Ok(Some(real.clone()));
        }
        let Some(entry) = self.find(&domain)? else {
            return Ok(None);
        };
        // An alias domain is a symbolic link to the real one's directory, or
        // names that directory itself.
        let dir = match std::fs::read_link(&entry.dir) {
            Ok(target) => target,
            Err(_) => entry.dir,
        };
        let name = dir.file_name().and_then(|name| name.to_str());
        match name {
            Some(name) if name != domain && self.find(name)?.is_some() => Ok(Some(name.to_owned())),
            _ => Ok(Some(domain)),
        }
    }

    /// The entry of a domain, alias or not.
    pub fn find(&self, domain: &str) -> Result<Option<VirtualDomain>, Error> {
        if domain.is_empty() || domain.contains(['\0', '/']) {
            return Ok(None);
        }
        let Some(file) = self.read()? else {
            return Ok(None);
        };
        let key = format!("!{}-", domain.to_lowercase());
        let data = cdb::Reader::new(&file)
            .and_then(|reader| reader.find(key.as_bytes()).map(|data| data.map(entry)))
            .map_err(|_| self.bad())?;
        match data {
            None => Ok(None),
            Some(Some(entry)) => Ok(Some(entry)),
            Some(None) => Err(self.bad()),
        }
    }

    /// All domains of the table, alias domains too, in alphabetic order.
    pub fn all(&self) -> Result<Vec<(String, VirtualDomain)>, Error> {
        let Some(file) = self.read()? else {
            return Ok(Vec::new());
        };
        let reader = cdb::Reader::new(&file).map_err(|_| self.bad())?;
        let mut all = BTreeMap::new();
        for record in reader.iter() {
            let (key, data) = record.map_err(|_| self.bad())?;
            let name = key
                .strip_prefix(b"!")
                .and_then(|key| key.strip_suffix(b"-"))
                .and_then(|name| std::str::from_utf8(name).ok())
                .filter(|name| !name.is_empty());
            // Only the wildcard of a domain: its user is the domain itself.
            let user = data.split(|&b| b == 0).next();
            if let Some(name) = name
                && user == Some(name.as_bytes())
                && let Some(entry) = entry(data)
            {
                all.entry(name.to_owned()).or_insert(entry);
            }
        }
        Ok(all.into_iter().collect())
    }

    fn read(&self) -> Result<Option<Arc<Vec<u8>>>, Error> {
        let file = |source| Error::File {
            path: self.cdb.clone(),
            source,
        };
        let stamp = match std::fs::metadata(&self.cdb) {
            Ok(metadata) => stamp(&metadata),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(error)),
        };
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, content)) = &*cached
            && *of == stamp
        {
            return Ok(Some(Arc::clone(content)));
        }
        let content = Arc::new(std::fs::read(&self.cdb).map_err(file)?);
        *cached = Some((stamp, Arc::clone(&content)));
        Ok(Some(content))
    }

    fn bad(&self) -> Error {
        Error::Format {
            path: self.cdb.clone(),
            line: None,
        }
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size(),
    )
}

/// Six fields: user, uid, gid, home, dash, extension.
fn entry(data: &[u8]) -> Option<VirtualDomain> {
    let mut fields = data.split(|&b| b == 0).skip(1);
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (uid, gid) = (number()?, number()?);
    let dir = PathBuf::from(std::str::from_utf8(fields.next()?).ok()?);
    Some(VirtualDomain { uid, gid, dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> (tempfile::TempDir, Domains) {
        let directory = tempfile::tempdir().unwrap();
        let cdb = crate::assign::compile(lines.as_bytes()).unwrap();
        std::fs::write(directory.path().join("cdb"), cdb).unwrap();
        let domains = Domains::at(directory.path());
        (directory, domains)
    }

    #[test]
    fn alias_domains_lead_to_the_real_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().display();
        std::fs::create_dir(root.path().join("real.org")).unwrap();
        std::os::unix::fs::symlink("real.org", root.path().join("link.org")).unwrap();
        let (_keep, domains) = table(&format!(
            "+real.org-:real.org:1:2:{dir}/real.org:-::\n\
             +link.org-:link.org:1:2:{dir}/link.org:-::\n\
             +same.org-:same.org:1:2:{dir}/real.org:-::\n.\n"
        ));
        for name in ["real.org", "REAL.org", "link.org", "same.org"] {
            assert_eq!(domains.real(name).unwrap().as_deref(), Some("real.org"));
        }
        assert_eq!(domains.real("other.org").unwrap(), None);
        assert_eq!(domains.all().unwrap().len(), 3);
        assert_eq!(domains.find("real.org").unwrap().unwrap().gid, 2);
    }

    #[test]
    fn the_environment_comes_first() {
        let domains = Domains::at(Path::new("/nonexistent"))
            .with_overrides("a.org:b.org", "x.org,a.org:y.org,b.org");
        assert_eq!(domains.real("b.org").unwrap().as_deref(), Some("b.org"));
        assert_eq!(domains.real("x.org").unwrap().as_deref(), Some("a.org"));
        assert_eq!(domains.real("z.org").unwrap(), None);
    }

    #[test]
    fn a_damaged_table_is_an_error_and_not_absence() {
        let (directory, domains) = table(".\n");
        assert_eq!(domains.real("a.org").unwrap(), None);
        std::fs::write(directory.path().join("cdb"), b"short").unwrap();
        assert!(domains.real("a.org").is_err());
    }
}
