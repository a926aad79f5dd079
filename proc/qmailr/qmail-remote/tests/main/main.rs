//! The program itself against servers on a loopback port.

mod delivery;
mod replies;
mod server;
