//! TAI64N labels and the dates of mail: values, no clock.

mod civil;
mod label;

pub use civil::{Civil, header_date, mbox_date};
pub use label::{Label, LabelError};

/// A point in time: seconds since 1970-01-01 00:00:00 UTC, and nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixTime {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1 000 000 000.
    pub nanoseconds: u32,
}
