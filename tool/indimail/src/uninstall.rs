//! `indimail uninstall`: stops the services and removes what quickstart
//! installed. Mail, queue and users stay unless `--purge`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use os::signal::Signal;

use crate::install::{accounts, file_error};
use crate::{Outcome, quickstart, site, status};

/// What an installation has besides mail and users.
const INSTALLED: [&str; 9] = [
    "bin", "sbin", "man", "doc", "etc", "log", "run", "service", "certs",
];
/// Mail, users and the configuration that describes them.
const KEPT: [&str; 7] = [
    "mail", "db", "domains", "queue", "alias", "users", "control",
];
/// How long the services may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(25);

/// Arguments of `indimail uninstall`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Root of the installation
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Remove mail, queue, users and control files too: all of it, for ever
    #[arg(long)]
    purge: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let home = site::home(arguments.root.as_deref())?;
    let root = home.root();
    // After an uninstall without --purge only the kept part is there.
    let kept_part = arguments.purge && root.join("control/me").is_file();
    if !kept_part && !quickstart::is_installation(root) {
        return Err(format!("{} is no installation; nothing was removed", root.display()).into());
    }
    stop(&home.service())?;
    for name in INSTALLED {
        remove(&root.join(name))?;
    }
    if arguments.purge {
        for name in KEPT {
            remove(&root.join(name))?;
        }
        remove(&root.join(".quickstart.lock"))?;
        if os::account::is_root() {
            accounts::remove(root)?;
        }
        // Gone when nothing foreign is in it.
        let _ = fs::remove_dir(root);
        println!("removed {}", root.display());
    } else {
        println!(
            "removed the programs and services; mail and users stay in {}",
            root.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the services: svscan, when it runs under a quickstart, gets TERM from
/// the quickstart; a tree of its own is found through its supervise processes.
fn stop(service: &Path) -> Result<(), Box<dyn std::error::Error>> {
    if !service.is_dir() {
        return Ok(());
    }
    for pid in owners(service) {
        let _ = os::signal::send(pid, Signal::SIGTERM);
    }
    let deadline = Instant::now() + STOP_WAIT;
    while status::services(service)?
        .iter()
        .any(|service| !service.unsupervised)
    {
        if deadline < Instant::now() {
            return Err("the services do not stop; stop their svscan first".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The svscan processes that watch this directory.
fn owners(service: &Path) -> Vec<u32> {
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

fn remove(path: &Path) -> Result<(), crate::install::InstallError> {
    let result = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    result.map_err(file_error("remove", path))
}
