//! The service directory, seen from inside.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use os::file::{Lock, make_fifo, open_fifo_read, open_fifo_write, try_lock};
use run::Exit;

use crate::PROGRAM;

/// Most letters taken at a time.
const LETTERS_MAX: usize = 64;
/// Length of the status file.
pub const STATUS_BYTES: usize = 18;

/// The current directory of this process, as its service directory.
#[derive(Debug)]
pub struct Directory {
    name: String,
    control: File,
    /// So that reading `control` never finds its end.
    _control_writer: File,
    /// Whoever can open `ok` for writing knows that we live.
    _ok: File,
    _lock: Lock,
    starts_down: bool,
}

impl Directory {
    /// Goes there, takes the lock and opens the FIFOs.
    pub fn enter(path: &Path) -> Result<Self, Exit> {
        let name = path.display().to_string();
        let fatal = |what: &str| {
            let text = format!("unable to {what}").replace("DIR", &name);
            move |error: io::Error| Exit::new(run::TEMPORARY, format!("{text}: {error}"))
        };
        std::env::set_current_dir(path).map_err(fatal("chdir to DIR"))?;
        let starts_down = Path::new("down").exists();
        match DirBuilder::new().mode(0o700).create("supervise") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fatal("create DIR/supervise")(error));
            }
            _ => {}
        }
        let lock = OpenOptions::new()
            .append(true)
            .create(true)
            .open("supervise/lock");
        let lock = lock
            .and_then(try_lock)
            .map_err(fatal("acquire DIR/supervise/lock"))?;
        let lock = lock.ok_or_else(|| {
            let error = io::Error::other("another supervise has it");
            fatal("acquire DIR/supervise/lock")(error)
        })?;
        let fifo = |name: &str, what: &str| {
            let path = Path::new("supervise").join(name);
            make_fifo(&path, 0o600)
                .and_then(|()| open_fifo_read(&path))
                .map_err(fatal(what))
        };
        let control = fifo("control", "open DIR/supervise/control")?;
        let writer = open_fifo_write(Path::new("supervise/control"));
        Ok(Self {
            control,
            _control_writer: writer.map_err(fatal("write DIR/supervise/control"))?,
            _ok: fifo("ok", "open DIR/supervise/ok")?,
            _lock: lock,
            name,
            starts_down,
        })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is it that of a logger, whose input is a pipe of svscan's?
    pub fn is_logger(&self) -> bool {
        Path::new(&self.name).file_name() == Some("log".as_ref())
    }

    /// Was there a `down` file?
    pub fn starts_down(&self) -> bool {
        self.starts_down
    }

    /// What to wait for control letters on.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// The letters that arrived.
    pub fn read_letters(&self) -> Vec<u8> {
        let mut letters = [0; LETTERS_MAX];
        let length = (&self.control).read(&mut letters).unwrap_or(0);
        letters[..length].to_vec()
    }

    /// Replaces the status file.
    pub fn write_status(&self, status: &[u8; STATUS_BYTES]) {
        let new = "supervise/status.new";
        let written =
            std::fs::write(new, status).and_then(|()| std::fs::rename(new, "supervise/status"));
        if let Err(error) = written {
            let text = format!("unable to write {}/supervise/status: {error}", self.name);
            run::warn(PROGRAM, &text);
        }
    }
}
