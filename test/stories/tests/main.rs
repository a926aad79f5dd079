//! whole-system tests that read like stories
