//! vcalias, vcaliasrev: aliases from files into the table and back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Parser;
use directory::{Alias, value};
use run::Exit;

use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, permanent, refused};

/// Most of an alias file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const FILE_MODE: u32 = 0o600;
const START: &str = ".qmail-";

/// Puts the lines of a domain's alias files (.qmail-NAME, but not those of
/// -default) into the table of aliases.
///
/// The files stay, and go before the table, until --remove. Exit codes: 0
/// done, 1 no such domain, 100 refused, 111 temporary failure; it can be
/// repeated then.
#[derive(Debug, Parser)]
#[command(name = "vcalias", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each line
    #[arg(short = 'v')]
    verbose: bool,
    /// Remove each file whose lines are in the table
    #[arg(long)]
    remove: bool,
    /// Name of the domain
    domain: String,
}

/// Writes the aliases of a domain from the table into alias files
/// (.qmail-NAME).
///
/// The lines stay in the table; a file that is there already is not touched.
/// Exit codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vcaliasrev", disable_help_flag = true)]
struct Reverse {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell each file
    #[arg(short = 'v')]
    verbose: bool,
    /// Name of the domain
    domain: String,
}

/// Runs vcalias.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (domain, entry) = site.real_domain(&arguments.domain)?;
    site.become_owner()?;
    let directory = site.directory()?;
    for (name, path) in alias_files(&entry.dir)? {
        for line in lines(&path)? {
            let alias = Alias {
                name: name.clone(),
                domain: domain.clone(),
                line,
            };
            // One that is there already is no trouble: this may be repeated.
            directory
                .add_alias(&alias)
                .map_err(|error| refused(&error))?;
            if arguments.verbose {
                println!("{name}@{domain} -> {}", alias.line);
            }
        }
        if arguments.remove {
            std::fs::remove_file(&path).map_err(|error| file(&path, &error))?;
        }
    }
    notify.hup();
    Ok(())
}

/// Runs vcaliasrev.
pub fn reverse(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Reverse = crate::parse(arguments)?;
    let site = Site::find()?;
    let (domain, entry) = site.real_domain(&arguments.domain)?;
    site.become_owner()?;
    let aliases = site.directory()?.domain_aliases(&domain);
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for alias in aliases.map_err(|error| refused(&error))? {
        let content = files.entry(alias.name).or_default();
        content.push_str(&alias.line);
        content.push('\n');
    }
    for (name, content) in files {
        if name.is_empty() || name.contains('/') {
            eprintln!("{name}@{domain}: no file can have this name");
            continue;
        }
        let path = entry.dir.join(format!("{START}{}", name.replace('.', ":")));
        if std::fs::symlink_metadata(&path).is_ok() {
            eprintln!("{}: exists; left as it is", path.display());
            continue;
        }
        os::file::replace(&path, content.as_bytes(), FILE_MODE)
            .map_err(|error| file(&path, &error))?;
        if arguments.verbose {
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// Names and files of the aliases in a directory, in order.
fn alias_files(directory: &Path) -> Result<BTreeMap<String, std::path::PathBuf>, Exit> {
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(directory).map_err(|error| file(directory, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| file(directory, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix(START)) else {
            continue;
        };
        let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        if name.is_empty() || name == "default" || name.ends_with("-default") || !is_plain {
            continue;
        }
        found.insert(name.replace(':', "."), entry.path());
    }
    Ok(found)
}

/// Delivery lines: no comments, no empty ones.
fn lines(path: &Path) -> Result<Vec<String>, Exit> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| file(path, &error))?;
    let kept = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found = Vec::new();
    for line in kept {
        if value::LINE_BYTES_MAX < line.len() {
            return Err(permanent(format!(
                "{}: a line is longer than {} bytes",
                path.display(),
                value::LINE_BYTES_MAX
            )));
        }
        found.push(line.to_owned());
    }
    Ok(found)
}
