//! SEARCH, SORT and THREAD.

use super::{ParseError, Parsed, Parser, SEARCH_DEPTH_MAX, syntax};
use crate::command::{
    Command, Key, Numbering, Order, Search, SearchReturn, SortKey, Threading, When,
};
use crate::date::Day;
use crate::flags::SystemFlag;

/// Most keys in one SEARCH: each costs time for every message.
const KEYS_MAX: usize = 512;

impl Parser<'_> {
    pub(super) fn search(&mut self) -> Parsed<Search> {
        let mut returns = None;
        if self.word_is("RETURN") {
            self.space()?;
            let mut wanted = self.list(|parser| {
                Ok(match parser.upper_atom()?.as_str() {
                    "MIN" => SearchReturn::Min,
                    "MAX" => SearchReturn::Max,
                    "ALL" => SearchReturn::All,
                    "COUNT" => SearchReturn::Count,
                    _ => return syntax("unknown SEARCH return option"),
                })
            })?;
            if wanted.is_empty() {
                // RFC 4731 §3.1: an empty list means ALL.
                wanted.push(SearchReturn::All);
            }
            returns = Some(wanted);
            self.space()?;
        }
        if self.word_is("CHARSET") {
            self.space()?;
            self.charset()?;
            self.space()?;
        }
        Ok(Search {
            returns,
            key: self.keys()?,
        })
    }

    pub(super) fn sort(&mut self, numbering: Numbering) -> Parsed<Command> {
        self.byte(b'(')?;
        let mut criteria = Vec::new();
        while !self.next_is(b')') {
            let mut order = Order::Ascending;
            if self.word_is("REVERSE") {
                order = Order::Descending;
                self.space()?;
            }
            criteria.push((self.sort_key()?, order));
            if self.next_is(b' ') {
                self.space()?;
            }
        }
        self.byte(b')')?;
        if criteria.is_empty() || 16 < criteria.len() {
            return syntax("SORT needs some criteria, but not that many");
        }
        self.space()?;
        self.charset()?;
        self.space()?;
        let key = self.keys()?;
        Ok(Command::Sort(
            numbering,
            criteria,
            Search { returns: None, key },
        ))
    }

    pub(super) fn thread(&mut self, numbering: Numbering) -> Parsed<Command> {
        let threading = match self.upper_atom()?.as_str() {
            "ORDEREDSUBJECT" => Threading::OrderedSubject,
            "REFERENCES" => Threading::References,
            _ => return syntax("unknown THREAD algorithm"),
        };
        self.space()?;
        self.charset()?;
        self.space()?;
        let key = self.keys()?;
        Ok(Command::Thread(
            numbering,
            threading,
            Search { returns: None, key },
        ))
    }

    fn sort_key(&mut self) -> Parsed<SortKey> {
        Ok(match self.upper_atom()?.as_str() {
            "ARRIVAL" => SortKey::Arrival,
            "CC" => SortKey::Cc,
            "DATE" => SortKey::Date,
            "FROM" => SortKey::From,
            "SIZE" => SortKey::Size,
            "SUBJECT" => SortKey::Subject,
            "TO" => SortKey::To,
            _ => return syntax("unknown SORT criterion"),
        })
    }

    fn charset(&mut self) -> Parsed<()> {
        let charset = self.astring()?.to_ascii_uppercase();
        match charset.as_slice() {
            b"UTF-8" | b"US-ASCII" => Ok(()),
            _ => Err(ParseError::Charset),
        }
    }

    fn keys(&mut self) -> Parsed<Key> {
        let mut left = KEYS_MAX;
        let key = self.key_list(0, &mut left)?;
        Ok(key)
    }

    fn key_list(&mut self, depth: usize, left: &mut usize) -> Parsed<Key> {
        let mut keys = vec![self.key(depth, left)?];
        while self.next_is(b' ') {
            self.space()?;
            keys.push(self.key(depth, left)?);
        }
        Ok(match keys.len() {
            1 => keys.remove(0),
            _ => Key::And(keys),
        })
    }

    fn key(&mut self, depth: usize, left: &mut usize) -> Parsed<Key> {
        if depth == SEARCH_DEPTH_MAX || *left == 0 {
            return syntax("search is too complicated");
        }
        *left -= 1;
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                let key = self.key_list(depth + 1, left)?;
                self.byte(b')')?;
                return Ok(key);
            }
            Some(b'0'..=b'9' | b'*') => return self.set().map(Key::Sequence),
            _ => {}
        }
        let name = self.upper_atom()?;
        match name.as_str() {
            "NOT" => {
                self.space()?;
                Ok(not(self.key(depth + 1, left)?))
            }
            "OR" => {
                self.space()?;
                let one = self.key(depth + 1, left)?;
                self.space()?;
                let other = self.key(depth + 1, left)?;
                Ok(Key::Or(Box::new(one), Box::new(other)))
            }
            name => match flag_key(name) {
                Some(key) => Ok(key),
                None => {
                    self.space()?;
                    self.key_with_value(name)
                }
            },
        }
    }

    fn key_with_value(&mut self, name: &str) -> Parsed<Key> {
        Ok(match name {
            "UID" => Key::Uid(self.set()?),
            "KEYWORD" => Key::Keyword(self.keyword()?),
            "UNKEYWORD" => not(Key::Keyword(self.keyword()?)),
            "BEFORE" => Key::Internal(When::Before, self.day()?),
            "ON" => Key::Internal(When::On, self.day()?),
            "SINCE" => Key::Internal(When::Since, self.day()?),
            "SENTBEFORE" => Key::Sent(When::Before, self.day()?),
            "SENTON" => Key::Sent(When::On, self.day()?),
            "SENTSINCE" => Key::Sent(When::Since, self.day()?),
            "LARGER" => Key::Larger(self.number()?),
            "SMALLER" => Key::Smaller(self.number()?),
            "YOUNGER" => Key::Younger(self.number()?),
            "OLDER" => Key::Older(self.number()?),
            "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
                Key::Header(name.as_bytes().to_vec(), self.needle()?)
            }
            "HEADER" => {
                let field = self.astring()?;
                self.space()?;
                Key::Header(field, self.needle()?)
            }
            "BODY" => Key::Body(self.needle()?),
            "TEXT" => Key::Text(self.needle()?),
            _ => return syntax("unknown search key"),
        })
    }

    fn keyword(&mut self) -> Parsed<String> {
        Ok(self.atom()?.iter().copied().map(char::from).collect())
    }

    fn day(&mut self) -> Parsed<Day> {
        Day::parse(&self.astring()?).ok_or(ParseError::Syntax("expected a date"))
    }

    /// The text to look for, made comparable.
    fn needle(&mut self) -> Parsed<String> {
        let text = self.astring()?;
        Ok(crate::search::fold(&String::from_utf8_lossy(&text)))
    }
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

fn flag_key(name: &str) -> Option<Key> {
    Some(match name {
        "ALL" => Key::All,
        "ANSWERED" => Key::Flag(SystemFlag::Answered),
        "DELETED" => Key::Flag(SystemFlag::Deleted),
        "DRAFT" => Key::Flag(SystemFlag::Draft),
        "FLAGGED" => Key::Flag(SystemFlag::Flagged),
        "SEEN" => Key::Flag(SystemFlag::Seen),
        "UNANSWERED" => not(Key::Flag(SystemFlag::Answered)),
        "UNDELETED" => not(Key::Flag(SystemFlag::Deleted)),
        "UNDRAFT" => not(Key::Flag(SystemFlag::Draft)),
        "UNFLAGGED" => not(Key::Flag(SystemFlag::Flagged)),
        "UNSEEN" => not(Key::Flag(SystemFlag::Seen)),
        "RECENT" => Key::Recent,
        "NEW" => Key::And(vec![Key::Recent, not(Key::Flag(SystemFlag::Seen))]),
        "OLD" => not(Key::Recent),
        _ => return None,
    })
}
