//! Commands about folders.

use super::{Parsed, Parser, access, is_atom_byte, syntax};
use crate::command::{Command, List, StatusItem};
use crate::folder::FolderName;

/// Most patterns in one LIST.
const PATTERNS_MAX: usize = 64;

const NO_SUCH: &str = "[NONEXISTENT] no such folder";

impl Parser<'_> {
    /// A folder command by name, `None` when the name is another's.
    pub(super) fn folder_command(&mut self, name: &[u8]) -> Parsed<Option<Command>> {
        let one = |parser: &mut Self, make: fn(FolderName) -> Command, bad: &'static str| {
            parser.space()?;
            Ok(parser.folder()?.map_or(Command::BadName(bad), make))
        };
        let command: Parsed<Command> = match name {
            b"SELECT" | b"EXAMINE" => self.select(name),
            b"CREATE" => self.create(),
            b"DELETE" => one(self, Command::Delete, NO_SUCH),
            b"SUBSCRIBE" => one(self, Command::Subscribe, NO_SUCH),
            b"UNSUBSCRIBE" => one(self, Command::Unsubscribe, NO_SUCH),
            b"GETQUOTAROOT" => one(self, Command::GetQuotaRoot, NO_SUCH),
            b"GETQUOTA" => {
                self.space()?;
                self.astring().map(Command::GetQuota)
            }
            b"RENAME" => self.rename(),
            b"STATUS" => self.status(),
            b"LIST" => self.list_command().map(Command::List),
            b"LSUB" => self.lsub().map(Command::List),
            b"APPEND" => syntax("APPEND needs its message as a literal"),
            _ => return Ok(None),
        };
        command.map(Some)
    }

    fn select(&mut self, name: &[u8]) -> Parsed<Command> {
        self.space()?;
        let folder = self.folder()?;
        if self.next_is(b' ') {
            // CONDSTORE and the like: parameters we do not have change nothing.
            self.space()?;
            self.list(Self::upper_atom)?;
        }
        Ok(folder.map_or(Command::BadName(NO_SUCH), |folder| {
            Command::Select(folder, access(name))
        }))
    }

    fn create(&mut self) -> Parsed<Command> {
        self.space()?;
        let mut text = self.astring()?;
        // RFC 3501 §6.3.3: a final separator says that children will follow.
        if text.last() == Some(&crate::folder::SEPARATOR) {
            text.pop();
        }
        if self.next_is(b' ') {
            self.space()?;
            self.byte(b'(')?;
            if !self.word_is("USE") {
                return syntax("CREATE knows USE only");
            }
            self.space()?;
            self.list(|parser| {
                parser.byte(b'\\')?;
                parser.upper_atom()
            })?;
            self.byte(b')')?;
        }
        let bad = Command::BadName("[CANNOT] no folder can have this name");
        Ok(FolderName::parse(&text).map_or(bad, Command::Create))
    }

    fn rename(&mut self) -> Parsed<Command> {
        self.space()?;
        let from = self.folder()?;
        self.space()?;
        let to = self.folder()?;
        Ok(match (from, to) {
            (Ok(from), Ok(to)) => Command::Rename(from, to),
            (Err(_), _) => Command::BadName(NO_SUCH),
            (_, Err(_)) => Command::BadName("[CANNOT] no folder can have this name"),
        })
    }

    fn status(&mut self) -> Parsed<Command> {
        self.space()?;
        let folder = self.folder()?;
        self.space()?;
        let items = self.list(Self::status_item)?;
        Ok(folder.map_or(Command::BadName(NO_SUCH), |folder| {
            Command::Status(folder, items)
        }))
    }

    fn status_item(&mut self) -> Parsed<StatusItem> {
        Ok(match self.upper_atom()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "SIZE" => StatusItem::Size,
            "DELETED" => StatusItem::Deleted,
            _ => return syntax("unknown STATUS item"),
        })
    }

    fn lsub(&mut self) -> Parsed<List> {
        self.space()?;
        let reference = self.astring()?;
        self.space()?;
        let pattern = self.pattern()?;
        Ok(List {
            lsub: true,
            only_subscribed: true,
            reference,
            patterns: vec![pattern],
            ..List::default()
        })
    }

    fn list_command(&mut self) -> Parsed<List> {
        let mut list = List::default();
        self.space()?;
        if self.next_is(b'(') {
            for option in self.list(Self::upper_atom)? {
                match option.as_str() {
                    "SUBSCRIBED" => list.only_subscribed = true,
                    "RECURSIVEMATCH" => list.recursive_match = true,
                    "SPECIAL-USE" => list.only_special = true,
                    "REMOTE" => {}
                    _ => return syntax("unknown LIST selection option"),
                }
            }
            if list.recursive_match && !list.only_subscribed && !list.only_special {
                // RFC 5258 §3: by itself it says nothing.
                return syntax("RECURSIVEMATCH needs another selection option");
            }
            list.extended = true;
            self.space()?;
        }
        list.return_subscribed = list.only_subscribed;
        list.reference = self.astring()?;
        self.space()?;
        list.patterns = if self.next_is(b'(') {
            list.extended = true;
            self.list(Self::pattern)?
        } else {
            vec![self.pattern()?]
        };
        if PATTERNS_MAX < list.patterns.len() {
            return syntax("too many patterns");
        }
        if self.next_is(b' ') {
            self.space()?;
            if !self.word_is("RETURN") {
                return syntax("expected RETURN");
            }
            list.extended = true;
            self.space()?;
            self.list_returns(&mut list)?;
        }
        Ok(list)
    }

    fn list_returns(&mut self, list: &mut List) -> Parsed<()> {
        self.byte(b'(')?;
        while !self.next_is(b')') {
            match self.upper_atom()?.as_str() {
                "SUBSCRIBED" => list.return_subscribed = true,
                // Both are part of every answer.
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    self.space()?;
                    list.return_status = self.list(Self::status_item)?;
                }
                _ => return syntax("unknown LIST return option"),
            }
            if self.next_is(b' ') {
                self.space()?;
            }
        }
        self.byte(b')')
    }

    fn pattern(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => match self.take_while(|b| is_atom_byte(b) || matches!(b, b']' | b'%' | b'*')) {
                [] => syntax("expected a pattern"),
                text => Ok(text.to_vec()),
            },
        }
    }
}
