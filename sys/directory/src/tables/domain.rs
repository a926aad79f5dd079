//! All rows of a domain at once.

use crate::sql::{Failed, Session, quoted, values};
use crate::tables::counters;
use crate::tables::user::delete_addresses;

/// Tables with a column that is the domain.
const BY_DOMAIN: &[(&str, &str)] = &[
    ("indimail", "pw_domain"),
    ("indibak", "pw_domain"),
    ("lastauth", "domain"),
    ("userquota", "domain"),
    ("app_password", "domain"),
    ("valias", "domain"),
    ("dir_free", "domain"),
    ("atrn_map", "pw_domain"),
    ("ip_alias_map", "domain"),
    ("vlimits", "domain"),
];

/// Tables with a column that is an address.
const BY_ADDRESS: &[(&str, &str)] = &[
    ("vlimits", "domain"),
    ("vfilter", "emailid"),
    ("bulkmail", "emailid"),
    ("relay", "email"),
];

/// Deletes every row of a domain.
pub fn delete(session: &mut dyn Session, domain: &str) -> Result<(), Failed> {
    for (table, column) in BY_DOMAIN {
        let statement = format!("DELETE FROM {table} WHERE {column} = ?");
        session.execute(&statement, values![domain])?;
    }
    for (table, column) in BY_ADDRESS {
        delete_addresses(session, table, column, domain)?;
    }
    for table in counters::tables(session)? {
        let statement = format!("DELETE FROM {} WHERE domain = ?", quoted(&table)?);
        session.execute(&statement, values![domain])?;
    }
    Ok(())
}
