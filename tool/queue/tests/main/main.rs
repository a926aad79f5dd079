//! The programs as an operator runs them: root above all.

mod hostile;
