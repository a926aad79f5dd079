//! Settings of services and logs.

use crate::{Kind, Setting};

/// How often svscan looks at its directory.
pub static SCANINTERVAL: Setting = Setting {
    file: "",
    variable: "SCANINTERVAL",
    kind: Kind::Integer,
    default: Some("5"),
    readers: &["svscan"],
    meaning: "Seconds between two looks at the service directory; 0: only after HUP.",
};

/// Whether finished logs are synced.
pub static NOFSYNC: Setting = Setting {
    file: "",
    variable: "NOFSYNC",
    kind: Kind::Presence,
    default: None,
    readers: &["multilog"],
    meaning: "Finished log files are not synced; a power cut can lose log lines.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[&SCANINTERVAL, &NOFSYNC];
