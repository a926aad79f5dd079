//! Hosts that could not be reached lately (queue-and-delivery.md §7.9).
//!
//! 64 records in a file that all deliveries of a queue share. It is only
//! advice: every error is ignored, and no entry ever makes mail bounce.

use std::fs::{File, OpenOptions};
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;

const RECORDS: usize = 64;
const COUNT_MAX: u8 = 10;
/// Failures from which on a host is left alone.
const COUNT_SKIP: u8 = 2;
/// How much a failure weighs, in seconds, when a record must make room.
const COUNT_SECONDS: u32 = 1024;

/// The table of one queue.
#[derive(Debug, Default)]
pub struct Tcpto {
    file: Option<File>,
    /// Least seconds a host is left alone, 0 for never.
    pub penalty: u32,
    /// Seconds in which failures count as one.
    pub tolerance: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Record {
    ip: Option<IpAddr>,
    count: u8,
    time: u32,
}

impl Tcpto {
    /// Opens the table below a queue directory; without one nothing is
    /// remembered.
    pub fn open(queue: &Path, penalty: u32, tolerance: u32) -> Self {
        let path = queue.join("lock").join("tcpto");
        Self {
            file: OpenOptions::new().read(true).write(true).open(path).ok(),
            penalty,
            tolerance,
        }
    }

    /// Says whether to leave an address alone now. `spread` differs from one
    /// process to the next, so that not all of them come back at once.
    pub fn skips(&self, ip: IpAddr, now: u32, spread: u32) -> bool {
        if self.penalty == 0 {
            return false;
        }
        let backoff = (self.penalty + (60 + spread % 32) * 64).saturating_sub(3600);
        self.with_record(ip, |record, _| {
            record.is_some_and(|record| {
                COUNT_SKIP <= record.count && now.wrapping_sub(record.time) < backoff
            })
        })
        .unwrap_or(false)
    }

    /// Remembers that an address could not be reached.
    pub fn failed(&self, ip: IpAddr, now: u32) {
        let tolerance = self.tolerance;
        self.with_record(ip, |record, write| {
            let count = match record {
                Some(old) if 0 < old.count && now.wrapping_sub(old.time) < tolerance => return,
                Some(old) => (old.count + 1).min(COUNT_MAX),
                None => 1,
            };
            write(Record {
                ip: Some(ip),
                count,
                time: now,
            });
        });
    }

    /// Remembers that an address was reached.
    pub fn reached(&self, ip: IpAddr) {
        self.with_record(ip, |record, write| {
            if let Some(old) = record
                && 0 < old.count
            {
                write(Record { count: 0, ..old });
            }
        });
    }

    /// Calls `act` under the lock with the record of an address and a way to
    /// write it, or to put it into the record that is missed least.
    fn with_record<T>(
        &self,
        ip: IpAddr,
        act: impl FnOnce(Option<Record>, &mut dyn FnMut(Record)) -> T,
    ) -> Option<T> {
        let file = self.file.as_ref()?;
        let lock = os::file::lock(file.try_clone().ok()?).ok()?;
        // The file's length tells the format: old queues have short records.
        let size = match lock.metadata().ok()?.len() {
            1024 => 16,
            2048 => 32,
            _ => return None,
        };
        let mut bytes = vec![0; size * RECORDS];
        lock.read_exact_at(&mut bytes, 0).ok()?;
        let records: Vec<Record> = bytes.chunks_exact(size).map(Record::parse).collect();
        let known = records.iter().position(|record| record.ip == Some(ip));
        let slot = known.or_else(|| {
            (0..RECORDS).min_by_key(|&at| {
                let Record { count, time, .. } = records[at];
                let age = u64::from(time) + u64::from(count) * u64::from(COUNT_SECONDS);
                (0 < count, age)
            })
        })?;
        let mut write = |record: Record| {
            if let Some(bytes) = record.to_bytes(size) {
                let _ = lock.write_all_at(&bytes, (slot * size) as u64);
            }
        };
        Some(act(known.map(|at| records[at]), &mut write))
    }
}

impl Record {
    fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().unwrap_or_default() };
        let count = bytes[4];
        let time = u32::from_le_bytes(word(8));
        let ip = match bytes.len() {
            16 => Some(IpAddr::from(word(0))),
            _ => match bytes[0] {
                2 => Some(IpAddr::from(word(16))),
                10 => <[u8; 16]>::try_from(&bytes[16..32]).ok().map(IpAddr::from),
                _ => None,
            },
        };
        Self { ip, count, time }
    }

    /// `None` when the format has no room for the address.
    fn to_bytes(self, size: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; size];
        match (self.ip?, size) {
            (IpAddr::V4(ip), 16) => bytes[..4].copy_from_slice(&ip.octets()),
            (IpAddr::V6(_), 16) => return None,
            (IpAddr::V4(ip), _) => {
                bytes[0] = 2;
                bytes[16..20].copy_from_slice(&ip.octets());
            }
            (IpAddr::V6(ip), _) => {
                bytes[0] = 10;
                bytes[16..32].copy_from_slice(&ip.octets());
            }
        }
        bytes[4] = self.count;
        bytes[8..12].copy_from_slice(&self.time.to_le_bytes());
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: usize) -> (tempfile::TempDir, Tcpto) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("lock")).unwrap();
        std::fs::write(directory.path().join("lock/tcpto"), vec![0; bytes]).unwrap();
        let table = Tcpto::open(directory.path(), 3600, 120);
        (directory, table)
    }

    #[test]
    fn two_failures_apart_keep_a_host_alone_for_a_while() {
        for (bytes, ip) in [
            (1024, "192.0.2.1"),
            (2048, "192.0.2.1"),
            (2048, "2001:db8::1"),
        ] {
            let (_directory, table) = table(bytes);
            let ip = ip.parse().unwrap();
            table.failed(ip, 1000);
            table.failed(ip, 1050);
            assert!(!table.skips(ip, 1060, 0), "failures at once count as one");
            table.failed(ip, 1200);
            assert!(table.skips(ip, 1300, 0));
            assert!(!table.skips(ip, 1200 + 3840, 0));
            assert!(table.skips(ip, 1200 + 3840, 31));
            table.reached(ip);
            assert!(!table.skips(ip, 1300, 0));
        }
    }

    #[test]
    fn a_large_outage_evicts_and_never_fails() {
        let (_directory, table) = table(2048);
        for n in 0..200u8 {
            table.failed(IpAddr::from([192, 0, 2, n]), 1000 + u32::from(n));
        }
        let newest = IpAddr::from([192, 0, 2, 199]);
        table.failed(newest, 5000);
        assert!(table.skips(newest, 5001, 0));
    }

    #[test]
    fn without_a_table_nothing_is_skipped() {
        let table = Tcpto::open(Path::new("/nonexistent"), 3600, 120);
        let ip = IpAddr::from([192, 0, 2, 1]);
        table.failed(ip, 1);
        assert!(!table.skips(ip, 1, 0));
        let (_directory, mut table) = super::tests::table(1000);
        table.penalty = 0;
        assert!(!table.skips(ip, 1, 0));
    }

    #[test]
    fn what_is_remembered_is_what_the_tools_show() {
        property::holds(|u| {
            let bytes = *u.choose(&[1024, 2048])?;
            let (directory, table) = table(bytes);
            let mut expected = Vec::new();
            for n in 0..u.int_in_range(0..=RECORDS as u8)? {
                let is_v6 = bytes == 2048 && u.arbitrary()?;
                let ip = match is_v6 {
                    true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)]),
                    false => IpAddr::from([192, 0, 2, n]),
                };
                let (time, count) = (u.int_in_range(1..=u32::MAX / 2)?, u.int_in_range(1..=12)?);
                for at in 0..u32::from(count) {
                    table.failed(ip, time + at * table.tolerance);
                }
                let (time, count) = (
                    time + u32::from(count - 1) * table.tolerance,
                    count.min(COUNT_MAX),
                );
                expected.push(queue::DownHost { ip, count, time });
            }
            let layout = queue::Layout::with_split(directory.path(), 23, false);
            let shown = queue::Tcpto::read(&layout).unwrap();
            assert_eq!(shown.records, expected);
            assert_eq!(shown.has_families, bytes == 2048);
            for host in expected {
                table.reached(host.ip);
            }
            assert_eq!(queue::Tcpto::read(&layout).unwrap().records, []);
            Ok(())
        });
    }
}
