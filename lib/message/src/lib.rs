//! Header fields of a message, and the lines we add to them.
