//! The manual, built into this program so that it is wherever the program is.

use std::fs;

use crate::install::{InstallError, file_error};
use crate::site::Site;

// `PAGES`: path below `man`, and text of each page.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Writes all pages to `man` in the installation.
pub fn install(site: &Site) -> Result<(), InstallError> {
    let man = site.home.root().join("man");
    for (name, text) in PAGES {
        let path = man.join(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(file_error("create directory", directory))?;
        }
        // A page as it should be is left alone: replacing each costs a sync.
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            continue;
        }
        fs::write(&path, text).map_err(file_error("write", &path))?;
    }
    Ok(())
}
