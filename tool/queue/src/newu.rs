//! qmail-newu: `users/assign` becomes `users/cdb`
//! (queue-and-delivery.md §5.4).

use std::collections::BTreeSet;
use std::path::PathBuf;

use run::{Exit, Home};

pub const USAGE: &str = "usage: qmail-newu [dir]
Builds cdb from assign in the users directory, or in dir.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// Fields after the address.
const FIELDS: usize = 6;

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let directory = match &arguments[..] {
        [] => home.users(),
        [directory] => PathBuf::from(directory),
        _ => return Err(run::usage::misused(USAGE)),
    };
    let fatal = |text: String| Exit::new(run::TEMPORARY, text);
    let assign = std::fs::read(directory.join("assign"))
        .map_err(|error| fatal(format!("unable to open users/assign: {error}")))?;
    let cdb = build(&assign).map_err(|bad| {
        let line = bad.line;
        fatal(format!(
            "bad format in users/assign (line {line}: {})",
            bad.why
        ))
    })?;
    os::file::replace(&directory.join("cdb"), &cdb, 0o644).map_err(|error| {
        fatal(format!(
            "unable to move users/cdb.tmp to users/cdb: {error}"
        ))
    })
}

/// Where and why a file is not as it should be.
#[derive(Debug, Eq, PartialEq)]
pub struct BadFormat {
    line: usize,
    why: &'static str,
}

/// The table for the lines up to the one that starts with a dot.
pub(crate) fn build(assign: &[u8]) -> Result<Vec<u8>, BadFormat> {
    let mut builder = cdb::Builder::default();
    let mut wild = BTreeSet::new();
    let mut count = 0;
    for text in assign.split_inclusive(|&b| b == b'\n') {
        count += 1;
        let bad = |why| BadFormat { line: count, why };
        if text[0] == b'.' {
            let wild: Vec<u8> = wild.into_iter().collect();
            builder.add(b"", &wild).map_err(|_| bad("too much data"))?;
            return builder.finish().map_err(|_| bad("too much data"));
        }
        let line = text
            .strip_suffix(b"\n")
            .ok_or_else(|| bad("it has no end"))?;
        let (key, data) = record(line, &mut wild).map_err(bad)?;
        builder.add(&key, &data).map_err(|_| bad("too much data"))?;
    }
    let why = "the last line must be a dot";
    Err(BadFormat {
        line: count + 1,
        why,
    })
}

fn record(line: &[u8], wild: &mut BTreeSet<u8>) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    if line.contains(&0) {
        return Err("it has a NUL byte");
    }
    let mut fields = line.split(|&b| b == b':');
    let address = fields.next().unwrap_or_default();
    let fields: Vec<&[u8]> = fields.collect();
    if fields.len() < FIELDS + 1 {
        return Err("it needs seven colons");
    }
    let (kind, address) = address.split_first().ok_or("it begins with a colon")?;
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if !is_number(fields[1]) || !is_number(fields[2]) {
        return Err("uid and gid must be numbers");
    }
    let mut key = vec![b'!'];
    key.extend(address.to_ascii_lowercase());
    match kind {
        b'=' => key.push(0),
        b'+' => wild.extend(address.last().map(u8::to_ascii_lowercase)),
        _ => return Err("it begins with neither = nor +"),
    }
    Ok((key, fields[..FIELDS].join(&0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_records() {
        let assign = b"=Ann:ann:7:8:/home/ann:::\n+ann-:ann:7:8:/home/ann:-::\n\
                       +:alias:9:9:/alias:-::more\n.\n=late:is:ignored\n";
        let file = build(assign).unwrap();
        let cdb = cdb::Reader::new(&file).unwrap();
        assert_eq!(
            cdb.find(b"!ann\0"),
            Ok(Some(&b"ann\x007\x008\0/home/ann\0\0"[..]))
        );
        assert_eq!(
            cdb.find(b"!ann-"),
            Ok(Some(&b"ann\x007\x008\0/home/ann\0-\0"[..]))
        );
        assert_eq!(
            cdb.find(b"!"),
            Ok(Some(&b"alias\x009\x009\0/alias\0-\0"[..]))
        );
        assert_eq!(cdb.find(b""), Ok(Some(&b"-"[..])));
        assert_eq!(cdb.find(b"!late\0"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (assign, line) in [
            (&b""[..], 1),
            (b"=a:a:1:1:/:::\n", 2),
            (b"=a:a:1:1:/:::\n=b:b:1:1:/\n.\n", 2),
            (b":a:1:1:/:::\n.\n", 1),
            (b"=a:a:x:1:/:::\n.\n", 1),
            (b"=a\0:a:1:1:/:::\n.\n", 1),
            (b"?a:a:1:1:/:::\n.\n", 1),
        ] {
            assert_eq!(build(assign).unwrap_err().line, line, "{assign:?}");
        }
    }

    #[test]
    fn a_bad_file_leaves_the_old_table() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let home = Home::at("/nowhere");
        let arguments = || vec![directory.path().to_str().unwrap().to_owned()];
        std::fs::write(path("assign"), "=a:a:1:1:/:::\n.\n").unwrap();
        run(&home, arguments()).unwrap();
        let before = std::fs::read(path("cdb")).unwrap();
        std::fs::write(path("assign"), "=a:a:1:1:/:::\n").unwrap();
        let error = run(&home, arguments()).unwrap_err();
        assert!(error.text.starts_with("bad format in users/assign"));
        assert_eq!(std::fs::read(path("cdb")).unwrap(), before);
    }
}
