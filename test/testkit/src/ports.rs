//! Ports that no other test uses.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use nix::fcntl::{Flock, FlockArg};

/// First port handed out, and how many lie between two ranges: more than the
/// distance of the lowest to the highest standard port.
const FIRST: u16 = 12_000;
const STEP: u16 = 1_000;
/// Ranges end below the ports the kernel gives to clients.
const RANGES: u16 = 20;

/// A range of ports, ours until dropped: whoever else wants it finds it
/// locked.
#[derive(Debug)]
pub struct PortRange {
    /// Added to a standard port.
    pub base: u16,
    _lock: Flock<File>,
}

impl PortRange {
    /// Takes a free range, waiting for one when there is none.
    ///
    /// # Panics
    /// When the directory for temporary files cannot be written.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join("indimail-test-ports");
        std::fs::create_dir_all(&directory).expect("temporary directory");
        loop {
            for range in 0..RANGES {
                let file = File::options()
                    .create(true)
                    .append(true)
                    .open(directory.join(range.to_string()))
                    .expect("port lock");
                if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                    let base = FIRST + range * STEP;
                    if unused(base) {
                        return Self { base, _lock: lock };
                    }
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}

fn unused(base: u16) -> bool {
    [25, 110, 143, 465, 587, 993, 995]
        .iter()
        .all(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, base + port)).is_ok())
}

/// A port that is free now, for a server that is started at once.
///
/// # Panics
/// When the machine has no free port.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
