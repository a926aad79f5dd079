//! The part of adding and deleting a domain that concerns the mail's owner:
//! everything below `db`, `domains/D` and `mail`.
//!
//! Root does not do it itself: it starts this program again as that user,
//! with the work on standard input. In an installation of one user the same
//! code is called directly.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use directory::tree::PREFIXES;
use directory::{Alias, Directory, Placement, UID_IN_STEP, User, home};
use os::child::{Ended, Setup};
use run::Exit;
use serde::{Deserialize, Serialize};

use crate::lines::Lines;
use crate::secrets::Stored;
use crate::site::{Site, file, permanent, refused, temporary};
use crate::user::placement;

/// Hidden name of the part that adds.
pub const NAME: &str = "vadddomain-as-owner";
/// Hidden name of the part that removes.
pub const CLEAR: &str = "vdeldomain-as-owner";
/// File in the directory of a domain that is not complete yet.
pub const ADDING: &str = ".adding";
/// Hidden name of the part that links an alias domain.
pub const LINK: &str = "vaddaliasdomain-as-owner";
/// Hidden name of the part that removes such a link.
pub const UNLINK: &str = "vdelaliasdomain-as-owner";
/// File in the directory of a domain that lists its alias domains.
const ALIASES: &str = ".aliasdomains";
const TREE_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o600;
/// Most bytes of work that are read.
const WORK_BYTES_MAX: u64 = 64 * 1024;

/// What to do for a new domain.
#[derive(Deserialize, Serialize)]
pub struct Work {
    /// Its name.
    pub domain: String,
    /// Content of `.qmail-default`.
    pub default: String,
    /// Users in one directory, when the domain has a number of its own.
    pub users_per_level: Option<u32>,
    /// Quota of postmaster.
    pub quota: String,
    /// Password of postmaster.
    pub stored: Stored,
}

/// Does the work as the mail's owner.
pub fn populate(site: &Site, work: &Work) -> Result<(), Exit> {
    if !os::account::is_root() {
        return add(site, work);
    }
    let input = serde_json::to_vec(work).map_err(|error| temporary(&error))?;
    as_owner(site, &[NAME.into()], &input)
}

/// Removes homes and rows of a domain, as the mail's owner.
pub fn remove(site: &Site, domain: &str) -> Result<(), Exit> {
    if !os::account::is_root() {
        return take_away(site, domain);
    }
    as_owner(site, &[CLEAR.into(), domain.into()], b"")
}

/// Entry of the hidden command that adds.
pub fn main(_: Vec<OsString>) -> Result<(), Exit> {
    let mut input = Vec::new();
    std::io::stdin()
        .take(WORK_BYTES_MAX)
        .read_to_end(&mut input)
        .map_err(|error| temporary(&error))?;
    let work = serde_json::from_slice(&input).map_err(|error| permanent(error.to_string()))?;
    add(&Site::find()?, &work)
}

/// Entry of the hidden command that removes.
pub fn clear(arguments: Vec<OsString>) -> Result<(), Exit> {
    let domain = arguments.get(1).and_then(|name| name.to_str());
    let domain = domain.ok_or_else(|| permanent("which domain?"))?;
    crate::site::value_domain(domain)?;
    take_away(&Site::find()?, domain)
}

/// Makes `domains/NEW` a link to its real domain, as the mail's owner.
pub fn link(site: &Site, alias: &str, real: &str) -> Result<(), Exit> {
    if !os::account::is_root() {
        return make_link(site, alias, real);
    }
    as_owner(site, &[LINK.into(), alias.into(), real.into()], b"")
}

/// Removes that link, as the mail's owner.
pub fn unlink(site: &Site, alias: &str, real: &str) -> Result<(), Exit> {
    if !os::account::is_root() {
        return remove_link(site, alias, real);
    }
    as_owner(site, &[UNLINK.into(), alias.into(), real.into()], b"")
}

/// Entry of the hidden command that links.
pub fn link_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let (alias, real) = two_domains(&arguments)?;
    make_link(&Site::find()?, &alias, &real)
}

/// Entry of the hidden command that removes a link.
pub fn unlink_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let (alias, real) = two_domains(&arguments)?;
    remove_link(&Site::find()?, &alias, &real)
}

fn two_domains(arguments: &[OsString]) -> Result<(String, String), Exit> {
    let domain = |number: usize| {
        let name = arguments.get(number).and_then(|name| name.to_str());
        let name = name.ok_or_else(|| permanent("which domains?"))?;
        crate::site::value_domain(name)?;
        Ok::<_, Exit>(name.to_owned())
    };
    Ok((domain(1)?, domain(2)?))
}

fn make_link(site: &Site, alias: &str, real: &str) -> Result<(), Exit> {
    let path = site.home.domains().join(alias);
    std::os::unix::fs::symlink(real, &path).map_err(|error| file(&path, &error))?;
    let listed = Lines::read(&site.home.domains().join(real), ALIASES)?.add(alias);
    if listed.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    listed
}

/// Removes only what is a link: the name may have become a domain.
fn remove_link(site: &Site, alias: &str, real: &str) -> Result<(), Exit> {
    let path = site.home.domains().join(alias);
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => {
            std::fs::remove_file(&path).map_err(|error| file(&path, &error))?;
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(file(&path, &error));
        }
        _ => {}
    }
    Lines::read(&site.home.domains().join(real), ALIASES)?.remove(alias)?;
    Ok(())
}

/// Starts this program again as the mail's owner.
pub fn as_owner(site: &Site, arguments: &[OsString], input: &[u8]) -> Result<(), Exit> {
    let program = std::env::current_exe().map_err(|error| temporary(&error))?;
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .env("QMAILDIR", site.home.root())
        .current_dir("/")
        .stdin(Stdio::piped());
    let setup = Setup {
        identity: Some(site.owner),
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let mut child = command.spawn().map_err(|error| file(&program, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(|error| temporary(&error))?;
    }
    // It has said itself what is wrong.
    match os::child::wait(child).map_err(|error| temporary(&error))? {
        Ended::Code(0) => Ok(()),
        Ended::Code(code) => Err(Exit::new(u8::try_from(code).unwrap_or(run::TEMPORARY), "")),
        Ended::Signal(signal) => Err(Exit::new(
            run::TEMPORARY,
            format!("the part that runs as the owner of the mail died of signal {signal}"),
        )),
    }
}

fn add(site: &Site, work: &Work) -> Result<(), Exit> {
    let domain_directory = site.home.domains().join(&work.domain);
    create(&domain_directory.join(ADDING), "")?;
    home::directories(&domain_directory.join("bulk_mail"), TREE_MODE)
        .map_err(|error| file(&domain_directory, &error))?;
    create(&domain_directory.join(".qmail-default"), &work.default)?;
    if let Some(users) = work.users_per_level {
        create(
            &domain_directory.join(".users_per_level"),
            &format!("{users}\n"),
        )?;
    }
    let trees = trees(site, &work.domain);
    let made = trees
        .iter()
        .try_for_each(|tree| home::directories(tree, TREE_MODE).map_err(|error| file(tree, &error)))
        .and_then(|()| add_users(site, &domain_directory, work));
    if made.is_err() {
        for tree in &trees {
            let _ = home::remove(tree, &[&work.domain]);
        }
    }
    made
}

fn add_users(site: &Site, domain_directory: &Path, work: &Work) -> Result<(), Exit> {
    let directory = site.new_directory()?;
    let rows = directory.count_users(&work.domain);
    if rows.map_err(|error| refused(&error))? != 0 {
        // Of a domain that was here before: nobody should get its mail.
        return Err(permanent(format!(
            "the user database still has users of {0}; delete the rows with pw_domain = '{0}' \
             from tables indimail and indibak if nobody needs them",
            work.domain
        )));
    }
    let added = add_rows(site, &directory, domain_directory, work);
    if added.is_err() {
        let _ = directory.delete_domain(&work.domain);
    }
    added
}

fn add_rows(
    site: &Site,
    directory: &Directory,
    domain_directory: &Path,
    work: &Work,
) -> Result<(), Exit> {
    let postmaster = User {
        name: "postmaster".to_owned(),
        domain: work.domain.clone(),
        password_hash: work.stored.hash.clone(),
        gid_flags: 0,
        gecos: "Postmaster".to_owned(),
        dir: PathBuf::new(),
        quota: work.quota.clone(),
        scram: work.stored.scram.clone(),
        active: true,
        uid_state: UID_IN_STEP,
    };
    let placement = placement(site, domain_directory, None)?;
    let postmaster = directory
        .add_user(&postmaster, &placement)
        .map_err(|error| refused(&error))?;
    remember_suffix(domain_directory, &placement, &postmaster)?;
    home::create(&postmaster).map_err(|error| refused(&error))?;
    for name in ["abuse", "mailer-daemon"] {
        let address = postmaster.address();
        println!("Adding alias {name}@{} --> {address}", work.domain);
        let alias = Alias {
            name: name.to_owned(),
            domain: work.domain.clone(),
            line: format!("&{address}"),
        };
        directory
            .add_alias(&alias)
            .map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// Lists the counters a domain uses, in `.filesystems`.
pub fn remember_suffix(domain: &Path, placement: &Placement, user: &User) -> Result<(), Exit> {
    const NAME: &str = ".filesystems";
    let Placement::Tree { mount, .. } = placement else {
        return Ok(());
    };
    let suffix = mount.suffix(directory::tree::Prefix::of(&user.name));
    if Lines::read(domain, NAME)?.contains(&suffix) {
        return Ok(());
    }
    // Users are added side by side; they wait for each other here.
    let _lock = std::fs::File::open(domain)
        .and_then(os::file::lock)
        .map_err(|error| file(domain, &error))?;
    Lines::read(domain, NAME)?.add(&suffix)
}

fn take_away(site: &Site, domain: &str) -> Result<(), Exit> {
    match Directory::open_at(&site.location()?) {
        Ok(directory) => directory
            .delete_domain(domain)
            .map_err(|error| refused(&error))?,
        Err(directory::Error::Missing { .. }) => {}
        Err(error) => return Err(refused(&error)),
    }
    for tree in trees(site, domain) {
        home::remove(&tree, &[domain]).map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// The five directories of a domain's homes.
fn trees(site: &Site, domain: &str) -> Vec<PathBuf> {
    let base = site.home.mail();
    PREFIXES
        .iter()
        .map(|prefix| base.join(prefix.directory).join(domain))
        .collect()
}

fn create(path: &Path, content: &str) -> Result<(), Exit> {
    let mut created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|error| file(path, &error))?;
    created
        .write_all(content.as_bytes())
        .and_then(|()| created.sync_all())
        .map_err(|error| file(path, &error))
}
