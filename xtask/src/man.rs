//! The manual: makes what is generated, and checks that nothing is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{Outcome, cargo, run};

/// Where the names of installed programs are.
const PROGRAMS: &str = "tool/indimail/src/install/programs.rs";

/// Makes the text of a file.
type Text = fn() -> String;

/// Generated files and what makes them.
const GENERATED: &[(&str, Text)] = &[
    ("doc/settings.md", settings::reference::markdown),
    (
        "man/man5/qmail-control.5",
        settings::reference::control_page,
    ),
    (
        "man/man5/indimail-variables.5",
        settings::reference::variables_page,
    ),
];

/// Writes the generated files.
pub fn make(root: &Path) -> Outcome {
    for (name, text) in GENERATED {
        let path = root.join(name);
        let failed = |error| format!("cannot write {}: {error}", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(&path, text()).map_err(failed)?;
    }
    let program = ["run", "-q", "-p", "indimail", "--", "reference"];
    run(cargo(&program).args(["--format", "command", "--out", "man/man1"]))
}

/// Stale and missing pages. Those of the command `indimail` are compared by a
/// test of its own, which knows its options.
pub fn breaches(root: &Path) -> Result<Vec<String>, String> {
    let mut breaches = Vec::new();
    for (name, text) in GENERATED {
        if fs::read_to_string(root.join(name)).unwrap_or_default() != text() {
            breaches.push(format!("{name} is stale; run cargo xtask man"));
        }
    }
    let source = fs::read_to_string(root.join(PROGRAMS))
        .map_err(|error| format!("cannot read {PROGRAMS}: {error}"))?;
    for name in names(&source) {
        let has = |section: &str| {
            root.join(format!("man/man{section}/{name}.{section}"))
                .is_file()
        };
        if !has("1") && !has("8") {
            breaches.push(format!("{name} has no page in man/man1 or man/man8"));
        }
    }
    Ok(breaches)
}

/// The programs of the tables; the binaries behind the links have no page of
/// their own.
fn names(source: &str) -> BTreeSet<&str> {
    let table = |name: &str| {
        let begin = source.find(&format!("const {name}:"));
        let rest = begin.map_or("", |at| &source[at..]);
        rest.split("];").next().unwrap_or_default()
    };
    let words = ["PROGRAMS", "FAMILIES"]
        .into_iter()
        .flat_map(|name| table(name).split('"').skip(1).step_by(2));
    words.filter(|name| !name.ends_with("-tools")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_both_tables() {
        let source = "const PROGRAMS: &[&str] = &[\"signer\"];\n\
                      const FAMILIES: &[_] = &[(\"svc-tools\", &[\"svc\", \"svok\"])];\n\
                      fn f() { \"x\" }";
        let found: Vec<&str> = names(source).into_iter().collect();
        assert_eq!(found, ["signer", "svc", "svok"]);
    }
}
