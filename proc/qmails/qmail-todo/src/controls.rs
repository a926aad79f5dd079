//! The control files that decide where recipients go.

use address::Routing;
use run::{SettingError, Settings};
use schedule::Lines;
use settings::sending::{ENVNOATHOST, LOCALS, PERCENTHACK, TODO_INTERVAL, VIRTUALDOMAINS};

/// Seconds between scans when `TODO_INTERVAL` is set but makes no sense.
const INTERVAL_FALLBACK_SECONDS: i64 = 10;

/// Why the control files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of them cannot be read.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Without either no recipient would ever be local.
    #[error("there is neither a control file locals nor me")]
    NoLocals,
}

/// Reads the routing tables.
pub fn routing(settings: &Settings) -> Result<Routing, Error> {
    let locals = settings.list(&LOCALS)?.ok_or(Error::NoLocals)?;
    Ok(Routing::new(
        &settings.line(&ENVNOATHOST)?.unwrap_or_default(),
        &settings.list(&PERCENTHACK)?.unwrap_or_default(),
        &locals,
        &settings.list(&VIRTUALDOMAINS)?.unwrap_or_default(),
    ))
}

/// Least seconds between two scans; `None` when every trigger scans.
pub fn scan_interval(settings: &Settings) -> Result<Option<i64>, SettingError> {
    if !settings.is_set(&TODO_INTERVAL)? {
        return Ok(None);
    }
    // Here the file wins over the variable.
    let file = settings.file(TODO_INTERVAL.file)?;
    let seconds = match file.as_deref() {
        Some(content) => text::control::integer(content).unwrap_or(0),
        None => settings.integer(&TODO_INTERVAL)?,
    };
    Ok(Some(if 0 < seconds {
        seconds
    } else {
        INTERVAL_FALLBACK_SECONDS
    }))
}

/// How log lines look: with one queue as in the guide.
pub fn lines(settings: &Settings, queue_name: &str) -> Lines {
    match settings.integer(&settings::queue::QUEUE_COUNT) {
        Ok(count) if 1 < count => Lines::of_queue(queue_name),
        _ => Lines::of_single_queue(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_interval_that_makes_no_sense_is_ten_seconds() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let settings = Settings::of_files(&run::Home::at(directory.path()));
        assert_eq!(scan_interval(&settings).unwrap(), None);
        let file = directory.path().join("control/todointerval");
        for (content, interval) in [("3\n", 3), ("", 10), ("0\n", 10), ("-4\n", 10), ("x\n", 10)] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(
                scan_interval(&settings).unwrap(),
                Some(interval),
                "{content:?}"
            );
        }
    }
}
