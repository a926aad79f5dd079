//! POP3 sessions without sockets.
