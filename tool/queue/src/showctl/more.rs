//! What the classic qmail-showctl does not show: queues, their concurrency,
//! variables, and everything as JSON.

use std::collections::BTreeSet;
use std::path::Path;

use run::{Exit, Home, Settings};
use serde_json::json;
use settings::secret;
use settings::sending::{CONCURRENCYLOCAL, CONCURRENCYREMOTE};

use super::printable;
use crate::{output, queues as found};

/// One line for each queue.
pub fn queues(home: &Home) -> Result<String, Exit> {
    let mut out = String::from("\nqueues:\n");
    for layout in found::all(home)? {
        let split = match layout.directories("todo").len() {
            1 => "todo is not split",
            _ => "todo is split",
        };
        out += &format!(
            "{}: split {}, {split}, {} messages.\n",
            layout.root().display(),
            layout.split(),
            found::ids(&layout, "mess")?.len()
        );
    }
    Ok(out)
}

/// How many deliveries each queue runs at once.
pub fn concurrency(home: &Home) -> Result<String, Exit> {
    let settings = Settings::of_files(home);
    let fatal = |error: run::SettingError| Exit::new(run::TEMPORARY, error.to_string());
    let mut out = String::from("\nconcurrency:\n");
    for directory in found::directories(home)? {
        let name = directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (channel, short, setting) in [
            ("local", "l", &CONCURRENCYLOCAL),
            ("remote", "r", &CONCURRENCYREMOTE),
        ] {
            let file = format!("concurrency{short}.{name}");
            let own = settings.file(&file).map_err(fatal)?;
            let (value, from) = match own.as_deref().and_then(text::control::integer) {
                Some(value) => (value, file.as_str()),
                None => (settings.integer(setting).map_err(fatal)?, setting.file),
            };
            out += &format!("{name}: at most {value} {channel} deliveries at once ({from}).\n");
        }
    }
    Ok(out)
}

fn shown(name: &str, value: &[u8]) -> String {
    let line = value.split(|&b| b == b'\n').next().unwrap_or_default();
    super::shown(name, line)
}

/// Variables of this process that a program would heed.
pub fn environment() -> String {
    let mut out = String::from("\nenvironment:\n");
    let names: BTreeSet<&str> = settings::all().map(|setting| setting.variable).collect();
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if let Some(value) = std::env::var_os(name) {
            out += &format!("{name}={}\n", shown(name, value.as_encoded_bytes()));
        }
    }
    out
}

/// Variables that services are started with.
pub fn services(home: &Home) -> String {
    let mut out = String::new();
    for service in sorted(&home.service()) {
        let variables = sorted(&service.join("variables"));
        if variables.is_empty() {
            continue;
        }
        let name = service
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        out += &format!("\nservice {}:\n", printable(name.as_bytes()));
        for path in variables {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let value = std::fs::read(&path).unwrap_or_default();
            out += &format!("{}={}\n", printable(name.as_bytes()), shown(&name, &value));
        }
    }
    out
}

fn sorted(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Every control file with its value, for programs.
pub fn json(home: &Home) -> Result<(), Exit> {
    let settings = Settings::of_files(home);
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for setting in settings::all() {
        if setting.file.is_empty() || !seen.insert(setting.file) {
            continue;
        }
        let content = settings
            .file(setting.file)
            .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
        let value = content.as_ref().map(|content| {
            String::from_utf8_lossy(&secret::shown(setting.file, content)).into_owned()
        });
        all.push(json!({
            "file": setting.file,
            "value": value,
            "default": setting.default,
            "meaning": setting.meaning,
        }));
    }
    output::print_json(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_shown_without_their_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let variables = home.service().join("qmail-smtpd.25/variables");
        std::fs::create_dir_all(&variables).unwrap();
        std::fs::write(variables.join("DATABYTES"), "1000\n").unwrap();
        std::fs::write(variables.join("MYSQL_PASSWORD"), "hush\n").unwrap();
        let expected = "\nservice qmail-smtpd.25:\nDATABYTES=1000\n\
                        MYSQL_PASSWORD=set; not shown\n";
        assert_eq!(services(&home), expected);
    }

    #[test]
    fn the_queues_own_concurrency_wins() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        queue::create(&home.queues().join("queue1"), None).unwrap();
        std::fs::write(home.control().join("concurrencyr.queue1"), "7\n").unwrap();
        let out = concurrency(&home).unwrap();
        assert!(out.contains("queue1: at most 10 local deliveries at once (concurrencylocal)."));
        assert!(out.contains("queue1: at most 7 remote deliveries at once (concurrencyr.queue1)."));
        assert!(
            queues(&home)
                .unwrap()
                .contains("split 23, todo is not split, 0 messages.")
        );
    }
}
