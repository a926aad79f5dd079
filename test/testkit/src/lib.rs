//! private installations, real clients and foreign servers for tests
