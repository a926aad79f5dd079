//! The language of .qmail files, without executing it.
