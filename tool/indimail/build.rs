//! Puts the manual pages into the program.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let man = manifest.join("../../man").canonicalize()?;
    println!("cargo::rerun-if-changed={}", man.display());
    let mut code = String::from("static PAGES: &[(&str, &str)] = &[\n");
    for section in sorted(&man)? {
        println!("cargo::rerun-if-changed={}", section.display());
        for page in sorted(&section)? {
            let name = page.strip_prefix(&man).unwrap_or(&page);
            let _ = writeln!(code, "    ({name:?}, include_str!({page:?})),");
        }
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("pages.rs"), code)
}

fn sorted(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}
