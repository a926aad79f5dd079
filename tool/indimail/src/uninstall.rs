//! `indimail uninstall`: stops the services and removes what quickstart
//! installed. Mail, queue and users stay unless `--purge`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::install::{accounts, file_error};
use crate::{Outcome, quickstart, running, site};

/// What an installation has besides mail and users.
const INSTALLED: [&str; 10] = [
    "bin", "sbin", "man", "doc", "etc", "log", "run", "service", "certs", "qscanq",
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
    running::stop(&home.service(), STOP_WAIT)?;
    for name in INSTALLED {
        remove(&root.join(name))?;
    }
    if arguments.purge {
        for name in KEPT {
            remove(&root.join(name))?;
        }
        remove(&root.join(".quickstart.lock"))?;
        remove(&root.join(quickstart::PASSWORD_FILE))?;
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

fn remove(path: &Path) -> Result<(), crate::install::InstallError> {
    let result = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    result.map_err(file_error("remove", path))
}
