//! A rule, as it is kept in the table `vfilter` and as it is meant.

use regex::{Regex, RegexBuilder};

use crate::{Expression, ExpressionError};

/// Most memory a regular expression may take when it is compiled.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A row of the table, but for whose it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Row {
    /// `filter_no`; rules are tried in this order.
    pub number: i64,
    /// `filter_name`.
    pub name: String,
    /// `header_name`: a number in the list of header fields, or -1.
    pub header: i64,
    /// `comparision`.
    pub comparison: i64,
    /// `keyword`.
    pub keyword: String,
    /// `destination`.
    pub destination: String,
    /// `bounce_action`.
    pub action: String,
}

/// Which numbers comparisons have. They changed without a mark in the data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Numbering {
    /// Since release 3.4.5 of September 2023.
    #[default]
    Current,
    /// Before it: 5 is "the sender is not in the address book", and what
    /// follows is one more.
    Older,
}

impl Numbering {
    /// What the setting says.
    pub fn of_setting(text: Option<&[u8]>) -> Self {
        match text {
            Some(b"old") => Self::Older,
            _ => Self::Current,
        }
    }
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its number.
    pub number: i64,
    /// What its owner calls it.
    pub name: String,
    /// The field it looks at.
    pub header: Header,
    /// What it looks for.
    pub comparison: Comparison,
    /// Where mail goes.
    pub folder: Folder,
    /// What else happens.
    pub action: Action,
}

/// The field a rule looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// None: it looks at who the message is for.
    None,
    /// The field with this number.
    Number(usize),
}

/// What a rule looks for; texts are in lower case.
#[derive(Clone, Debug)]
pub enum Comparison {
    /// One of the values is this.
    Equals(String),
    /// One of the values has this in it.
    Contains(String),
    /// None of the values has this in it.
    Lacks(String),
    /// One of the values begins with this.
    StartsWith(String),
    /// One of the values ends with this.
    EndsWith(String),
    /// The recipient is in none of To, Cc and Bcc.
    NotToMe,
    /// The expression is more than 0 for one of the values.
    Expression(Expression),
    /// One of the values matches.
    Regex(Regex),
}

/// Where mail goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Folder {
    /// To the mailbox, as without a rule.
    Inbox,
    /// To this folder.
    Named(String),
    /// Nowhere.
    Nowhere,
}

/// What else happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing.
    None,
    /// The message is rejected.
    Bounce,
    /// It goes on to `&ADDRESS` or `|PROGRAM`.
    Forward(String),
    /// Both.
    ForwardAndBounce(String),
}

/// Why a rule cannot be followed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// Nothing has this number.
    #[error("{0} is no comparison")]
    Comparison(i64),
    /// Address books are not kept here.
    #[error("there is no address book to look the sender up in")]
    AddressBook,
    /// A field it needs is not named.
    #[error("{0} is no header field")]
    Header(i64),
    /// Such a thing cannot be done.
    #[error("{0:?} is no action")]
    Action(String),
    /// The expression is none.
    #[error("expression: {0}")]
    Expression(#[from] ExpressionError),
    /// The regular expression is none.
    #[error("regular expression: {0}")]
    Regex(String),
}

impl Rule {
    /// What a row means.
    pub fn parse(row: &Row, numbering: Numbering) -> Result<Self, RuleError> {
        let comparison = Comparison::parse(row.comparison, &row.keyword, numbering)?;
        let header = match (&comparison, usize::try_from(row.header)) {
            (Comparison::NotToMe, _) => Header::None,
            (_, Ok(number)) => Header::Number(number),
            (_, Err(_)) => return Err(RuleError::Header(row.header)),
        };
        Ok(Self {
            number: row.number,
            name: row.name.clone(),
            header,
            comparison,
            folder: Folder::parse(&row.destination),
            action: Action::parse(&row.action)?,
        })
    }
}

impl Comparison {
    fn parse(code: i64, keyword: &str, numbering: Numbering) -> Result<Self, RuleError> {
        let code = match (numbering, code) {
            (Numbering::Older, 5) => return Err(RuleError::AddressBook),
            (Numbering::Older, 6..) => code - 1,
            _ => code,
        };
        let text = || keyword.to_lowercase();
        Ok(match code {
            0 => Self::Equals(text()),
            1 => Self::Contains(text()),
            2 => Self::Lacks(text()),
            3 => Self::StartsWith(text()),
            4 => Self::EndsWith(text()),
            5 => Self::NotToMe,
            6 => Self::Expression(Expression::parse(keyword)?),
            7 => {
                let mut builder = RegexBuilder::new(keyword);
                let regex = builder.case_insensitive(true).size_limit(REGEX_BYTES_MAX);
                let regex = regex.build();
                Self::Regex(regex.map_err(|error| RuleError::Regex(error.to_string()))?)
            }
            _ => return Err(RuleError::Comparison(code)),
        })
    }
}

impl Folder {
    fn parse(destination: &str) -> Self {
        match destination {
            "/NoDeliver" => Self::Nowhere,
            name if name.is_empty() || name.eq_ignore_ascii_case("inbox") => Self::Inbox,
            name => Self::Named(name.to_owned()),
        }
    }
}

impl Action {
    fn parse(action: &str) -> Result<Self, RuleError> {
        let no_action = || RuleError::Action(action.to_owned());
        let target = |target: &str| match target.trim() {
            "" | "&" | "|" => Err(no_action()),
            target => Ok(target.to_owned()),
        };
        Ok(match action.as_bytes() {
            b"" | b"0" => Self::None,
            b"1" => Self::Bounce,
            [b'2', ..] => Self::Forward(target(&action[1..])?),
            [b'3', ..] => Self::ForwardAndBounce(target(&action[1..])?),
            _ => return Err(no_action()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(comparison: i64, keyword: &str) -> Row {
        Row {
            comparison,
            keyword: keyword.to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn older_data_have_other_numbers() {
        let parse = |code, numbering| Rule::parse(&row(code, "1 < 2"), numbering);
        assert!(matches!(
            parse(6, Numbering::Older).unwrap().comparison,
            Comparison::NotToMe
        ));
        assert!(matches!(
            parse(7, Numbering::Older).unwrap().comparison,
            Comparison::Expression(_)
        ));
        assert!(matches!(
            parse(8, Numbering::Older).unwrap().comparison,
            Comparison::Regex(_)
        ));
        assert_eq!(
            parse(5, Numbering::Older).unwrap_err(),
            RuleError::AddressBook
        );
        assert_eq!(
            parse(8, Numbering::Current).unwrap_err(),
            RuleError::Comparison(8)
        );
        assert!(matches!(
            parse(4, Numbering::Older).unwrap().comparison,
            Comparison::EndsWith(_)
        ));
    }

    #[test]
    fn destinations_and_actions() {
        assert_eq!(Folder::parse("INBOX"), Folder::Inbox);
        assert_eq!(Folder::parse("Junk"), Folder::Named("Junk".to_owned()));
        assert_eq!(Folder::parse("/NoDeliver"), Folder::Nowhere);
        assert_eq!(Action::parse("0"), Ok(Action::None));
        assert_eq!(
            Action::parse("2&a@b"),
            Ok(Action::Forward("&a@b".to_owned()))
        );
        assert_eq!(
            Action::parse("3|/bin/x y"),
            Ok(Action::ForwardAndBounce("|/bin/x y".to_owned()))
        );
        for bad in ["4", "2", "2&", "x", "1&a@b", "é"] {
            assert!(Action::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_no_rule() {
        let parse = |code, keyword| Rule::parse(&row(code, keyword), Numbering::Current);
        assert!(matches!(parse(7, "("), Err(RuleError::Regex(_))));
        assert!(matches!(parse(6, "1 +"), Err(RuleError::Expression(_))));
        assert!(matches!(parse(-1, ""), Err(RuleError::Comparison(-1))));
        let header = Row {
            header: -1,
            ..row(0, "x")
        };
        assert_eq!(
            Rule::parse(&header, Numbering::Current).unwrap_err(),
            RuleError::Header(-1)
        );
    }
}
