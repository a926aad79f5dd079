//! Many users at once: vexport writes them, vimport reads them.

pub mod export;
pub mod import;
mod progress;
mod record;
