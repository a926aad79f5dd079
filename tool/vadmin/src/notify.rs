//! Telling running services that something changed: HUP through the control
//! FIFO of their supervise.

use std::fs::File;
use std::io::Write;

use run::Home;

/// What supervise understands as "send HUP" (svc -h).
const HUP: &[u8] = b"h";

/// Services to be told. Opened while the process may; used at the end.
#[derive(Default)]
pub struct Notify(Vec<File>);

impl Notify {
    /// Finds the services whose names begin so. Services that do not run are
    /// left out: they read everything when they start.
    pub fn open(home: &Home, prefixes: &[&str]) -> Self {
        let Ok(entries) = std::fs::read_dir(home.service()) else {
            return Self::default();
        };
        let files = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix))
                .then(|| os::file::open_fifo_write(&entry.path().join("supervise/control")).ok())?
        });
        Self(files.collect())
    }

    /// Sends HUP to all of them.
    pub fn hup(mut self) {
        for fifo in &mut self.0 {
            // One that just went down reads everything when it comes back.
            let _ = fifo.write_all(HUP);
        }
    }
}

/// Services that keep tables of domains.
pub const QUEUES: &[&str] = &["qmail-send", "inlookup"];
/// Services that keep answers about users.
pub const LOOKUP: &[&str] = &["inlookup"];
