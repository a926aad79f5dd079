//! The whole tree of processes of one queue, with shell scripts in place of
//! qmail-local and qmail-remote.

mod bounces;
mod classic;
mod decisions;
mod deliveries;
mod depth;
mod installation;
mod queues;
mod traps;
