//! Where a new home goes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::tree::Prefix;

/// Where a new home goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Placement {
    /// Into the next directory of the tree below a base directory.
    Tree {
        /// Parent of the five trees.
        base: PathBuf,
        /// The file system it is on.
        mount: MountTag,
        /// Users in one directory.
        users_per_level: u32,
    },
    /// Exactly there, outside any tree.
    At(PathBuf),
}

impl Placement {
    /// The tree below a base directory.
    pub fn below(base: &Path, users_per_level: u32) -> io::Result<Self> {
        Ok(Self::Tree {
            base: base.to_owned(),
            mount: MountTag::of(base)?,
            users_per_level,
        })
    }
}

/// The name of a mount point inside table names: `/` becomes `_`, the root
/// file system is `root` (virtual-domains.md §3.3). Letters, digits, `_`,
/// `-` and `.` only, whatever the mount point is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MountTag(String);

impl MountTag {
    /// The tag of the file system a path is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let device = path.metadata()?.dev();
        let mut mount = path.as_path();
        while let Some(parent) = mount.parent()
            && parent.metadata()?.dev() == device
        {
            mount = parent;
        }
        Ok(Self::of_mount(mount))
    }

    fn of_mount(mount: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        if mount == Path::new("/") {
            return Self("root".to_owned());
        }
        let keep = |&b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        Self(
            mount
                .as_os_str()
                .as_bytes()
                .iter()
                .map(|b| if keep(b) { char::from(*b) } else { '_' })
                .collect(),
        )
    }

    /// The suffix of a tree's `dir_control` table, a line of `.filesystems`.
    pub fn suffix(&self, prefix: Prefix) -> String {
        format!("{}_{}", self.0, prefix.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_fit_for_table_names() {
        let tag = |mount: &str| MountTag::of_mount(Path::new(mount)).suffix(Prefix::of("a"));
        assert_eq!(tag("/home"), "_home_A2E");
        assert_eq!(tag("/"), "root_A2E");
        assert_eq!(tag("/mnt/a \"; DROP"), "_mnt_a____DROP_A2E");
    }
}
