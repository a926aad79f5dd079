//! Address lists as the control files have them (smtp-receiving.md §0.6).

use policy::{AddressList, Mode};
use run::{SettingError, Settings};
use settings::{Setting, receiving};

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A file cannot be read.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A line is no pattern.
    #[error("control/{file}: {source}")]
    Pattern {
        /// Which file.
        file: &'static str,
        /// Which line.
        source: policy::BadPattern,
    },
}

/// Reads address lists.
#[derive(Debug)]
pub struct Lists<'a> {
    settings: &'a Settings,
    /// How their lines are read.
    pub mode: Mode,
}

impl<'a> Lists<'a> {
    /// As these settings say.
    pub fn new(settings: &'a Settings) -> Result<Self, SettingError> {
        let mode = mode(settings)?;
        Ok(Self { settings, mode })
    }

    /// Reads a list, its patterns and its cdb form.
    pub fn read(
        &self,
        names: &'static Setting,
        patterns: Option<&'static Setting>,
    ) -> Result<AddressList, ListError> {
        let lines = self.settings.list(names)?.unwrap_or_default();
        let patterns = match patterns {
            Some(patterns) => self.settings.list(patterns)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let cdb = self.settings.file(&format!("{}.cdb", names.file))?;
        AddressList::new(lines, patterns, cdb, self.mode).map_err(|source| ListError::Pattern {
            file: names.file,
            source,
        })
    }
}

/// QREGEX set, even to nothing, decides alone.
fn mode(settings: &Settings) -> Result<Mode, SettingError> {
    let number = match settings.variable(receiving::QREGEX.variable) {
        Some(value) => text::control::integer(value).unwrap_or(0),
        None => settings.integer(&receiving::QREGEX)?,
    };
    Ok(match number {
        0 => Mode::Wildcard,
        _ => Mode::Regex,
    })
}
