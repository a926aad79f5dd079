//! Which hosts get TLS, and which must prove their names
//! (queue-and-delivery.md §7.7).

use std::path::PathBuf;

use run::{Home, Settings};
use settings::remote::{NOTLSHOSTS, SMTPS};
use smtp::client::Encryption;
use text::control;

use crate::failure::Failure;
use crate::job::{Host, Job};

/// The port on which TLS comes first.
const SMTPS_PORT: u16 = 465;

/// The rules.
#[derive(Debug)]
pub struct Security {
    /// Directories that may hold `tlshosts`.
    directories: Vec<PathBuf>,
    never: Vec<String>,
    domain: String,
    implicit: bool,
}

/// What holds for one host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Demand {
    /// How much TLS.
    pub encryption: Encryption,
    /// The file that makes TLS and the proof of the name mandatory.
    pub authorities: Option<PathBuf>,
}

impl Security {
    /// Reads the rules.
    pub fn read(home: &Home, settings: &Settings, job: &Job, port: u16) -> Result<Self, Failure> {
        let directories = vec![home.certs(), home.control().to_owned()];
        let mut never = Vec::new();
        for directory in &directories {
            // A demand that cannot be read must not look like none.
            let exhaustive = directory.join("tlshosts/exhaustivelist");
            exhaustive
                .try_exists()
                .map_err(|_| Failure::Control(exhaustive.display().to_string()))?;
            let path = directory.join(NOTLSHOSTS.file);
            let unreadable = |_| Failure::Control(path.display().to_string());
            if path.is_dir() {
                for entry in std::fs::read_dir(&path).map_err(unreadable)? {
                    let name = entry.map_err(unreadable)?.file_name();
                    never.extend(name.into_string().map(|name| name.to_ascii_lowercase()));
                }
            } else if path.exists() {
                let content = std::fs::read(&path).map_err(unreadable)?;
                let lines = control::list(&content);
                never.extend(lines.map(|l| String::from_utf8_lossy(l).to_ascii_lowercase()));
            }
        }
        Ok(Self {
            directories,
            never,
            domain: match &job.host {
                Host::Name(name) => name.to_string(),
                Host::Literal(ip) => ip.to_string(),
            },
            implicit: port == SMTPS_PORT || settings.is_set(&SMTPS)?,
        })
    }

    /// What holds for a host by its name; a name is never a path.
    pub fn demand(&self, name: &str) -> Demand {
        let hosts = || self.directories.iter().map(|path| path.join("tlshosts"));
        let authorities = hosts()
            .map(|path| path.join(format!("{name}.pem")))
            .find(|path| path.exists());
        let unlisted = || hosts().any(|path| path.join("exhaustivelist").exists());
        let excepted = || self.never.iter().any(|n| n == name || *n == self.domain);
        let encryption = if self.implicit {
            Encryption::Established
        } else if authorities.is_some() {
            Encryption::Required
        } else if excepted() || unlisted() {
            Encryption::Never
        } else {
            Encryption::IfOffered
        };
        Demand {
            encryption,
            authorities,
        }
    }
}

impl Demand {
    /// The same for a message that needs TLS all the way (RFC 8689): a site's
    /// exceptions do not count.
    pub fn with_tls_required(self) -> Self {
        let encryption = match self.encryption {
            Encryption::Established => Encryption::Established,
            _ => Encryption::Required,
        };
        Self { encryption, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_needs_tls_gets_it_whatever_the_site_says() {
        for (said, expected) in [
            (Encryption::Never, Encryption::Required),
            (Encryption::IfOffered, Encryption::Required),
            (Encryption::Established, Encryption::Established),
        ] {
            let demand = Demand {
                encryption: said,
                authorities: None,
            };
            assert_eq!(demand.with_tls_required().encryption, expected);
        }
    }

    #[test]
    fn a_listed_host_must_and_an_excepted_one_must_not() {
        let directory = tempfile::tempdir().unwrap();
        let (certs, control) = (
            directory.path().join("certs"),
            directory.path().join("control"),
        );
        std::fs::create_dir_all(certs.join("tlshosts")).unwrap();
        std::fs::create_dir(&control).unwrap();
        std::fs::write(certs.join("tlshosts/mx.example.pem"), "").unwrap();
        std::fs::write(control.join("notlshosts"), "MX.example\nold.example\n").unwrap();
        let home = Home::at(directory.path());
        let settings = Settings::of_files(&home);
        let words = ["b.example", "", "", "1", "ann@b.example"].map(|w| w.as_bytes().to_vec());
        let job = Job::parse(&words).unwrap();
        let demand = |port, name: &str| {
            let security = Security::read(&home, &settings, &job, port).unwrap();
            security.demand(name).encryption
        };
        assert_eq!(demand(25, "mx.example"), Encryption::Required);
        assert_eq!(demand(25, "old.example"), Encryption::Never);
        assert_eq!(demand(25, "new.example"), Encryption::IfOffered);
        assert_eq!(demand(465, "new.example"), Encryption::Established);
        std::fs::write(certs.join("tlshosts/exhaustivelist"), "").unwrap();
        assert_eq!(demand(25, "new.example"), Encryption::Never);
        assert_eq!(demand(25, "mx.example"), Encryption::Required);
    }

    #[test]
    fn a_demand_that_cannot_be_read_is_not_taken_for_none() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("certs")).unwrap();
        // What a directory without permission is to a user, a file is to root.
        std::fs::write(directory.path().join("certs/tlshosts"), "").unwrap();
        let home = Home::at(directory.path());
        let settings = Settings::of_files(&home);
        let words = ["b.example", "", "", "1", "ann@b.example"].map(|w| w.as_bytes().to_vec());
        let job = Job::parse(&words).unwrap();
        let read = Security::read(&home, &settings, &job, 25);
        assert!(matches!(read, Err(Failure::Control(_))), "{read:?}");
    }
}
