//! Records, patterns and quoting that every mail program needs.
//!
//! Everything here works on bytes: mail is not text until a specification
//! says UTF-8. Nothing reads a clock, a file or the environment.

pub mod control;
pub mod envrules;
pub mod log;
pub mod netstring;
pub mod records;
pub mod wildmat;
pub mod words;
pub mod xtext;
