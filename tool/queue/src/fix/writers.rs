//! Who writes into a queue at the moment, and file systems that a queue
//! cannot be on.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{
    CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs,
};

/// The name of the file system a path is on, when its inode numbers may
/// change or be those of several files.
pub fn unsuitable_file_system(path: &Path) -> Option<&'static str> {
    let kind = statfs(path).ok()?.filesystem_type();
    let known = [
        (NFS_SUPER_MAGIC, "NFS"),
        (FUSE_SUPER_MAGIC, "FUSE"),
        (SMB_SUPER_MAGIC, "SMB"),
        (CODA_SUPER_MAGIC, "Coda"),
    ];
    let found = known.iter().find(|(magic, _)| *magic == kind);
    found.map(|(_, name)| *name)
}

/// A process that has a file of this queue open for writing a message: in
/// `pid`, `mess` or `intd`. As far as this user may look.
pub fn writer(root: &Path) -> Option<u32> {
    let root = fs::canonicalize(root).ok()?;
    let directories = ["pid", "mess", "intd"].map(|name| root.join(name));
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .find(|pid| {
            let open = fs::read_dir(format!("/proc/{pid}/fd"));
            let mut open = open.into_iter().flatten().flatten();
            open.any(|entry| {
                let target = fs::read_link(entry.path()).unwrap_or_default();
                let is_below = |directory: &std::path::PathBuf| {
                    target.starts_with(directory) && target != *directory
                };
                directories.iter().any(is_below) && is_written(*pid, &entry.file_name())
            })
        })
}

/// Reading, as spawners do, does no harm.
fn is_written(pid: u32, descriptor: &std::ffi::OsStr) -> bool {
    let path = Path::new("/proc")
        .join(pid.to_string())
        .join("fdinfo")
        .join(descriptor);
    let info = fs::read_to_string(path).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 != 0)
}
