//! Whole runs of imapd with real clients, a fake inlookup and no TLS.

mod clients;
mod site;
