//! Local delivery: `.qmail` instructions and virtual mailboxes carried out.
//!
//! One implementation of "deliver this message for this recipient", with
//! three users: qmail-local (a process that is the recipient), vdeliverd (a
//! service that delivers many at once for all virtual users) and
//! vdelivermail (the program of the virtual domains' `.qmail-default`).
//!
//! - [`local::deliver`] does what qmail-local(8) does and returns its exit
//!   code and output.
//! - [`virtual_user::deliver`] does what vdelivermail(8) does.
//!
//! Nothing here changes the working directory, the environment or a signal,
//! so deliveries can run in as many threads as there are. Users are looked up
//! through [`Users`], programs are run through [`Programs`]; what cannot be
//! decided because either fails is temporary, never a bounce.

pub mod channel;
mod directory_users;
pub mod duplicates;
pub mod forward;
pub mod local;
mod outcome;
pub mod outside;
mod program;
mod rows;
mod scan;
mod shell_line;
mod site;
mod spool;
mod users;
pub mod virtual_user;

pub use directory_users::{DirectoryUsers, Recent};
pub use outcome::Outcome;
pub use program::{Captured, Direct, Ending, Finished, Job, Programs, exit_code_of_program};
pub use scan::{header_exceeds, header_values};
pub use site::{Site, VirtualUsers};
pub use spool::{memory_file, seekable, spool};
pub use users::{NoUsers, User, Users, UsersError};
