//! vmoveuserdir: moves the home of a user to another directory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use directory::{Directory, User, home};
use run::Exit;

use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, file, permanent, refused};

const TREE_MODE: u32 = 0o750;
/// Deliveries remember a home for less than this.
pub const REMEMBERED: Duration = Duration::from_secs(3);

/// Moves the home of a user to another directory of the same file system,
/// and corrects the aliases that name the old one. Mail may arrive meanwhile.
///
/// Exit codes: 0 done, 1 no such user, 100 refused, 111 temporary failure; it
/// can be repeated then.
#[derive(Debug, Parser)]
#[command(name = "vmoveuserdir", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Address of the user
    address: String,
    /// The new home; it must not exist
    directory: PathBuf,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let user = site.user(&directory, &name, &domain)?;
    let old = user.dir.clone();
    let new = arguments.directory;
    // Whoever deletes the user looks for both in the path.
    let named = |part: &str| new.components().any(|c| c.as_os_str() == part);
    if !new.is_absolute() || !named(&name) || !named(&domain) {
        return Err(permanent(format!(
            "{}: a home is an absolute path with {domain} and {name} in it",
            new.display()
        )));
    }
    move_to(&directory, &user, &new)?;
    notify.hup();
    println!(
        "{} old {} new {} done",
        user.address(),
        old.display(),
        new.display()
    );
    Ok(())
}

/// Moves a home. Both names lead to it until the table has the new one, so a
/// delivery finds it whenever it looks, and so does a second try after a
/// crash.
pub fn move_to(directory: &Directory, user: &User, new: &Path) -> Result<(), Exit> {
    if start_move(directory, user, new)? {
        std::thread::sleep(REMEMBERED);
        let old = user.dir.as_path();
        std::fs::remove_file(old).map_err(|error| file(old, &error))?;
    }
    Ok(())
}

/// The first part of that; `true` when a link is left in the old place, to be
/// removed after [`REMEMBERED`].
pub fn start_move(directory: &Directory, user: &User, new: &Path) -> Result<bool, Exit> {
    let old = user.dir.as_path();
    if points_to(new, old) {
        // Left by a move the other way that was cut off.
        std::fs::remove_file(new).map_err(|error| file(new, &error))?;
    }
    if old != new && !points_to(old, new) {
        if let Some(parent) = new.parent() {
            home::directories(parent, TREE_MODE).map_err(|error| file(parent, &error))?;
        }
        exchange(old, new)?;
    }
    directory
        .move_home(user, new)
        .map_err(|error| refused(&error))?;
    Ok(points_to(old, new))
}

/// The home goes to the new name and a link to it to the old one, at one
/// moment.
fn exchange(old: &Path, new: &Path) -> Result<(), Exit> {
    if !old.is_dir() {
        // Never made: it will be, at the new place.
        return Ok(());
    }
    std::os::unix::fs::symlink(new, new).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if !points_to(new, new) => {
            permanent(format!("{} exists", new.display()))
        }
        _ => file(new, &error),
    })?;
    let exchanged = os::file::exchange(old, new);
    if exchanged.is_err() {
        let _ = std::fs::remove_file(new);
    }
    exchanged.map_err(|error| match error.kind() {
        io::ErrorKind::CrossesDevices => permanent(format!(
            "{} is on another file system than {}",
            new.display(),
            old.display()
        )),
        _ => file(new, &error),
    })
}

fn points_to(link: &Path, target: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|found| found == target)
}
