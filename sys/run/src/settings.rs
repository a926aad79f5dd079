//! The values of settings: variable, else control file, else default.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use settings::{Kind, Setting, site};
use text::control;

use crate::Home;

/// A control file is there but cannot be read. Always temporary; a program
/// that goes on without it would do something nobody asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot read control file {path}; check its permissions")]
pub struct SettingError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// The settings as one program sees them: its environment at the start, with
/// overlays, in front of the control files.
#[derive(Clone, Debug)]
pub struct Settings {
    control: PathBuf,
    variables: BTreeMap<String, Vec<u8>>,
    memory: Option<Arc<Memory>>,
}

/// Control files that were read a moment ago.
#[derive(Debug)]
struct Memory {
    fresh: Duration,
    files: Mutex<HashMap<PathBuf, Remembered>>,
}

/// When a file was read, and its content when it was there.
type Remembered = (Instant, Option<Vec<u8>>);

/// Most files remembered; beyond that all are forgotten.
const FILES_MAX: usize = 1000;

impl Settings {
    /// The environment of this process in front of the control files.
    pub fn of_process(home: &Home) -> Self {
        use std::os::unix::ffi::OsStringExt;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec())))
            .collect();
        Self {
            control: home.control().to_owned(),
            variables,
            memory: None,
        }
    }

    /// The control files alone, for programs that trust no environment.
    pub fn of_files(home: &Home) -> Self {
        Self {
            control: home.control().to_owned(),
            variables: BTreeMap::new(),
            memory: None,
        }
    }

    /// These settings for a program that asks for the same control files many
    /// times a second: what was read, or was not there, holds this long.
    pub fn remembering(mut self, fresh: Duration) -> Self {
        self.memory = Some(Arc::new(Memory {
            fresh,
            files: Mutex::default(),
        }));
        self
    }

    /// These settings with further variables in front; an entry without a
    /// value removes the variable.
    pub fn overlaid<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Self {
        let mut new = self.clone();
        for (name, value) in changes {
            match value {
                Some(value) => new.variables.insert(name.to_owned(), value.to_owned()),
                None => new.variables.remove(name),
            };
        }
        new
    }

    /// A variable by name; `Some(b"")` when it is set but empty.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(Vec::as_slice)
    }

    /// A control file as it is; `None` when it does not exist. Names that
    /// begin with `/` or `.` are taken as they stand.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>, SettingError> {
        let path = if name.starts_with(['/', '.']) {
            PathBuf::from(name)
        } else {
            self.control.join(name)
        };
        match &self.memory {
            Some(memory) => memory.read(path),
            None => read(&path),
        }
    }

    /// Says whether the variable is set or the file exists.
    pub fn is_set(&self, setting: &Setting) -> Result<bool, SettingError> {
        Ok(self.variable(setting.variable).is_some()
            || (!setting.file.is_empty() && self.file(setting.file)?.is_some()))
    }

    /// The value of a `Line` or `LineOrMe` setting.
    pub fn line(&self, setting: &Setting) -> Result<Option<Vec<u8>>, SettingError> {
        if let Some(value) = self.variable(setting.variable) {
            return Ok(Some(value.to_vec()));
        }
        let first = |content: Option<Vec<u8>>| {
            content
                .as_deref()
                .and_then(control::line)
                .map(<[u8]>::to_vec)
        };
        let mut value = match setting.file {
            "" => None,
            file => first(self.file(file)?),
        };
        if value.is_none() && setting.kind == Kind::LineOrMe {
            value = first(self.file(site::ME.file)?);
        }
        Ok(value.or_else(|| setting.default.map(|text| text.as_bytes().to_vec())))
    }

    /// The value of an `Integer` setting; the default when nothing says a
    /// number, and 0 when there is no default either.
    pub fn integer(&self, setting: &Setting) -> Result<i64, SettingError> {
        if let Some(value) = self.variable(setting.variable).and_then(control::integer) {
            return Ok(value);
        }
        let content = match setting.file {
            "" => None,
            file => self.file(file)?,
        };
        let default = setting
            .default
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        Ok(content
            .as_deref()
            .and_then(control::integer)
            .unwrap_or(default))
    }

    /// The lines of a `List` or `ListOrMe` setting; `None` when the file does
    /// not exist, which differs from an empty list. A variable names the file.
    pub fn list(&self, setting: &Setting) -> Result<Option<Vec<Vec<u8>>>, SettingError> {
        let named = self
            .variable(setting.variable)
            .filter(|name| !name.is_empty());
        let name = named
            .and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or(setting.file);
        let lines = |content: Vec<u8>| control::list(&content).map(<[u8]>::to_vec).collect();
        match self.file(name)? {
            Some(content) => Ok(Some(lines(content))),
            None if setting.kind == Kind::ListOrMe => {
                Ok(self.file(site::ME.file)?.map(|content| {
                    control::line(&content)
                        .map(<[u8]>::to_vec)
                        .into_iter()
                        .collect()
                }))
            }
            None => Ok(None),
        }
    }
}

impl Memory {
    fn read(&self, path: PathBuf) -> Result<Option<Vec<u8>>, SettingError> {
        let lock = || self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, content)) = lock().get(&path)
            && when.elapsed() < self.fresh
        {
            return Ok(content.clone());
        }
        // An error is not remembered: what is mended holds at once.
        let content = read(&path)?;
        let mut files = lock();
        if FILES_MAX <= files.len() {
            files.clear();
        }
        files.insert(path, (Instant::now(), content.clone()));
        Ok(content)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SettingError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingError {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIMIT: Setting = Setting {
        file: "limit",
        variable: "LIMIT",
        kind: Kind::Integer,
        default: Some("10"),
        readers: &["test"],
        meaning: "A limit.",
    };

    #[test]
    fn variable_then_file_then_default() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let settings = Settings::of_files(&Home::at(directory.path()));
        assert_eq!(settings.integer(&LIMIT).unwrap(), 10);
        std::fs::write(directory.path().join("control/limit"), "20\n").unwrap();
        assert_eq!(settings.integer(&LIMIT).unwrap(), 20);
        let settings = settings.overlaid([("LIMIT", Some(&b"30"[..]))]);
        assert_eq!(settings.integer(&LIMIT).unwrap(), 30);
    }

    #[test]
    fn what_is_remembered_holds_for_its_time_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let settings = Settings::of_files(&Home::at(directory.path()));
        let forgetful = settings.clone().remembering(Duration::ZERO);
        let remembering = settings.remembering(Duration::from_secs(3600));
        for settings in [&forgetful, &remembering] {
            assert_eq!(settings.integer(&LIMIT).unwrap(), 10);
        }
        std::fs::write(directory.path().join("control/limit"), "20\n").unwrap();
        assert_eq!(forgetful.integer(&LIMIT).unwrap(), 20);
        assert_eq!(remembering.integer(&LIMIT).unwrap(), 10);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("control/limit")).unwrap();
        let settings = Settings::of_files(&Home::at(directory.path()));
        let error = settings.integer(&LIMIT).unwrap_err();
        assert!(error.to_string().contains("control/limit"));
    }
}
