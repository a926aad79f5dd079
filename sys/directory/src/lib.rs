//! Domains and users in SQL, and how their passwords are checked.
