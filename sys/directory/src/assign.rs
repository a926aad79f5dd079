//! `users/assign`, the table of who owns which addresses, and `users/cdb`,
//! which is made from it (queue-and-delivery.md §5.4, qmail-users(5)).

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// Fields after the address: user, uid, gid, home, dash, extension.
const FIELDS: usize = 6;
const MODE: u32 = 0o644;

/// The number of a line that does not have the format, counted from one; the
/// line after the last when the final dot is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("bad format in line {0}")]
pub struct BadLine(pub usize);

/// Makes the content of `users/cdb` from that of `users/assign`. What follows
/// the line that starts with a dot is ignored.
pub fn compile(assign: &[u8]) -> Result<Vec<u8>, BadLine> {
    let mut builder = cdb::Builder::default();
    let mut wildcards = BTreeSet::new();
    let mut number = 0;
    for line in assign.split(|&b| b == b'\n') {
        number += 1;
        if line.starts_with(b".") {
            let wildcards: Vec<u8> = wildcards.into_iter().collect();
            builder.add(b"", &wildcards).map_err(|_| BadLine(number))?;
            return builder.finish().map_err(|_| BadLine(number));
        }
        let (key, data) = entry(line, &mut wildcards).ok_or(BadLine(number))?;
        builder.add(&key, &data).map_err(|_| BadLine(number))?;
    }
    Err(BadLine(number))
}

/// One line as key and data.
fn entry(line: &[u8], wildcards: &mut BTreeSet<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (kind, rest) = line.split_first()?;
    if rest.contains(&0) {
        return None;
    }
    let mut fields = rest.split(|&b| b == b':');
    let mut key = vec![b'!'];
    key.extend(fields.next()?.to_ascii_lowercase());
    match kind {
        b'=' if key.len() == 1 => return None,
        b'=' => key.push(0),
        b'+' if 1 < key.len() => {
            wildcards.extend(key.last());
        }
        b'+' => {}
        _ => return None,
    }
    let fields: Vec<&[u8]> = fields.collect();
    // Each field ends with a colon, so there is one piece more.
    if fields.len() <= FIELDS {
        return None;
    }
    Some((key, fields[..FIELDS].join(&0)))
}

/// The line of a virtual domain.
pub fn domain_line(domain: &str, uid: u32, gid: u32, dir: &Path) -> Result<String, Error> {
    let text = dir
        .to_str()
        .filter(|text| !text.contains([':', '\n', '\0']))
        .ok_or_else(|| Error::Value {
            field: "directory",
            problem: format!("{dir:?} has a colon or is not UTF-8"),
        })?;
    Ok(format!("+{domain}-:{domain}:{uid}:{gid}:{text}:-::"))
}

/// The `users` directory, locked against other writers.
#[derive(Debug)]
pub struct Assign {
    directory: PathBuf,
    _lock: os::file::Lock,
}

impl Assign {
    /// Waits until nobody else changes the table.
    pub fn lock(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("assign.lock");
        let error = |source| Error::File {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(error)?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: os::file::lock(file).map_err(error)?,
        })
    }

    /// The table as it is; only the final dot when there is none.
    pub fn read(&self) -> Result<String, Error> {
        let path = self.path();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(".\n".to_owned()),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Adds a line before the final dot, unless it is there.
    pub fn add(&self, line: &str) -> Result<(), Error> {
        let text = self.read()?;
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.iter().position(|line| line.starts_with('.'));
        let end = end.ok_or(Error::Format {
            path: self.path(),
            line: Some(lines.len() + 1),
        })?;
        if lines[..end].contains(&line) {
            return self.rebuild();
        }
        let mut new = lines;
        new.insert(end, line);
        self.write(&new)
    }

    /// Removes the wildcard line of a domain; `false` when there is none.
    pub fn remove_domain(&self, domain: &str) -> Result<bool, Error> {
        let text = self.read()?;
        let start = format!("+{domain}-:");
        let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with(&start)).collect();
        let found = kept.len() < text.lines().count();
        if found {
            self.write(&kept)?;
        }
        Ok(found)
    }

    /// Writes the whole table back, as [`Assign::read`] gave it.
    pub fn restore(&self, text: &str) -> Result<(), Error> {
        self.write(&text.lines().collect::<Vec<_>>())
    }

    /// Makes `users/cdb` from `users/assign` again. On an error the old one
    /// stays.
    pub fn rebuild(&self) -> Result<(), Error> {
        let path = self.path();
        let text = std::fs::read(&path).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        self.write_cdb(&text)
    }

    /// The table is replaced only when it can be compiled, and before the
    /// database: after a crash between the two the next change repairs it.
    fn write(&self, lines: &[&str]) -> Result<(), Error> {
        let mut text = lines.join("\n");
        text.push('\n');
        compile(text.as_bytes()).map_err(|bad| self.bad(bad))?;
        let path = self.path();
        os::file::replace(&path, text.as_bytes(), MODE)
            .map_err(|source| Error::File { path, source })?;
        self.write_cdb(text.as_bytes())
    }

    fn write_cdb(&self, text: &[u8]) -> Result<(), Error> {
        let content = compile(text).map_err(|bad| self.bad(bad))?;
        let path = self.directory.join("cdb");
        os::file::replace(&path, &content, MODE).map_err(|source| Error::File { path, source })
    }

    fn bad(&self, bad: BadLine) -> Error {
        Error::Format {
            path: self.path(),
            line: Some(bad.0),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("assign")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        let reader = cdb::Reader::new(file).unwrap();
        reader.find(key).unwrap().map(<[u8]>::to_vec)
    }

    #[test]
    fn exact_and_wildcard_lines_become_records() {
        let file = compile(
            b"=Root:root:0:0:/root:::\n+a.org-:a.org:508:509:/d/a.org:-::\n+:alias:7:8:/a:-:rest:\n.\njunk\n",
        )
        .unwrap();
        assert_eq!(
            find(&file, b"!root\0").as_deref(),
            Some(&b"root\x000\x000\0/root\0\0"[..])
        );
        assert_eq!(
            find(&file, b"!a.org-").as_deref(),
            Some(&b"a.org\x00508\x00509\0/d/a.org\0-\0"[..])
        );
        assert!(find(&file, b"!").is_some());
        assert_eq!(find(&file, b"").as_deref(), Some(&b"-"[..]));
    }

    #[test]
    fn bad_tables_are_refused_with_the_line() {
        for (text, line) in [
            (&b""[..], 1),
            (b"=a:b:1:2:/h:::\n", 2),
            (b"a:b:1:2:/h:::\n.\n", 1),
            (b"=a\n.\n", 1),
            (b"=:b:1:2:/h:::\n.\n", 1),
            (b"=a:b:1:2:/h:-\n.\n", 1),
            (b"=a:b\0:1:2:/h:::\n.\n", 1),
            (b"\n.\n", 1),
        ] {
            assert_eq!(compile(text), Err(BadLine(line)), "{text:?}");
        }
    }

    #[test]
    fn a_domain_comes_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let assign = Assign::lock(directory.path()).unwrap();
        let line = domain_line("a.org", 1, 2, Path::new("/d/a.org")).unwrap();
        assign.add(&line).unwrap();
        assign.add(&line).unwrap();
        assert_eq!(
            assign.read().unwrap(),
            "+a.org-:a.org:1:2:/d/a.org:-::\n.\n"
        );
        let file = std::fs::read(directory.path().join("cdb")).unwrap();
        assert!(find(&file, b"!a.org-").is_some());
        assert!(assign.remove_domain("a.org").unwrap());
        assert!(!assign.remove_domain("a.org").unwrap());
        assert_eq!(assign.read().unwrap(), ".\n");
    }

    #[test]
    fn a_table_without_its_dot_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("assign"), "=a:b:1:2:/h:::\n").unwrap();
        let assign = Assign::lock(directory.path()).unwrap();
        let line = domain_line("a.org", 1, 2, Path::new("/d/a.org")).unwrap();
        assert!(assign.add(&line).is_err());
        assert_eq!(assign.read().unwrap(), "=a:b:1:2:/h:::\n");
        assert!(domain_line("a.org", 1, 2, Path::new("/d:0:0:/etc")).is_err());
    }
}
