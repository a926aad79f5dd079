//! maildirmake: makes a maildir.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use run::Exit;

use crate::usage;

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let [directory] = arguments else {
        return Err(usage("maildirmake"));
    };
    let directory = Path::new(directory);
    let parts = ["tmp", "new", "cur"].map(|name| directory.join(name));
    for path in std::iter::once(directory).chain(parts.iter().map(|part| &**part)) {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => {
                let text = format!("unable to create {}: {error}", path.display());
                return Err(Exit::new(run::TEMPORARY, text));
            }
            Ok(()) => {}
        }
    }
    Ok(0)
}
