//! Start and end of a program: where the installation is, what is set, what
//! is logged, how it ends.
//!
//! ```no_run
//! # fn work(home: &run::Home, settings: &run::Settings) -> Result<(), run::SettingError> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     run::process("qmail-example", || {
//!         let home = run::Home::find();
//!         let settings = run::Settings::of_process(&home);
//!         work(&home, &settings)
//!     })
//! }
//! ```

pub mod envdir;
pub mod family;
mod fatal;
mod home;
mod link;
mod log;
pub mod sandboxes;
mod settings;
pub mod spawner;
pub mod story;
mod trace;
pub mod usage;
pub mod variables;

pub use fatal::{Exit, Fatal, PERMANENT, ProgramEnd, TEMPORARY, chain, process};
pub use home::Home;
pub use link::{Link, LinkError};
pub use log::{fatal, info, line, warn};
pub use settings::{SettingError, Settings};
pub use trace::{Batch, Tracer};
