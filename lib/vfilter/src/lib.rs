//! Rules by which a virtual user's mail is filed, refused or sent on
//! (virtual-domains.md §8).
//!
//! A message's header fields become [`Values`]; [`decide`] finds the first
//! rule that applies to them and says why the others do not. What a rule
//! wants is carried out by the delivery.

mod decide;
mod expression;
mod header_list;
mod rule;
mod values;

pub use decide::{Match, Rules, decide};
pub use expression::{Expression, ExpressionError};
pub use header_list::HeaderList;
pub use rule::{Action, Comparison, Folder, Header, Numbering, Row, Rule, RuleError};
pub use values::{Reader, Values};
