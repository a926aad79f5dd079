//! The loads that are measured.

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What `--case` calls it.
    pub name: &'static str,
    /// Messages in all.
    pub messages: usize,
    /// Bytes of each.
    pub bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// Messages sent over a connection before it is left for another.
    pub per_connection: usize,
    /// Users the messages go to.
    pub users: usize,
    /// Recipients of each message.
    pub recipients: usize,
}

const KIBIBYTE: usize = 1024;
const USUAL: Case = Case {
    name: "kept",
    messages: 2000,
    bytes: 4 * KIBIBYTE,
    connections: 20,
    per_connection: usize::MAX,
    users: 50,
    recipients: 1,
};

/// All of them, the usual one first.
pub const CASES: [Case; 5] = [
    USUAL,
    Case {
        name: "one-a-connection",
        per_connection: 1,
        ..USUAL
    },
    Case {
        name: "hundred-a-connection",
        per_connection: 100,
        ..USUAL
    },
    Case {
        name: "100-KiB",
        messages: 1000,
        bytes: 100 * KIBIBYTE,
        per_connection: 100,
        ..USUAL
    },
    Case {
        name: "1000-recipients",
        messages: 5,
        connections: 1,
        users: 1000,
        recipients: 1000,
        ..USUAL
    },
];

impl Case {
    /// Messages that arrive in Maildirs.
    pub fn deliveries(&self) -> usize {
        self.messages * self.recipients
    }
}
