//! Commands about the hosts of a cluster.

pub mod dbinfo;
pub mod hostcntrl;
pub mod hostsync;
pub mod mcdinfo;
pub mod vhostid;
pub mod vserverinfo;
pub mod vsmtp;
