//! Where an installation's directories are.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where an installation is when nothing says otherwise.
const DEFAULT_ROOT: &str = "/var/indimail";

/// The root of an installation, and the places below it.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
    control: PathBuf,
}

impl Home {
    /// Finds the installation this program belongs to: `QMAILDIR`, else the
    /// directory above the one the program is in when that has a `control`
    /// directory, else `/var/indimail`. A set-uid program ignores the
    /// environment. `CONTROLDIR` may put the control files elsewhere.
    pub fn find() -> Self {
        let trusted = !os::account::is_set_uid();
        let variable = |name| trusted.then(|| env::var_os(name)).flatten();
        let root = variable("QMAILDIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .or_else(above_program)
            .unwrap_or_else(|| DEFAULT_ROOT.into());
        let control = variable("CONTROLDIR")
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| root.join("control"), |dir| root.join(dir));
        Self { root, control }
    }

    /// The installation at a given root.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            control: root.join("control"),
            root,
        }
    }

    /// The same installation with control files elsewhere: an absolute
    /// directory, or one below the root.
    pub fn with_control(&self, directory: impl AsRef<Path>) -> Self {
        Self {
            control: self.root.join(directory),
            root: self.root.clone(),
        }
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Control files.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Programs.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// A program that a setting names: a relative path starts at the root, a
    /// bare name is looked for where the system has programs.
    pub fn program(&self, name: &OsStr) -> OsString {
        match name.as_encoded_bytes().contains(&b'/') {
            true => self.root.join(name).into(),
            false => name.to_owned(),
        }
    }

    /// `users/assign` and `users/cdb`.
    pub fn users(&self) -> PathBuf {
        directory_variable("ASSIGNDIR").unwrap_or_else(|| self.root.join("users"))
    }

    /// System aliases: the home of what no user claims.
    pub fn alias(&self) -> PathBuf {
        self.root.join("alias")
    }

    /// The parent of the queues `queue1`, `queue2`, ...
    pub fn queues(&self) -> PathBuf {
        self.root.join("queue")
    }

    /// Directories of the virtual domains.
    pub fn domains(&self) -> PathBuf {
        directory_variable("DOMAINDIR").unwrap_or_else(|| self.root.join("domains"))
    }

    /// Mail that hosts fetch by ETRN and ATRN.
    pub fn autoturn(&self) -> PathBuf {
        self.root.join("autoturn")
    }

    /// Homes of the virtual users.
    pub fn mail(&self) -> PathBuf {
        directory_variable("BASE_PATH").unwrap_or_else(|| self.root.join("mail"))
    }

    /// The embedded user database.
    pub fn database(&self) -> PathBuf {
        self.root.join("db").join("indimail.db")
    }

    /// Rules of the network services, `tcp.smtp` and others.
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// Certificates and private keys.
    pub fn certs(&self) -> PathBuf {
        directory_variable("CERTDIR").unwrap_or_else(|| self.root.join("certs"))
    }

    /// Service directories, watched by svscan.
    pub fn service(&self) -> PathBuf {
        self.root.join("service")
    }

    /// Log directories, one a service.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Sockets between our programs.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The socket of a service, like `inlookup`; each is in a directory that
    /// only its service can write to, so that nobody else can take its place.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run().join(name).join("socket")
    }
}

fn above_program() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let root = program.parent()?.parent()?;
    root.join("control").is_dir().then(|| root.to_owned())
}

/// An absolute directory from the environment, never for set-uid programs.
fn directory_variable(name: &str) -> Option<PathBuf> {
    if os::account::is_set_uid() {
        return None;
    }
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
}
