//! hickory-resolver behind our own small interface.
