//! qmail-newmrh and qmail-cdb: long lists become constant databases
//! (queue-and-delivery.md §9.7).

use std::path::{Path, PathBuf};

use run::{Exit, Home};

use crate::options::Options;

pub const NEWMRH_USAGE: &str = "usage: qmail-newmrh
Builds morercpthosts.cdb from the control file morercpthosts.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";
pub const CDB_USAGE: &str = "usage: qmail-cdb [-m] file
       qmail-cdb -r [file]
Builds file.cdb from a control file with one key a line.
  -m  renames the source to file.bak afterwards
  -r  builds users/recipients.cdb (or file.cdb) for recipient checks
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

pub fn newmrh(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    if !arguments.is_empty() {
        return Err(run::usage::misused(NEWMRH_USAGE));
    }
    write(&home.control().join("morercpthosts"), b"")
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "mr", CDB_USAGE)?;
    // A bare name is a control file, or with -r a file of the users directory.
    let directory = if options.has('r') {
        home.users()
    } else {
        home.control().to_owned()
    };
    let source: PathBuf = match &options.rest[..] {
        [] if options.has('r') => directory.join("recipients"),
        [name] => directory.join(name),
        _ => return Err(run::usage::misused(CDB_USAGE)),
    };
    write(&source, if options.has('r') { b":" } else { b"" })?;
    if options.has('m') {
        std::fs::rename(&source, beside(&source, ".bak")).map_err(|error| {
            let source = source.display();
            Exit::new(
                run::TEMPORARY,
                format!("unable to rename {source}: {error}"),
            )
        })?;
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write(source: &Path, prefix: &[u8]) -> Result<(), Exit> {
    let fatal = |verb: &str, path: &Path, error: &dyn std::fmt::Display| {
        let path = path.display();
        Exit::new(run::TEMPORARY, format!("unable to {verb} {path}: {error}"))
    };
    let lines = std::fs::read(source).map_err(|error| fatal("read", source, &error))?;
    let target = beside(source, ".cdb");
    let cdb = build(&lines, prefix).map_err(|error| fatal("write", &target, &error))?;
    os::file::replace(&target, &cdb, 0o644).map_err(|error| fatal("write", &target, &error))
}

/// Keys in lower case without data.
fn build(lines: &[u8], prefix: &[u8]) -> Result<Vec<u8>, cdb::TooLarge> {
    let mut builder = cdb::Builder::default();
    for line in text::control::list(lines) {
        builder.add(&[prefix, &line.to_ascii_lowercase()].concat(), b"")?;
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_and_comments_are_none() {
        let file = build(b"Example.ORG \n#no\n\n.sub.example\n", b"").unwrap();
        let reader = cdb::Reader::new(&file).unwrap();
        assert_eq!(reader.find(b"example.org"), Ok(Some(&b""[..])));
        assert_eq!(reader.find(b".sub.example"), Ok(Some(&b""[..])));
        assert_eq!(reader.iter().count(), 2);
    }

    #[test]
    fn a_list_can_be_replaced_by_its_table() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let home = Home::at(directory.path());
        let list = home.control().join("badmailfrom");
        std::fs::write(&list, "a@b\n").unwrap();
        run(&home, vec!["-m".into(), "badmailfrom".into()]).unwrap();
        assert!(!list.exists() && beside(&list, ".bak").exists());
        let file = std::fs::read(beside(&list, ".cdb")).unwrap();
        let reader = cdb::Reader::new(&file).unwrap();
        assert_eq!(reader.find(b"a@b"), Ok(Some(&b""[..])));
    }
}
