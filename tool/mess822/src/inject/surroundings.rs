//! What a site or a user sets for all injected messages: directories of
//! variables, read before anything else (queue-and-delivery.md §3.2.7).

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use run::envdir::{self, EnvdirError, Unreadable};
use run::{Home, Settings};
use settings::injecting::SKIP_LOCAL_ENVIRONMENT;
use settings::queue::QUEUE_BASE;
use text::envrules::Change;

/// The user's directory, below `HOME`.
const OF_USER: &str = ".defaultqueue";
/// The site's, below the control files.
const OF_SITE: &str = "defaultqueue";

/// Where an injecting program finds itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The installation.
    pub home: Home,
    /// What is set, with what the directories say in front.
    pub settings: Settings,
    /// What the directories changed; programs are to be told.
    pub changes: Vec<Change>,
}

impl Surroundings {
    /// Reads the environment of this process, then the user's directory
    /// unless `SKIP_LOCAL_ENVIRONMENT` is set, then that of the site unless
    /// `QUEUE_BASE` is.
    pub fn of_process() -> Result<Self, EnvdirError> {
        let home = Home::find();
        let settings = Settings::of_process(&home);
        let mut new = Self {
            home,
            settings,
            changes: Vec::new(),
        };
        if new
            .settings
            .variable(SKIP_LOCAL_ENVIRONMENT.variable)
            .is_none()
            && let Some(own) = std::env::home_dir()
        {
            new.take(own.join(OF_USER))?;
        }
        if new.settings.variable(QUEUE_BASE.variable).is_none() {
            new.take(new.home.control().join(OF_SITE))?;
        }
        Ok(new)
    }

    fn take(&mut self, directory: PathBuf) -> Result<(), EnvdirError> {
        let found = match envdir::read(&directory, Unreadable::Refused) {
            Ok(found) => found,
            // Usually there is none. What a user may not look at is not the
            // user's.
            Err(error)
                if error.path == directory
                    && matches!(
                        error.source.kind(),
                        io::ErrorKind::NotFound
                            | io::ErrorKind::NotADirectory
                            | io::ErrorKind::PermissionDenied
                    ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (name, value) in found {
            let Ok(name) = name.into_string() else {
                continue;
            };
            self.changes.push((name, value.map(OsStringExt::into_vec)));
        }
        let changed = self
            .changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        self.settings = self.settings.overlaid(changed);
        if let Some(directory) = self.settings.variable("CONTROLDIR") {
            use std::os::unix::ffi::OsStrExt;
            let directory = std::ffi::OsStr::from_bytes(directory);
            self.home = self.home.with_control(directory);
        }
        Ok(())
    }
}
