//! Files that programs read: control files, secrets, the user database and
//! the certificate.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use directory::{Directory, Location};
use os::account::Identity;
use run::{Home, Settings};

use super::Findings;
use crate::install::accounts;
use crate::site::Mode;

/// A certificate is a problem this long before it expires.
const CERTIFICATE_SECONDS_MIN: i64 = 14 * 86_400;
/// Users that read control files, with their groups and programs.
const READERS: [(&str, &str, &[&str]); 5] = [
    ("qmaild", "nofiles", &["qmail-smtpd"]),
    (
        "qmailq",
        "qmail",
        &["qmail-queue", "qmail-queued", "qmail-clean"],
    ),
    ("qmails", "qmail", &["qmail-send", "qmail-todo"]),
    (
        "qmailr",
        "qmail",
        &["qmail-remote", "qmail-rspawn", "verifier"],
    ),
    (
        "indimail",
        "indimail",
        &["inlookup", "imapd", "pop3d", "vdelivermail", "vdeliverd"],
    ),
];

/// Checks them all.
pub fn check(home: &Home, mode: Mode, findings: &mut Findings) {
    controls(home, mode, findings);
    secrets(home, mode, findings);
    database(home, findings);
    certificate(home, findings);
}

fn controls(home: &Home, mode: Mode, findings: &mut Findings) {
    let settings = Settings::of_files(home);
    let mut seen: Vec<&str> = Vec::new();
    for setting in settings::all().filter(|setting| !setting.file.is_empty()) {
        let path = home.control().join(setting.file);
        if !seen.contains(&setting.file) {
            seen.push(setting.file);
            if let Err(error) = settings.file(setting.file) {
                findings.add(
                    path.display(),
                    format!("cannot be read: {}", error.source),
                    "make it a readable file, or remove it to have the default",
                );
                continue;
            }
        }
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        for (user, group, programs) in READERS {
            let reads = setting
                .readers
                .iter()
                .any(|reader| *reader == "every program" || programs.contains(reader));
            let identity = match mode {
                Mode::SingleUser => Identity::owner_of(home.root()).ok(),
                Mode::Separated => accounts::identity(mode, user, group).ok(),
            };
            if let Some(identity) = identity.filter(|_| reads)
                && !may_read(&metadata, identity)
            {
                let reader = setting.readers.join(", ");
                findings.add(
                    path.display(),
                    format!(
                        "cannot be read by {user} ({reader}): {}",
                        mode_and_owner(&metadata)
                    ),
                    format!("chmod 644 {0}; chown root:qmail {0}", path.display()),
                );
                break;
            }
        }
    }
    for (file, problem) in [
        ("me", "is missing: no program knows the name of this host"),
        (
            "rcpthosts",
            "is missing: qmail-smtpd refuses to start, it would relay for everybody",
        ),
    ] {
        if matches!(settings.file(file), Ok(None)) {
            findings.add(
                home.control().join(file).display(),
                problem,
                "run indimail quickstart again",
            );
        }
    }
}

/// As the kernel decides, for a process with one group.
fn may_read(metadata: &Metadata, identity: Identity) -> bool {
    let bit = if identity.uid == metadata.uid() {
        0o400
    } else if identity.gid == metadata.gid() {
        0o040
    } else {
        0o004
    };
    identity.uid == 0 || metadata.mode() & bit != 0
}

fn mode_and_owner(metadata: &Metadata) -> String {
    let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    format!("it has mode {mode:04o} and belongs to {uid}:{gid}")
}

/// Keys and passwords: readable by their owner alone, who is the service's
/// user.
fn secrets(home: &Home, mode: Mode, findings: &mut Findings) {
    let database = home.database();
    let mut secrets: Vec<(PathBuf, &str, &str)> = vec![
        (
            database.with_file_name("inlookup.key"),
            "indimail",
            "indimail",
        ),
        (database, "indimail", "indimail"),
    ];
    let entries = fs::read_dir(home.certs()).into_iter().flatten().flatten();
    let keys = entries.map(|entry| entry.path());
    let pem = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pem");
    secrets.extend(keys.filter(pem).map(|path| (path, "qcerts", "qcerts")));
    for (path, user, group) in secrets {
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let shown = path.display();
        if metadata.mode() & 0o077 != 0 {
            findings.add(
                shown,
                format!(
                    "is a secret that others can reach: {}",
                    mode_and_owner(&metadata)
                ),
                format!("chmod 600 {}", path.display()),
            );
        }
        if let (Mode::Separated, Ok(owner)) = (mode, accounts::identity(mode, user, group))
            && owner.uid != metadata.uid()
        {
            findings.add(
                path.display(),
                format!("belongs to uid {}, not {user}", metadata.uid()),
                format!("chown {user}:{group} {}", path.display()),
            );
        }
    }
    let left = home.root().join(".postmaster.password");
    if left.exists() {
        findings.add(
            left.display(),
            "is a password that an interrupted quickstart left",
            "run indimail quickstart again, or remove it",
        );
    }
}

fn database(home: &Home, findings: &mut Findings) {
    match Location::of(home, &Settings::of_files(home)) {
        Ok(Location::File(_)) => file_of_users(home, findings),
        Ok(location @ Location::Server(_)) => {
            let asked = Directory::open_at(&location).and_then(|directory| directory.schema());
            if let Err(error) = asked {
                findings.add(
                    home.control().join("host.mysql").display(),
                    with_causes(&error),
                    "start the database server, or mend the file; mail waits meanwhile, nothing \
                     bounces",
                );
            }
        }
        Err(error) => findings.add(
            home.control().join("host.mysql").display(),
            with_causes(&error),
            "write host:user:password:socket-or-port into it, owner root:indimail, mode 640",
        ),
    }
}

fn file_of_users(home: &Home, findings: &mut Findings) {
    let path = home.database();
    let trouble = match path.exists() {
        true => directory::quick_check(&path)
            .err()
            .map(|error| with_causes(&error)),
        // Before the first domain there is none.
        false if has_virtual_domains(home) => Some("is missing".to_owned()),
        false => None,
    };
    if let Some(trouble) = trouble {
        let shown = path.display();
        findings.add(
            shown,
            trouble,
            "svc -d inlookup.infifo and vdeliverd, restore the file from a backup as its owner, \
             svc -u both; mail waits meanwhile, nothing bounces",
        );
    }
}

fn has_virtual_domains(home: &Home) -> bool {
    let listed = fs::read(home.control().join("virtualdomains")).unwrap_or_default();
    text::control::list(&listed).next().is_some()
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn certificate(home: &Home, findings: &mut Findings) {
    let path = home.certs().join("servercert.pem");
    let shown = path.display();
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            return findings.add(
                shown,
                format!("cannot be read: {error}; there is no TLS"),
                "run indimail quickstart again, or put certificate chain and key into it, PEM; \
                 only its owner and root may read it",
            );
        }
    };
    match tls::expiry(&pem) {
        Err(error) => findings.add(shown, error, "put certificate chain and key into it, PEM"),
        Ok(expires) if expires < os::clock::unix_seconds() + CERTIFICATE_SECONDS_MIN => {
            let date = tai::header_date(expires);
            findings.add(
                shown,
                format!("expires on {date}"),
                "renew the certificate, then svc -t the signer",
            );
        }
        Ok(_) => {}
    }
}

/// Says whether a file is older than what it is made from.
pub fn is_older(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    matches!((time(made), time(source)), (Ok(made), Ok(source)) if made < source)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_class_that_fits_decides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = Identity::owner_of(file.path()).unwrap();
        let other = Identity {
            uid: own.uid + 1,
            gid: own.gid + 1,
        };
        let friend = Identity {
            gid: own.gid,
            ..other
        };
        for (mode, of_friend, of_other) in [
            (0o640, true, false),
            (0o604, false, true),
            (0o600, false, false),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let metadata = fs::metadata(file.path()).unwrap();
            assert_eq!(may_read(&metadata, friend), of_friend, "{mode:o}");
            assert_eq!(may_read(&metadata, other), of_other, "{mode:o}");
        }
    }
}
