//! When qmail-send tries what: retries, concurrency, expiry.
