//! What servers that take mail from the network ask this host: lists,
//! mailboxes, recipients; and the ends of a classic session on descriptors 0
//! and 1.

mod arrival;
mod classic;
mod lists;
mod mailboxes;
mod recipients;

pub use arrival::{Arrival, Limits, told};
pub use classic::{Caller, Ends};
pub use lists::{ListError, Lists};
pub use mailboxes::{Domains, Whose, local as local_mailbox, of_reply as mailbox_of_reply};
pub use recipients::{Level, Recipients};
/// The state of a mailbox.
pub use smtp::server::Mailbox;
