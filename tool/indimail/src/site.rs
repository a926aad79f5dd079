//! What an installation is for: domain, host name, ports, users.

use std::path::{Path, PathBuf};

use address::Domain;
use run::Home;

/// Where root installs when not told otherwise.
pub const ROOT_OF_ROOT: &str = "/var/indimail";
/// Where everybody else does, below the current directory.
const ROOT_OF_OTHERS: &str = "indimail-data";
/// What an ordinary user adds to every port.
const PORT_BASE_OF_OTHERS: u16 = 10_000;

/// Who the services run as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Started by root: each service has its own user.
    Separated,
    /// Started by somebody else: everything runs as that user.
    SingleUser,
}

impl Mode {
    /// As this process was started.
    pub fn of_this_process() -> Self {
        if os::account::is_root() {
            Self::Separated
        } else {
            Self::SingleUser
        }
    }
}

/// One installation.
#[derive(Debug)]
pub struct Site {
    /// Where it is.
    pub home: Home,
    /// The first virtual domain.
    pub domain: Domain,
    /// The host's own name.
    pub hostname: Domain,
    /// Added to every standard port.
    pub port_base: u16,
    /// Who the services run as.
    pub mode: Mode,
}

impl Site {
    /// The port a service with this standard number listens on.
    pub fn port(&self, standard: u16) -> u16 {
        self.port_base.saturating_add(standard)
    }
}

/// The default of `--port-base`.
pub fn default_port_base() -> u16 {
    match Mode::of_this_process() {
        Mode::Separated => 0,
        Mode::SingleUser => PORT_BASE_OF_OTHERS,
    }
}

/// The installation a subcommand is about: `--root`, else the one this
/// program was installed in, else the default of quickstart.
pub fn home(root: Option<&Path>) -> std::io::Result<Home> {
    let installed = || {
        let found = Home::find();
        found.control().join("me").exists().then_some(found)
    };
    Ok(match root {
        Some(root) => Home::at(std::path::absolute(root)?),
        None => match installed() {
            Some(home) => home,
            None => Home::at(default_root()?),
        },
    })
}

/// Where quickstart installs without `--root`.
pub fn default_root() -> std::io::Result<PathBuf> {
    match Mode::of_this_process() {
        Mode::Separated => Ok(ROOT_OF_ROOT.into()),
        Mode::SingleUser => std::path::absolute(ROOT_OF_OTHERS),
    }
}
