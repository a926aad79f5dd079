//! The installation a command works on, and as whom.

use std::error::Error;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use std::cell::OnceCell;

use directory::{Central, Directory, Domains, Location, Moving, User, VirtualDomain, value};
use os::account::{self, Account, Identity};
use run::{Exit, Home, Settings};
use settings::{Setting, site, users};

/// The installation.
pub struct Site {
    /// Where it is.
    pub home: Home,
    /// Its settings.
    pub settings: Settings,
    /// Owner of virtual mail.
    pub owner: Identity,
    /// Its domains.
    pub domains: Domains,
    /// Who called us.
    pub caller: u32,
    /// Nobody moves the users while this is held.
    moving: OnceCell<Moving>,
}

impl Site {
    /// Finds it.
    pub fn find() -> Result<Self, Exit> {
        let home = Home::find();
        let owner = if account::is_root() {
            Account::by_name("indimail")
                .map_err(|error| temporary(&error))?
                .identity
        } else {
            Identity::of_this_process()
        };
        account::set_umask(0o022);
        Ok(Self {
            settings: Settings::of_process(&home),
            domains: Domains::at(&home.users()),
            caller: account::real_uid(),
            moving: OnceCell::new(),
            home,
            owner,
        })
    }

    /// Becomes the owner of virtual mail for good. Everything that needs
    /// root must be done, or opened, before.
    pub fn become_owner(&self) -> Result<(), Exit> {
        self.owner.assume().map_err(|error| temporary(&error))
    }

    /// Opens the database of users; call after [`Site::become_owner`].
    pub fn directory(&self) -> Result<Directory, Exit> {
        self.hold()?;
        Directory::open_at(&self.location()?).map_err(|error| refused(&error))
    }

    /// The same; what is not there is made.
    pub fn new_directory(&self) -> Result<Directory, Exit> {
        self.hold()?;
        Directory::create_at(&self.location()?).map_err(|error| refused(&error))
    }

    /// Waits until nobody moves the users; nobody begins to until we end.
    /// Where they are is read after that.
    fn hold(&self) -> Result<(), Exit> {
        if self.moving.get().is_none() {
            let held = Moving::none(&self.home).map_err(|error| refused(&error))?;
            let _ = self.moving.set(held);
        }
        Ok(())
    }

    /// The database that the hosts of a cluster share; refused where there is
    /// no cluster.
    pub fn cluster(&self, central: Central) -> Result<Directory, Exit> {
        let server = central
            .server(&self.home, &self.settings)
            .map_err(|error| refused(&error))?;
        match (server, central) {
            (Some(server), _) => Ok(Directory::central(&server)),
            (None, Central::Changes) if self.is_clustered()? => Err(permanent(
                "the cluster cannot be changed from here: control/host.master is missing",
            )),
            (None, _) => Err(permanent("not configured for cluster")),
        }
    }

    /// Says whether this host is one of a cluster.
    pub fn is_clustered(&self) -> Result<bool, Exit> {
        let server = Central::Queries.server(&self.home, &self.settings);
        Ok(server.map_err(|error| refused(&error))?.is_some())
    }

    /// Where operators and their rights are: in the cluster when there is
    /// one.
    pub fn operators(&self) -> Result<Directory, Exit> {
        if self.is_clustered()? {
            self.cluster(Central::Changes)
        } else {
            self.directory()
        }
    }

    /// Name of this host in tables of a cluster.
    pub fn host_id(&self) -> Result<String, Exit> {
        let id = self.text(&users::HOSTID)?;
        let id = id.trim();
        Ok(if id.is_empty() {
            format!("{:08x}", account::host_id())
        } else {
            id.to_owned()
        })
    }

    /// Says whether the limits of a domain with this directory count.
    pub fn is_limited(&self, domain_directory: &Path) -> Result<bool, Exit> {
        let everywhere = self.settings.is_set(&users::DOMAIN_LIMITS);
        Ok(everywhere.map_err(|error| temporary(&error))?
            || domain_directory.join(".domain_limits").exists())
    }

    /// Where the users are.
    pub fn location(&self) -> Result<Location, Exit> {
        Location::of(&self.home, &self.settings).map_err(|error| refused(&error))
    }

    /// A setting as text.
    pub fn text(&self, setting: &Setting) -> Result<String, Exit> {
        let line = self
            .settings
            .line(setting)
            .map_err(|error| temporary(&error))?;
        Ok(String::from_utf8_lossy(&line.unwrap_or_default()).into_owned())
    }

    /// Says whether a setting is 1.
    pub fn is_on(&self, setting: &Setting) -> Result<bool, Exit> {
        let value = self.settings.integer(setting);
        Ok(value.map_err(|error| temporary(&error))? == 1)
    }

    /// User and real domain of an address argument. Upper case is refused.
    pub fn address(&self, argument: &str) -> Result<(String, String), Exit> {
        if argument.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(permanent(format!(
                "email [{argument}] has an uppercase character"
            )));
        }
        let (user, domain) = match argument.split_once(['@', '%', ':']) {
            Some((user, domain)) => (user.to_owned(), domain.to_owned()),
            None => (argument.to_owned(), self.default_domain()?),
        };
        Ok((user, self.real_domain(&domain)?.0))
    }

    /// The real domain behind a name, with its entry, when the caller may
    /// administer it.
    pub fn real_domain(&self, domain: &str) -> Result<(String, VirtualDomain), Exit> {
        value_domain(domain)?;
        let real = self.domains.real(domain).map_err(|error| refused(&error))?;
        let entry = match &real {
            Some(real) => self.domains.find(real).map_err(|error| refused(&error))?,
            None => None,
        };
        let (Some(real), Some(entry)) = (real, entry) else {
            return Err(Exit::new(1, format!("domain {domain} does not exist")));
        };
        if entry.uid == 0 {
            return Err(permanent(format!("domain {real} with uid 0")));
        }
        if self.caller != 0 && self.caller != entry.uid {
            return Err(permanent(format!(
                "you must be root or domain user (uid={}/gid={}) to run this program",
                entry.uid, entry.gid
            )));
        }
        Ok((real, entry))
    }

    /// A user that has to exist.
    pub fn user(&self, directory: &Directory, name: &str, domain: &str) -> Result<User, Exit> {
        directory
            .find_user(name, domain)
            .map_err(|error| refused(&error))?
            .ok_or_else(|| Exit::new(1, format!("{name}@{domain}: No such user")))
    }

    /// Makes a directory for the owner of virtual mail, unless it is there.
    pub fn directory_of_owner(&self, path: &Path, mode: u32) -> Result<(), Exit> {
        let made = DirBuilder::new().mode(mode).create(path);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(file(path, &error)),
            Ok(()) => {}
        }
        // Through the descriptor: the name may lead elsewhere by now.
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags((nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_DIRECTORY).bits())
            .open(path)
            .map_err(|error| file(path, &error))?;
        if account::is_root() {
            std::os::unix::fs::fchown(&opened, Some(self.owner.uid), Some(self.owner.gid))
                .map_err(|error| file(path, &error))?;
        }
        Ok(())
    }

    fn default_domain(&self) -> Result<String, Exit> {
        let domain = self.text(&users::DEFAULT_DOMAIN)?;
        let domain = if domain.is_empty() {
            self.text(&site::ME)?
        } else {
            domain
        };
        Ok(domain.to_lowercase())
    }
}

/// Refuses what is not a domain name.
pub fn value_domain(domain: &str) -> Result<(), Exit> {
    value::check_new_domain(domain).map_err(|error| refused(&error))
}

/// Makes an empty file that says something by being there, or removes it.
pub fn set_mark(path: &Path, is_set: bool) -> Result<(), Exit> {
    let change = || {
        if is_set {
            let mut options = std::fs::OpenOptions::new();
            drop(options.create(true).append(true).open(path)?);
        } else {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed?,
            }
        }
        path.parent().map_or(Ok(()), os::file::sync_directory)
    };
    change().map_err(|error| file(path, &error))
}

/// An end that trying again does not change.
pub fn permanent(text: impl Into<String>) -> Exit {
    Exit::new(run::PERMANENT, text)
}

/// An end that may be another one later.
pub fn temporary(error: &dyn Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(error))
}

/// An end the directory of users chose.
pub fn refused(error: &directory::Error) -> Exit {
    if error.is_temporary() {
        temporary(error)
    } else {
        permanent(run::chain(error))
    }
}

/// A file that could not be used.
pub fn file(path: &Path, error: &io::Error) -> Exit {
    Exit::new(run::TEMPORARY, format!("{}: {error}", path.display()))
}
