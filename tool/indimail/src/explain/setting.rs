//! What a control file or variable means, who reads it, what holds now and
//! why.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use run::{Home, SettingError, Settings};
use serde::Serialize;
use settings::{Kind, Setting};

use crate::{Outcome, Root, site};

/// A value and the file it is from.
#[derive(Debug, Eq, PartialEq, Serialize)]
struct Value {
    value: String,
    from: String,
}

#[derive(Debug, Serialize)]
struct Explanation {
    file: &'static str,
    variable: &'static str,
    meaning: &'static str,
    value_is: &'static str,
    default: Option<&'static str>,
    readers: &'static [&'static str],
    now: Value,
    /// What services have in their own environment.
    services: Vec<Value>,
}

/// Explains the setting with this name.
pub fn run(name: &str, root: &Root) -> Outcome {
    let home = site::home(root.root.as_deref())?;
    let name = name.trim_start_matches("control/");
    let Some(setting) = settings::all().find(|setting| setting.is_called(name)) else {
        let near = settings::near(name);
        let hint = match near.is_empty() {
            true => "qmail-control(5) and indimail-variables(5) list all".to_owned(),
            false => format!("did you mean {}?", near.join(" or ")),
        };
        return Err(format!("no control file or variable is called {name}; {hint}").into());
    };
    let explanation = explain(&home, setting)?;
    if root.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print!("{}", text(&explanation));
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(home: &Home, setting: &'static Setting) -> Result<Explanation, SettingError> {
    Ok(Explanation {
        file: setting.file,
        variable: setting.variable,
        meaning: setting.meaning,
        value_is: setting.kind.words(),
        default: setting.default,
        readers: setting.readers,
        now: now(home, setting)?,
        services: of_services(home, setting.variable),
    })
}

/// What programs without a variable of their own see.
fn now(home: &Home, setting: &Setting) -> Result<Value, SettingError> {
    let settings = Settings::of_files(home);
    let me = home.control().join(settings::site::ME.file);
    let exists = !setting.file.is_empty() && settings.file(setting.file)?.is_some();
    let from = match setting.kind {
        _ if exists => home.control().join(setting.file).display().to_string(),
        Kind::LineOrMe | Kind::ListOrMe if me.exists() => me.display().to_string(),
        _ if setting.default.is_some() => "the default".to_owned(),
        _ => "there is neither a file nor a default".to_owned(),
    };
    let lossy = |value: Vec<u8>| String::from_utf8_lossy(&value).trim_end().to_owned();
    let value = match setting.kind {
        Kind::Line | Kind::LineOrMe => settings.line(setting)?.map(lossy),
        Kind::Integer if !exists && setting.default.is_none() => None,
        Kind::Integer => Some(settings.integer(setting)?.to_string()),
        Kind::Presence => exists.then(|| "on".to_owned()),
        Kind::List | Kind::ListOrMe if setting.file.is_empty() => None,
        Kind::List | Kind::ListOrMe => settings
            .list(setting)?
            .map(|lines| lossy(lines.join(&b'\n'))),
        Kind::Native if setting.file.is_empty() => None,
        Kind::Native if setting.file.ends_with(".cdb") => exists.then(|| "a table".to_owned()),
        Kind::Native => settings.file(setting.file)?.map(lossy),
    };
    let value = match value {
        Some(value) if is_text(setting) => shown(setting.name(), value.as_bytes()),
        Some(value) => value,
        None => "not set".to_owned(),
    };
    Ok(Value { value, from })
}

/// Switches and numbers hide nothing.
fn is_text(setting: &Setting) -> bool {
    !matches!(setting.kind, Kind::Integer | Kind::Presence)
}

/// Without what is secret.
fn shown(name: &str, value: &[u8]) -> String {
    String::from_utf8_lossy(&settings::secret::shown(name, value)).into_owned()
}

/// The variable as services find it.
fn of_services(home: &Home, variable: &str) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(home.service())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("variables").join(variable))
        .filter(|path| !variable.is_empty() && path.is_file())
        .collect();
    files.sort();
    let value = |path: &Path| {
        let content = std::fs::read(path).unwrap_or_default();
        let line = content.split(|&b| b == b'\n').next().unwrap_or_default();
        Value {
            value: shown(variable, line).trim_end().to_owned(),
            from: path.display().to_string(),
        }
    };
    files.iter().map(|path| value(path)).collect()
}

fn text(explanation: &Explanation) -> String {
    let name = match (explanation.file, explanation.variable) {
        (file, "") => format!("control file {file}"),
        ("", variable) => format!("variable {variable}"),
        (file, variable) => format!("control file {file}, variable {variable}"),
    };
    let default = explanation.default.unwrap_or("none");
    let mut out = format!(
        "{name}\n\n  {}\n\n  value    {}\n  default  {default}\n  read by  {}\n  now      {}\n  from     {}\n",
        explanation.meaning,
        explanation.value_is,
        explanation.readers.join(", "),
        printable(&explanation.now.value),
        explanation.now.from,
    );
    for Value { value, from } in &explanation.services {
        out += &format!("  but      {} in {from}\n", printable(value));
    }
    out
}

/// Lines below each other; nothing a terminal would obey.
fn printable(value: &str) -> String {
    let lines = value.lines().map(|line| {
        let shown = |c: char| if c.is_control() { '?' } else { c };
        line.chars().map(shown).collect::<String>()
    });
    lines.collect::<Vec<_>>().join("\n           ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_comes_with_where_it_is_from() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let variables = home.service().join("qmail-smtpd.25/variables");
        std::fs::create_dir_all(home.control()).unwrap();
        std::fs::create_dir_all(&variables).unwrap();
        let databytes = &settings::receiving::DATABYTES;
        assert_eq!(now(&home, databytes).unwrap().from, "the default");
        std::fs::write(home.control().join("databytes"), "1000\n").unwrap();
        std::fs::write(variables.join("DATABYTES"), "2000\n").unwrap();
        let found = explain(&home, databytes).unwrap();
        assert_eq!(found.now.value, "1000");
        assert!(found.now.from.ends_with("control/databytes"));
        assert_eq!(found.services[0].value, "2000");
        assert!(text(&found).contains("but      2000 in"));
    }

    #[test]
    fn the_name_of_the_host_stands_in() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir_all(home.control()).unwrap();
        std::fs::write(home.control().join("me"), "mx.example.org\n").unwrap();
        let found = now(&home, &settings::remote::HELOHOST).unwrap();
        assert_eq!(found.value, "mx.example.org");
        assert!(found.from.ends_with("control/me"));
    }

    #[test]
    fn passwords_are_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let variables = home.service().join("qmail-send.25/variables");
        std::fs::create_dir_all(home.control()).unwrap();
        std::fs::create_dir_all(&variables).unwrap();
        let route = "a.example:relay:587 joe PRECIOUS\n";
        std::fs::write(home.control().join("smtproutes"), route).unwrap();
        std::fs::write(variables.join("SMTPROUTE"), route).unwrap();
        for setting in [&settings::remote::SMTPROUTES, &settings::remote::SMTPROUTE] {
            let found = explain(&home, setting).unwrap();
            let told = text(&found) + &serde_json::to_string(&found).unwrap();
            assert!(!told.contains("PRECIOUS"), "{told}");
            assert!(told.contains("a.example:relay:587 joe"), "{told}");
        }
    }
}
