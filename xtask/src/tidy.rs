//! The rules of the house that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Outcome, man};

/// Longest source file without a reason, in lines.
const FILE_LINES_MAX: usize = 800;

/// Where a crate stands; a crate may depend on crates of lower floors only.
fn floor(path: &str) -> Option<u8> {
    match path.split('/').next()? {
        "lib" => Some(0),
        "sys" => Some(1),
        "proc" | "tool" => Some(2),
        "test" => Some(3),
        _ => None,
    }
}

/// Checks all rules; every breach is printed.
pub fn check(root: &Path) -> Outcome {
    let mut breaches = dependencies(root)?;
    breaches.extend(man::breaches(root)?);
    let mut functions = BTreeSet::new();
    visit(root, root, &mut |path, content| {
        source(path, content, &mut breaches);
        functions.extend(names_after("fn ", content));
    })?;
    breaches.extend(attacks(root, &functions)?);
    if breaches.is_empty() {
        return Ok(());
    }
    Err(format!("xtask tidy:\n{}", breaches.join("\n")))
}

/// Dependencies go down: lib ← sys ← proc, tool ← test. Programs do not
/// depend on each other.
fn dependencies(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cannot read cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let place = |package: &serde_json::Value| {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let place = Path::new(manifest)
            .parent()
            .and_then(|dir| dir.strip_prefix(root).ok());
        place
            .map(|place| place.display().to_string())
            .unwrap_or_default()
    };
    let places: BTreeMap<String, String> = packages
        .iter()
        .map(|package| {
            (
                package["name"].as_str().unwrap_or_default().to_owned(),
                place(package),
            )
        })
        .collect();
    let mut breaches = Vec::new();
    for package in &packages {
        let from = place(package);
        let Some(own) = floor(&from) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = dependency["name"].as_str().unwrap_or_default();
            let ours = dependency["path"].is_string();
            let Some(to) = places.get(name).filter(|_| ours) else {
                continue;
            };
            let test_only = dependency["kind"] == "dev";
            match floor(to) {
                Some(below) if own < below && !test_only => {
                    breaches.push(format!("{from} depends on {to}, which stands above it"));
                }
                Some(2) if own == 2 => {
                    breaches.push(format!(
                        "{from} depends on the program {to}; share through sys or lib"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(breaches)
}

fn source(path: &str, content: &str, breaches: &mut Vec<String>) {
    let lines = content.lines().count();
    if FILE_LINES_MAX < lines {
        breaches.push(format!(
            "{path}: {lines} lines; split it by what a reader looks for"
        ));
    }
    // A comment may talk of it.
    let has_unsafe = content.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        ["unsafe {", "unsafe fn", "unsafe impl"]
            .iter()
            .any(|word| code.contains(word))
    });
    // A module of PAM is a shared library for C.
    let may_be = ["sys/os/", "sys/pam-multi/src/lib.rs", "xtask/"];
    if has_unsafe && !may_be.iter().any(|place| path.starts_with(place)) {
        breaches.push(format!("{path}: unsafe code belongs into sys/os"));
    }
    if !content.trim_start().starts_with("//!") && !path.starts_with("fuzz/") {
        breaches.push(format!("{path}: a file starts with what it is (//!)"));
    }
}

/// The table of attacks names tests that are there.
fn attacks(root: &Path, functions: &BTreeSet<String>) -> Result<Vec<String>, String> {
    const TABLE: &str = "doc/attacks.md";
    let text = fs::read_to_string(root.join(TABLE))
        .map_err(|error| format!("cannot read {TABLE}: {error}"))?;
    // A test has a longer name than anything else in code letters there.
    let named = names_after("`", &text).filter(|name| name.matches('_').count() > 2);
    let gone = named.filter(|name| !functions.contains(name));
    Ok(gone
        .map(|name| format!("{TABLE}: there is no test {name}"))
        .collect())
}

/// The names that stand behind a word.
fn names_after<'a>(word: &'a str, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(word)
        .skip(1)
        .map(move |rest| rest.chars().take_while(|c| is_name(*c)).collect())
}

/// Calls `each` with the path and content of every Rust source of ours.
fn visit(root: &Path, directory: &Path, each: &mut impl FnMut(&str, &str)) -> Outcome {
    let entries = fs::read_dir(directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                visit(root, &path, each)?;
            }
        } else if name.ends_with(".rs")
            && let Ok(content) = fs::read_to_string(&path)
        {
            let shown = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            each(&shown, &content);
        }
    }
    Ok(())
}
