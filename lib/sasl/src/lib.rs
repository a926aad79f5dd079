//! SASL mechanisms, server and client side, without I/O (RFC 4422).
//!
//! [`server`] turns what a client says into questions for whoever knows the
//! users and turns the answers into challenges; it never sees a stored secret.
//! [`client`] answers the challenges of other servers. [`scram`] and [`cram`]
//! are the arithmetic both sides, and the user database, share.
//!
//! Payloads are raw bytes here: SMTP, IMAP and POP3 all wrap them in base64,
//! with their own words around it.

pub mod client;
pub mod cram;
pub mod scram;
pub mod server;

mod mechanism;

pub use mechanism::Mechanism;
