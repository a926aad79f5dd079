//! Who may send what to whom, as ordered rules that explain themselves.
