//! The real program on real sockets, among stand-ins for its neighbours.

mod acceptance;
mod client;
mod descriptors;
mod explain;
mod filters;
mod network;
mod traps;
mod world;
