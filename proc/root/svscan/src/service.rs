//! One service: its supervise, its logger's supervise, and the pipe between.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use os::child::{Setup, prepare};
use os::signal::Signal;

/// Longest name of a service that can have a logger.
const NAME_BYTES_MAX: usize = 255;

/// What makes two directories the same service, whatever their names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

/// Which half of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    /// The service proper.
    Main,
    /// Its logger.
    Log,
}

/// Where the logger reads and where the service writes.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// A service directory and what runs for it.
#[derive(Debug)]
pub struct Service {
    /// Its name now.
    pub name: PathBuf,
    /// What it is known by.
    pub identity: Identity,
    /// Was it there at the last scan?
    pub present: bool,
    main: u32,
    log: u32,
    pipe: Option<Pipe>,
}

impl Service {
    /// A service of which nothing runs.
    pub fn new(name: PathBuf, identity: Identity) -> Self {
        Self {
            name,
            identity,
            present: true,
            main: 0,
            log: 0,
            pipe: None,
        }
    }

    /// Starts what does not run. The pipe is made once and kept.
    pub fn start_missing(&mut self, supervise: &Path) -> io::Result<()> {
        let has_log =
            self.name.as_os_str().len() <= NAME_BYTES_MAX && self.name.join("log").is_dir();
        if has_log && self.pipe.is_none() {
            self.pipe = Some(Pipe::new()?);
        }
        if self.main == 0 {
            let mut setup = Setup::default();
            if let Some(pipe) = self.pipe.as_ref().filter(|_| has_log) {
                setup.descriptors.push((1, pipe.write.try_clone()?));
            }
            let mut command = Command::new(supervise);
            command.arg(&self.name);
            self.main = spawn(command, setup)?;
        }
        if has_log && self.log == 0 {
            self.start_log(supervise, Setup::default())?;
        }
        Ok(())
    }

    /// Starts the logger half alone.
    pub fn start_log(&mut self, supervise: &Path, mut setup: Setup) -> io::Result<()> {
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => Pipe::new()?,
        };
        let pipe = self.pipe.insert(pipe);
        setup.descriptors.push((0, pipe.read.try_clone()?));
        let mut command = Command::new(supervise);
        command.arg("log").current_dir(&self.name);
        self.log = spawn(command, setup)?;
        Ok(())
    }

    /// A process ended; says whether it was ours.
    pub fn ended(&mut self, pid: u32) -> bool {
        for half in [&mut self.main, &mut self.log] {
            if *half == pid {
                *half = 0;
                return true;
            }
        }
        false
    }

    /// Closes our ends of the pipe: the logger reads what is left, then the
    /// end.
    pub fn close_pipe(&mut self) {
        self.pipe = None;
    }

    /// The supervise of a half; 0 when there is none.
    pub fn pid(&self, half: Half) -> u32 {
        match half {
            Half::Main => self.main,
            Half::Log => self.log,
        }
    }

    /// Does a half that should run not run?
    pub fn lacks_a_supervise(&self) -> bool {
        self.present && (self.main == 0 || (self.pipe.is_some() && self.log == 0))
    }

    /// Says whether nothing of it runs.
    pub fn is_gone(&self) -> bool {
        self.main == 0 && self.log == 0
    }

    /// Where the service writes.
    pub fn log_input(&self) -> Option<&OwnedFd> {
        self.pipe.as_ref().map(|pipe| &pipe.write)
    }

    /// Writes control letters to the supervise of a half. When they do not
    /// reach it, because the directory has another name now, TERM does: to
    /// supervise that means `dx`.
    pub fn control(&self, half: Half, letters: &[u8]) {
        let pid = self.pid(half);
        if pid == 0 {
            return;
        }
        let directory = match half {
            Half::Main => self.name.clone(),
            Half::Log => self.name.join("log"),
        };
        let control = os::file::open_fifo_write(&directory.join("supervise/control"));
        if control
            .and_then(|mut control| control.write_all(letters))
            .is_err()
        {
            // It may have ended this very moment.
            let _ = os::signal::send(pid, Signal::SIGTERM);
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = os::fd::pipe()?;
        Ok(Self { read, write })
    }
}

fn spawn(mut command: Command, setup: Setup) -> io::Result<u32> {
    prepare(&mut command, setup);
    Ok(command.spawn()?.id())
}
