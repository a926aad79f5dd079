//! The table of hosts that could not be reached lately, for tools
//! (queue-and-delivery.md §7.9). qmail-remote keeps it.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, MetadataExt};

use os::beneath::Access;

use crate::Layout;

/// Where it is in the queue.
const NAME: &str = "lock/tcpto";

/// Records in the table.
const RECORDS: usize = 64;

/// A host that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DownHost {
    /// Its address.
    pub ip: IpAddr,
    /// How often it failed: 1 to 10.
    pub count: u8,
    /// When last, Unix time.
    pub time: u32,
}

/// What is in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tcpto {
    /// Hosts with failures, in the order of the table.
    pub records: Vec<DownHost>,
    /// The table is that of IndiMail, which knows IPv6.
    pub has_families: bool,
}

/// The length of a record tells the format: 16 bytes in old queues.
fn record_bytes(length: u64) -> io::Result<usize> {
    match length {
        1024 => Ok(16),
        2048 => Ok(32),
        length => {
            let text = format!("{length} bytes long, not 1024 or 2048; queue-fix mends it");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

impl Tcpto {
    /// Reads it under its lock.
    pub fn read(layout: &Layout) -> io::Result<Self> {
        let file = os::file::lock(layout.open()?.file(NAME, Access::Read)?)?;
        let size = record_bytes(file.metadata()?.len())?;
        let mut bytes = vec![0; size * RECORDS];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self {
            records: bytes.chunks_exact(size).filter_map(record).collect(),
            has_families: size == 32,
        })
    }

    /// Forgets all failures, under its lock, in one write.
    pub fn clear(layout: &Layout) -> io::Result<()> {
        let file = layout.open()?.file(NAME, Access::Write)?;
        if 1 < file.metadata()?.nlink() {
            let text = "it has another name elsewhere: it may be somebody else's file";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let file = os::file::lock(file)?;
        let size = record_bytes(file.metadata()?.len())?;
        file.write_all_at(&vec![0; size * RECORDS], 0)
    }
}

/// `None` for an empty record.
fn record(bytes: &[u8]) -> Option<DownHost> {
    let v4 = |at: usize| Some(IpAddr::from(*bytes.get(at..)?.first_chunk::<4>()?));
    let ip = match (bytes.len(), bytes[0]) {
        (16, _) => v4(0)?,
        (_, 2) => v4(16)?,
        (_, 10) => IpAddr::from(*bytes.get(16..)?.first_chunk::<16>()?),
        _ => return None,
    };
    let time = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let count = bytes[4];
    (count != 0).then_some(DownHost { ip, count, time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::with_split(directory.path(), 23, false);
        std::fs::create_dir(directory.path().join("lock")).unwrap();
        let path = layout.lock("tcpto");
        let mut classic = vec![0; 1024];
        classic[16..20].copy_from_slice(&[192, 0, 2, 1]);
        classic[20] = 3;
        classic[24..28].copy_from_slice(&1000u32.to_le_bytes());
        let mut ours = vec![0; 2048];
        ours[0] = 10;
        ours[4] = 1;
        ours[31] = 1;
        for (bytes, ip, count, time) in [(classic, "192.0.2.1", 3, 1000), (ours, "::1", 1, 0)] {
            std::fs::write(&path, &bytes).unwrap();
            let found = Tcpto::read(&layout).unwrap();
            let ip = ip.parse().unwrap();
            assert_eq!(found.records, [DownHost { ip, count, time }]);
            assert_eq!(found.has_families, bytes.len() == 2048);
            Tcpto::clear(&layout).unwrap();
            assert_eq!(Tcpto::read(&layout).unwrap().records, []);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes.len() as u64);
        }
        std::fs::write(&path, "short").unwrap();
        assert!(Tcpto::read(&layout).is_err() && Tcpto::clear(&layout).is_err());
    }

    #[test]
    fn a_table_that_is_somebody_elses_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::with_split(directory.path().join("queue1"), 23, false);
        std::fs::create_dir_all(layout.root().join("lock")).unwrap();
        let victim = directory.path().join("victim");
        std::fs::write(&victim, [7; 2048]).unwrap();
        let path = layout.lock("tcpto");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(Tcpto::clear(&layout).is_err() && Tcpto::read(&layout).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&victim, &path).unwrap();
        assert!(Tcpto::clear(&layout).is_err());
        std::fs::remove_file(&path).unwrap();
        os::file::make_fifo(&path, 0o600).unwrap();
        assert!(Tcpto::clear(&layout).is_err() && Tcpto::read(&layout).is_err());
        std::fs::remove_dir_all(layout.root().join("lock")).unwrap();
        std::fs::create_dir(directory.path().join("lock")).unwrap();
        std::fs::rename(&victim, directory.path().join("lock/tcpto")).unwrap();
        let elsewhere = directory.path().join("lock");
        std::os::unix::fs::symlink(&elsewhere, layout.root().join("lock")).unwrap();
        assert!(Tcpto::clear(&layout).is_err());
        let kept = std::fs::read(elsewhere.join("tcpto")).unwrap();
        assert_eq!(kept, [7; 2048]);
    }
}
