//! Rows of `vfilter`: rules of a user, and of a whole domain under the names
//! `prefilt` and `postfilt`.

use vfilter::Row as Rule;

use crate::Error;
use crate::sql::{Failed, Row, Session, values};

/// Most rules one address may have.
const RULES_MAX: usize = 255;

const COLUMNS: &str =
    "filter_no, filter_name, header_name, comparision, keyword, destination, bounce_action";

fn rule(row: &Row) -> Rule {
    Rule {
        number: row.integer(0),
        name: row.text(1),
        header: row.integer(2),
        comparison: row.integer(3),
        keyword: row.text(4),
        destination: row.text(5),
        action: row.text(6),
    }
}

/// The rules of an address, in their order.
pub fn of(session: &mut dyn Session, address: &str) -> Result<Vec<Rule>, Failed> {
    let statement = format!("SELECT {COLUMNS} FROM vfilter WHERE emailid = ? ORDER BY filter_no");
    let rows = session.query(&statement, values![address])?;
    Ok(rows.iter().map(rule).collect())
}

/// Adds a rule under the lowest free number and says which; `None` when there
/// is one that does the same.
pub fn insert(
    session: &mut dyn Session,
    address: &str,
    rule: &Rule,
) -> Result<Option<i64>, Failed> {
    let statement = format!(
        "SELECT filter_no FROM vfilter WHERE emailid = ? ORDER BY filter_no{}",
        session.dialect().for_update()
    );
    let taken = session.query(&statement, values![address])?;
    if RULES_MAX <= taken.len() {
        return Err(Failed::Told(Error::Value {
            field: "filter",
            problem: format!("would be one of more than {RULES_MAX}"),
        }));
    }
    let mut number = 0;
    for row in &taken {
        number += i64::from(row.integer(0) == number);
    }
    let added = session.execute(
        "INSERT INTO vfilter (emailid, filter_no, filter_name, header_name, comparision, keyword,
             destination, bounce_action)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            address,
            number,
            &rule.name,
            rule.header,
            rule.comparison,
            &rule.keyword,
            &rule.destination,
            &rule.action
        ],
    );
    match added {
        Ok(_) => Ok(Some(number)),
        Err(Failed::Duplicate) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the rule with the number of this one; `false` when there is none.
pub fn replace(session: &mut dyn Session, address: &str, rule: &Rule) -> Result<bool, Failed> {
    let changed = session.execute(
        "UPDATE vfilter SET filter_name = ?, header_name = ?, comparision = ?, keyword = ?,
             destination = ?, bounce_action = ?
         WHERE emailid = ? AND filter_no = ?",
        values![
            &rule.name,
            rule.header,
            rule.comparison,
            &rule.keyword,
            &rule.destination,
            &rule.action,
            address,
            rule.number
        ],
    )?;
    Ok(0 < changed)
}

/// Deletes a rule; `false` when there is none.
pub fn delete(session: &mut dyn Session, address: &str, number: i64) -> Result<bool, Failed> {
    let deleted = session.execute(
        "DELETE FROM vfilter WHERE emailid = ? AND filter_no = ?",
        values![address, number],
    )?;
    Ok(0 < deleted)
}
