//! What keeps mail from being lost, one thing at a time, so that each can be
//! taken away: a proof that does not notice is none.

/// Something the queue and the Maildir rely on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// The text is synced before its envelope is linked into `todo`.
    TextSync,
    /// So is the envelope.
    EnvelopeSync,
    /// So is the name of the text.
    MessDirectorySync,
    /// The name of the envelope is synced before the sender is told yes.
    TodoDirectorySync,
    /// `info`, `local` and `remote` are synced before the envelope goes.
    SortedSync,
    /// So are their names.
    SortedDirectorySync,
    /// A failure is synced before its recipient is done.
    BounceSync,
    /// A delivered text is synced before it is said to be delivered.
    MailSync,
    /// So is its name.
    MailDirectorySync,
    /// A spare file waits until its move is durable.
    SpareWait,
    /// A spare file is cut off at the end of what was written into it.
    SpareCut,
    /// What an earlier try to sort a message left is removed for good.
    BurialSync,
}

/// All of them.
pub const PROTECTIONS: &[Protection] = &[
    Protection::TextSync,
    Protection::EnvelopeSync,
    Protection::MessDirectorySync,
    Protection::TodoDirectorySync,
    Protection::SortedSync,
    Protection::SortedDirectorySync,
    Protection::BounceSync,
    Protection::MailSync,
    Protection::MailDirectorySync,
    Protection::SpareWait,
    Protection::SpareCut,
    Protection::BurialSync,
];

impl Protection {
    /// What a sync of a file with these names is for.
    pub(crate) fn by_file<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = names.into_iter();
        match names.find_map(|name| name.strip_prefix("/queue/")) {
            Some(name) if name.starts_with("mess/") => Self::TextSync,
            Some(name) if name.starts_with("bounce/") => Self::BounceSync,
            Some(name) if is_sorted(name) => Self::SortedSync,
            _ => Self::EnvelopeSync,
        }
    }

    /// What a sync of a directory is for.
    pub(crate) fn by_directory(directory: &str, is_after_removal: bool) -> Option<Self> {
        match directory.strip_prefix("/queue/") {
            None => Some(Self::MailDirectorySync),
            Some(name) if name.starts_with("mess") => Some(Self::MessDirectorySync),
            Some(name) if name.starts_with("todo") => Some(Self::TodoDirectorySync),
            Some(name) if is_sorted(name) && is_after_removal => Some(Self::BurialSync),
            Some(name) if is_sorted(name) => Some(Self::SortedDirectorySync),
            Some(_) => None,
        }
    }
}

fn is_sorted(name: &str) -> bool {
    ["info", "local", "remote"]
        .iter()
        .any(|directory| name.starts_with(directory))
}
