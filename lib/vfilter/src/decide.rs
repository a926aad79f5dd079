//! Which rule applies to a message.

use std::fmt::Arguments;

use crate::expression;
use crate::{Comparison, Header, HeaderList, Numbering, Row, Rule, RuleError, Values};

/// Rules that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whose they are, an address.
    pub whose: &'a str,
    /// They are those of the recipient, not of the whole domain.
    pub is_own: bool,
    /// The rules.
    pub rows: &'a [Row],
}

/// What a message is compared with.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    /// The names rules have numbers of.
    pub headers: &'a HeaderList,
    /// What the comparisons mean.
    pub numbering: Numbering,
    /// Says whether an address is the recipient's.
    pub is_me: &'a dyn Fn(&str) -> bool,
}

/// The first rule, in the order of the lists and of the numbers in each, that
/// applies. `say` is told about each rule that was looked at; a rule that
/// cannot be followed does not apply.
pub fn decide(
    lists: &[Rules<'_>],
    with: Match<'_>,
    values: &Values,
    mut say: impl FnMut(Arguments<'_>),
) -> Option<Rule> {
    for list in lists {
        let mut rows: Vec<&Row> = list.rows.iter().collect();
        rows.sort_by_key(|row| row.number);
        for row in rows {
            let (number, name) = (row.number, &row.name);
            let whose = list.whose;
            match applies(row, list.is_own, with, values) {
                Ok(Some(rule)) => {
                    say(format_args!("{whose}: rule {number} ({name}) applies"));
                    return Some(rule);
                }
                Ok(None) => say(format_args!(
                    "{whose}: rule {number} ({name}) does not apply"
                )),
                Err(error) => say(format_args!(
                    "{whose}: rule {number} ({name}) is skipped: {error}"
                )),
            }
        }
    }
    None
}

fn applies(
    row: &Row,
    is_own: bool,
    with: Match<'_>,
    values: &Values,
) -> Result<Option<Rule>, RuleError> {
    let rule = Rule::parse(row, with.numbering)?;
    let applies = match rule.header {
        Header::None => is_own && !values.recipients().any(|address| (with.is_me)(address)),
        Header::Number(number) => {
            let name = with.headers.name(number);
            let name = name.ok_or(RuleError::Header(row.header))?;
            compare(&rule.comparison, values.of(name))
        }
    };
    Ok(applies.then_some(rule))
}

fn compare<'a>(comparison: &Comparison, mut values: impl Iterator<Item = &'a str>) -> bool {
    match comparison {
        Comparison::Equals(text) => values.any(|value| value == text),
        Comparison::Contains(text) => values.any(|value| value.contains(text)),
        Comparison::Lacks(text) => values.all(|value| !value.contains(text)),
        Comparison::StartsWith(text) => values.any(|value| value.starts_with(text)),
        Comparison::EndsWith(text) => values.any(|value| value.ends_with(text)),
        Comparison::Regex(regex) => values.any(|value| regex.is_match(value)),
        Comparison::Expression(expression) => values
            .filter_map(number)
            .any(|number| 0.0 < expression.of(number)),
        // It has no header field.
        Comparison::NotToMe => false,
    }
}

/// The number a value begins with.
fn number(value: &str) -> Option<f64> {
    let value = value.trim_start();
    let (sign, digits) = match value.split_at_checked(1) {
        Some(("-", rest)) => (-1.0, rest),
        Some(("+", rest)) => (1.0, rest),
        _ => (1.0, value),
    };
    expression::number(digits).map(|(number, _)| sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reader;

    const MESSAGE: &str = "From: Spammer <x@Spam.example>\nTo: list@example.org\n\
        Subject: SPAM offer\nX-Spam-Rating: -2.5 of 10\nX-Spam-Rating: 7\n\nbody\n";

    fn row(number: i64, header: &str, comparison: i64, keyword: &str) -> Row {
        let headers = HeaderList::default();
        Row {
            number,
            name: format!("r{number}"),
            header: headers
                .number(header)
                .map_or(-1, |number| i64::try_from(number).unwrap()),
            comparison,
            keyword: keyword.to_owned(),
            destination: "Junk".to_owned(),
            action: "0".to_owned(),
        }
    }

    fn first(rows: &[Row], is_own: bool) -> (Option<i64>, Vec<String>) {
        let headers = HeaderList::default();
        let mut reader = Reader::new(&headers);
        reader.push(MESSAGE.as_bytes());
        let mut said = Vec::new();
        let list = Rules {
            whose: "joe@example.com",
            is_own,
            rows,
        };
        let with = Match {
            headers: &headers,
            numbering: Numbering::Current,
            is_me: &|address| address == "joe@example.com",
        };
        let rule = decide(&[list], with, &reader.finish(), |line| {
            said.push(line.to_string());
        });
        (rule.map(|rule| rule.number), said)
    }

    fn does(header: &str, comparison: i64, keyword: &str) -> bool {
        first(&[row(1, header, comparison, keyword)], true)
            .0
            .is_some()
    }

    #[test]
    fn each_comparison() {
        assert!(does("From", 0, "X@spam.example") && !does("From", 0, "spam.example"));
        assert!(does("Subject", 1, "Spam") && !does("Subject", 1, "ham"));
        assert!(does("Subject", 2, "ham") && !does("Subject", 2, "offer"));
        assert!(does("X-Mailer", 2, "bat"), "a field that is not there");
        assert!(does("Subject", 3, "spam") && !does("Subject", 3, "offer"));
        assert!(does("From", 4, ".EXAMPLE") && !does("From", 4, "x@"));
        assert!(does("X-Spam-Rating", 6, "%p > 5") && does("X-Spam-Rating", 6, "%p < -2"));
        assert!(!does("X-Spam-Rating", 6, "%p > 8") && !does("Subject", 6, "1"));
        assert!(does("Subject", 7, r"^SPAM\s\S+$") && !does("Subject", 7, "^offer"));
    }

    #[test]
    fn not_to_me_is_for_rules_of_ones_own() {
        let rows = [row(1, "", 5, "")];
        assert_eq!(first(&rows, true).0, Some(1));
        assert_eq!(first(&rows, false).0, None);
    }

    #[test]
    fn the_lowest_number_wins_and_broken_rules_are_skipped() {
        let rows = [
            row(9, "Subject", 1, "spam"),
            row(2, "Subject", 7, "("),
            row(3, "Subject", 1, "ham"),
            Row {
                header: 1000,
                ..row(4, "", 0, "x")
            },
        ];
        let (rule, said) = first(&rows, true);
        assert_eq!(rule, Some(9));
        assert_eq!(said.len(), 4);
        assert!(said[0].contains("rule 2 (r2) is skipped: regular expression"));
        assert_eq!(said[1], "joe@example.com: rule 3 (r3) does not apply");
        assert_eq!(
            said[2],
            "joe@example.com: rule 4 (r4) is skipped: 1000 is no header field"
        );
        assert_eq!(said[3], "joe@example.com: rule 9 (r9) applies");
    }
}
