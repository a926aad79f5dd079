//! What runs on an installation's service directory, whoever started it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use os::signal::Signal;

/// How often it is looked at while something ends.
const POLL: Duration = Duration::from_millis(50);

/// What still runs and does not end.
#[derive(Debug, thiserror::Error)]
pub enum Running {
    /// An svscan, and so all services.
    #[error(
        "the services of {service} run already, under svscan, process {pid}; \
         kill {pid} stops them"
    )]
    Svscan {
        /// The service directory.
        service: PathBuf,
        /// Its svscan.
        pid: u32,
    },
    /// A supervise without an svscan.
    #[error("{directory} is supervised by a process that does not end; ps shows it")]
    Supervise {
        /// The service.
        directory: PathBuf,
    },
}

/// Waits until nothing runs, as after the end of a quickstart that was
/// killed: its svscan is ending then. Supervises that lost their svscan are
/// told to end.
pub fn wait_for_end(service: &Path, limit: Duration) -> Result<(), Running> {
    let deadline = Instant::now() + limit;
    let mut told = false;
    loop {
        let Some(directory) = supervised(service) else {
            return Ok(());
        };
        let svscan = svscans(service).first().copied();
        if svscan.is_none() {
            end_orphans(service);
        }
        if deadline < Instant::now() {
            return Err(match svscan {
                Some(pid) => Running::Svscan {
                    service: service.to_owned(),
                    pid,
                },
                None => Running::Supervise { directory },
            });
        }
        if !told {
            told = true;
            eprintln!("indimail: waiting for services that run here to end");
        }
        std::thread::sleep(POLL);
    }
}

/// Stops all services: svscan, when there is one, in its order.
pub fn stop(service: &Path, limit: Duration) -> Result<(), Running> {
    for pid in svscans(service) {
        // It may have ended this very moment.
        let _ = os::signal::send(pid, Signal::SIGTERM);
    }
    wait_for_end(service, limit)
}

/// A directory with a living supervise.
fn supervised(service: &Path) -> Option<PathBuf> {
    let living = |directory: &PathBuf| {
        // The FIFO can be opened without waiting only while supervise reads it.
        os::file::open_fifo_write(&directory.join("supervise/ok")).is_ok()
    };
    let (mains, logs) = directories(service);
    mains.into_iter().chain(logs).find(living)
}

/// The services, and their loggers.
fn directories(service: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let entries = fs::read_dir(service).into_iter().flatten().flatten();
    let mains: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    let logs = mains.iter().map(|path| path.join("log")).collect();
    (mains, logs)
}

/// Tells supervises to end: those of services, and those of loggers once no
/// service is left to write to them.
fn end_orphans(service: &Path) {
    let (mains, logs) = directories(service);
    let mut any = false;
    for (directories, letters) in [(mains, &b"dx"[..]), (logs, b"dx")] {
        if any {
            return;
        }
        for directory in directories {
            let control = os::file::open_fifo_write(&directory.join("supervise/control"));
            if let Ok(mut control) = control {
                any |= control.write_all(letters).is_ok();
            }
        }
    }
}

/// The svscan processes that watch this directory.
fn svscans(service: &Path) -> Vec<u32> {
    let Ok(service) = service.canonicalize() else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = command.split(|&b| b == 0);
            let program = words.next().unwrap_or_default();
            program.ends_with(b"svscan")
                && words.any(|word| {
                    Path::new(&*String::from_utf8_lossy(word))
                        .canonicalize()
                        .ok()
                        .as_deref()
                        == Some(service.as_path())
                })
        })
        .collect()
}
