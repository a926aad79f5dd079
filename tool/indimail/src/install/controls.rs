//! The control files, rules and aliases of a new installation. A file that
//! exists is the administrator's and is not touched.

use std::fs;
use std::path::Path;

use os::beneath::Directory;

use super::{InstallError, accounts, file_error, programs};
use crate::site::{Mode, Site};

/// Writes the files that are missing.
pub fn create(site: &Site) -> Result<(), InstallError> {
    let (domain, hostname) = (&site.domain, &site.hostname);
    let control = site.home.control();
    let files: [(&str, String); 10] = [
        ("me", format!("{hostname}\n")),
        ("locals", format!("localhost\n{hostname}\n")),
        ("rcpthosts", format!("localhost\n{hostname}\n")),
        ("virtualdomains", String::new()),
        ("defaultdomain", format!("{domain}\n")),
        ("defaultdelivery", "./Maildir/\n".to_owned()),
        ("bouncefrom", "MAILER-DAEMON\n".to_owned()),
        ("doublebounceto", format!("postmaster@{domain}\n")),
        // The delivery worker needs no process for each, and most of a
        // delivery is waiting for the disk: the guide's 10 would be too few.
        ("concurrencylocal", "100\n".to_owned()),
        // Bytes; 0 would be unlimited.
        ("databytes", "52428800\n".to_owned()),
    ];
    for (name, content) in files {
        write_new(&control.join(name), &content, 0o644)?;
    }
    // Nobody may relay by address, the host itself included: programs here
    // use sendmail, clients log in.
    write_new(
        &site.home.etc().join("tcp.smtp"),
        "# Who may do what on the SMTP ports, by address; after a change: qmailctl cdb, or\n\
         # tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp\n\
         #127.:allow,RELAYCLIENT=\"\"\n\
         #::1:allow,RELAYCLIENT=\"\"\n\
         :allow\n",
        0o644,
    )?;
    compile_rules(site)?;
    assign(site)?;
    aliases(site)
}

fn compile_rules(site: &Site) -> Result<(), InstallError> {
    let etc = site.home.etc();
    let rules = etc.join("tcp.smtp");
    let input = fs::File::open(&rules).map_err(file_error("read", &rules))?;
    programs::run(
        std::process::Command::new(site.home.bin().join("tcprules"))
            .arg(etc.join("tcp.smtp.cdb"))
            .arg(etc.join("tcp.smtp.tmp"))
            .stdin(input),
    )
    .map(|_| ())
}

/// `users/assign` gets the line that gives unclaimed local parts to the alias
/// user; virtual domains add theirs.
fn assign(site: &Site) -> Result<(), InstallError> {
    let users = site.home.users();
    write_new(&users.join("assign"), ".\n", 0o644)?;
    if !users.join("cdb").exists() {
        programs::run(std::process::Command::new(site.home.bin().join("qmail-newu")).arg(&users))?;
    }
    Ok(())
}

/// The system aliases every host must have (RFC 2142), for the host's own
/// name; those of the virtual domain are in the database.
fn aliases(site: &Site) -> Result<(), InstallError> {
    let owner = accounts::identity(site.mode, "alias", "qmail")?;
    let owner = (site.mode == Mode::Separated).then_some(owner);
    let alias = site.home.alias();
    let place = Directory::open(&alias).map_err(file_error("open", &alias))?;
    let content = format!("&postmaster@{}\n", site.domain);
    for name in ["root", "postmaster", "mailer-daemon", "abuse"] {
        let name = format!(".qmail-{name}");
        // A link of the alias user's is theirs to have, and not followed.
        let write = || match place.find(&name)? {
            Some(_) => Ok(()),
            None => place.replace(&name, content.as_bytes(), 0o644, owner),
        };
        write().map_err(file_error("write", alias.join(&name)))?;
    }
    Ok(())
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, content: &str, mode: u32) -> Result<(), InstallError> {
    if path.exists() {
        return Ok(());
    }
    os::file::replace(path, content.as_bytes(), mode).map_err(file_error("write", path))
}
