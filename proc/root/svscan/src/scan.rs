//! Which services there are.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use os::child::Setup;

use crate::PROGRAM;
use crate::orphan;
use crate::service::{Half, Identity, Service};
use crate::warn;

/// Most services.
const SERVICES_MAX: usize = 1000;
/// Where our own logger is.
const OWN: &str = ".svscan";

/// All services of the current directory.
#[derive(Debug)]
pub struct Services {
    supervise: PathBuf,
    services: Vec<Service>,
    own_log: Option<Service>,
    /// Where our own messages went at first. The supervise of our own logger
    /// says what it has to say there: with its own pipe as its output it would
    /// never see the pipe's end.
    first_output: Option<[OwnedFd; 2]>,
}

impl Services {
    /// None yet; they will be run by this supervise.
    pub fn new(supervise: PathBuf) -> Self {
        Self {
            supervise,
            services: Vec::new(),
            own_log: None,
            first_output: None,
        }
    }

    /// Sends our messages, and those of all supervises, to `.svscan/log`.
    pub fn start_own_log(&mut self) {
        if !Path::new(OWN).join("log").is_dir() {
            return;
        }
        // One that outlived a killed svscan has the lock and the log.
        orphan::end(&Path::new(OWN).join("log"));
        let output = || {
            let output = io::stdout().as_fd().try_clone_to_owned()?;
            Ok::<_, io::Error>([output, io::stderr().as_fd().try_clone_to_owned()?])
        };
        self.first_output = output().ok();
        let mut own = Service::new(
            OWN.into(),
            Identity {
                device: 0,
                inode: 0,
            },
        );
        let started = self.start_own(&mut own).and_then(|()| {
            if let Some(input) = own.log_input() {
                nix::unistd::dup2_stdout(input)?;
                nix::unistd::dup2_stderr(input)?;
            }
            Ok(())
        });
        match started {
            Ok(()) => run::info(PROGRAM, "*** Starting svscan"),
            Err(error) => warn(&format!("unable to start {OWN}/log: {error}")),
        }
        self.own_log = Some(own);
    }

    /// Looks at the directory and starts what is missing.
    pub fn scan(&mut self) {
        match std::fs::read_dir(".") {
            Ok(entries) => {
                self.services
                    .iter_mut()
                    .for_each(|service| service.present = false);
                for entry in entries {
                    match entry {
                        Ok(entry) => self.see(&entry.file_name()),
                        Err(error) => warn(&format!("unable to read directory: {error}")),
                    }
                }
                self.services
                    .retain(|service| service.present || !service.is_gone());
            }
            Err(error) => warn(&format!("unable to read directory: {error}")),
        }
        self.start_missing();
    }

    /// Starts what is missing of the services that are known.
    pub fn start_missing(&mut self) {
        for service in self.services.iter_mut().filter(|service| service.present) {
            if let Err(error) = service.start_missing(&self.supervise) {
                let name = service.name.display();
                warn(&format!("unable to start supervise for {name}: {error}"));
            }
        }
        if let Some(mut own) = self.own_log.take() {
            if own.is_gone()
                && let Err(error) = self.start_own(&mut own)
            {
                warn(&format!("unable to start {OWN}/log: {error}"));
            }
            self.own_log = Some(own);
        }
    }

    fn start_own(&self, own: &mut Service) -> io::Result<()> {
        let mut setup = Setup::default();
        if let Some([output, errors]) = &self.first_output {
            setup.descriptors.push((1, output.try_clone()?));
            setup.descriptors.push((2, errors.try_clone()?));
        }
        own.start_log(&self.supervise, setup)
    }

    /// Does any service lack its supervise?
    pub fn lacks_a_supervise(&self) -> bool {
        self.services.iter().any(Service::lacks_a_supervise)
            || self.own_log.as_ref().is_some_and(Service::is_gone)
    }

    /// Takes notice of children that ended.
    pub fn collect(&mut self) {
        while let Some((pid, _)) = os::child::collect() {
            let _ = self
                .services
                .iter_mut()
                .chain(&mut self.own_log)
                .any(|s| s.ended(pid));
        }
    }

    /// The services, without our own logger.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        self.services.iter_mut()
    }

    /// Our own logger.
    pub fn own_log(&mut self) -> Option<&mut Service> {
        self.own_log.as_mut()
    }

    /// Says whether our own logger has ended.
    pub fn own_log_is_gone(&self) -> bool {
        self.own_log.as_ref().is_none_or(Service::is_gone)
    }

    /// Does this half of any service still run?
    pub fn any_runs(&self, half: Half) -> bool {
        self.services.iter().any(|service| service.pid(half) != 0)
    }

    fn see(&mut self, name: &OsStr) {
        if name.as_bytes().starts_with(b".") {
            return;
        }
        let metadata = match std::fs::metadata(name) {
            Ok(metadata) if metadata.is_dir() => metadata,
            Ok(_) => return,
            Err(error) => {
                warn(&format!(
                    "unable to stat {}: {error}",
                    Path::new(name).display()
                ));
                return;
            }
        };
        let identity = Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        if let Some(known) = self.services.iter_mut().find(|s| s.identity == identity) {
            known.present = true;
            known.name = name.into();
        } else if self.services.len() < SERVICES_MAX {
            self.services.push(Service::new(name.into(), identity));
        } else {
            let name = Path::new(name).display();
            warn(&format!(
                "unable to start {name}: there are {SERVICES_MAX} services already"
            ));
        }
    }
}
