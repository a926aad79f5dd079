//! tcprules: compiles connection rules (smtp-receiving.md §1.7).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use run::{Exit, PERMANENT, TEMPORARY};

const USAGE: &str = "usage: tcprules CDB TMP < RULES

Compiles rules from standard input into TMP and moves it over CDB, which must
be on the same file system. A line is ADDRESS:allow or ADDRESS:deny, then any
number of ,NAME=\"value\" and ,!NAME.
Exit codes: 0 done, 100 wrong use or a bad line, 111 trouble with files.";

/// Readable by the servers, whoever they run as.
const MODE: u32 = 0o644;

/// Compiles; the old database stays when anything is wrong.
pub fn run(words: &[String]) -> Result<(), Exit> {
    if run::usage::help(USAGE, words) {
        return Ok(());
    }
    run::usage::no_options("tcprules", words)?;
    let [database, temporary] = words else {
        return Err(run::usage::misused(USAGE));
    };
    let mut text = Vec::new();
    io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| Exit::new(TEMPORARY, format!("cannot read the rules: {error}")))?;
    let records = policy::tcprules::compile(&text).map_err(|error| {
        let text = format!("line {}: {error}", error.number);
        Exit::new(PERMANENT, text)
    })?;
    let mut builder = cdb::Builder::default();
    let too_large = |error: cdb::TooLarge| Exit::new(PERMANENT, error.to_string());
    for (key, data) in records {
        builder.add(&key, &data).map_err(too_large)?;
    }
    let content = builder.finish().map_err(too_large)?;
    replace(Path::new(database), Path::new(temporary), &content).map_err(|error| {
        let text = format!("cannot replace {database} by {temporary}: {error}");
        Exit::new(TEMPORARY, text)
    })
}

/// Write, sync, rename, sync the directory: a reader or a power cut sees the
/// old rules or the new.
fn replace(database: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, database)?;
    let parent = database.parent().filter(|dir| !dir.as_os_str().is_empty());
    os::file::sync_directory(parent.unwrap_or(Path::new(".")))
}
