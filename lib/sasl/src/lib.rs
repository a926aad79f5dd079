//! SASL mechanisms, server and client side, without I/O.
