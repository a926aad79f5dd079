//! The grammar of RFC 3501 §9 and its extensions, from a complete command.
//!
//! A literal stands in the command as it came: `{5}`, a line end, five bytes.
//! Everything is parsed once, from left to right, without backtracking over
//! more than a word, so time is linear in the length of the command.

mod fetch;
mod folders;
mod search;
mod words;

use crate::command::{Append, Command, Numbering, Transfer};
use crate::date;
use crate::flags::{Change, Flags};
use crate::folder::NameError;
use crate::{command, command::Access};

/// Longest tag.
pub const TAG_BYTES_MAX: usize = 128;
/// Deepest parentheses in SEARCH.
pub const SEARCH_DEPTH_MAX: usize = 32;

/// Why a command is no command; the text goes to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// The grammar expects something else.
    #[error("{0}")]
    Syntax(&'static str),
    /// SEARCH in a character set other than US-ASCII and UTF-8.
    #[error("character set is not supported")]
    Charset,
}

type Parsed<T> = Result<T, ParseError>;

const fn syntax<T>(text: &'static str) -> Parsed<T> {
    Err(ParseError::Syntax(text))
}

/// Splits the tag off a command: `None` when there is no proper one.
pub fn tag(line: &[u8]) -> Option<(String, &[u8])> {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let tag = &line[..end];
    let fine = !tag.is_empty()
        && tag.len() <= TAG_BYTES_MAX
        && tag.iter().all(|&b| is_astring_byte(b) && b != b'+');
    fine.then(|| {
        let rest = line.get(end + 1..).unwrap_or_default();
        (tag.iter().copied().map(char::from).collect(), rest)
    })
}

/// Parses what follows the tag, line end removed.
pub fn command(text: &[u8]) -> Parsed<Command> {
    let mut parser = Parser { input: text, at: 0 };
    let command = parser.command()?;
    if parser.at < text.len() {
        return syntax("too much after the command");
    }
    Ok(command)
}

/// Parses an APPEND as far as the literal of the message, the `{` excluded.
/// `None` when the command is not APPEND or not yet at its message.
pub fn append(text: &[u8]) -> Option<Parsed<Result<Append, NameError>>> {
    let mut parser = Parser { input: text, at: 0 };
    if !parser.word_is("APPEND") {
        return None;
    }
    match parser.append_prefix() {
        // A literal that is the name of the folder, cut off before its bytes.
        Err(_) if parser.at == text.len() => None,
        Ok(_) if parser.at < text.len() => Some(syntax("APPEND takes one message")),
        parsed => Some(parsed),
    }
}

/// Says whether a byte may stand in an atom.
pub(crate) fn is_atom_byte(b: u8) -> bool {
    matches!(b, 0x21..=0x7e) && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

fn is_astring_byte(b: u8) -> bool {
    is_atom_byte(b) || b == b']'
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn command(&mut self) -> Parsed<Command> {
        let name = self.atom()?.to_ascii_uppercase();
        match name.as_slice() {
            b"UID" => {
                self.space()?;
                let name = self.atom()?.to_ascii_uppercase();
                self.message_command(&name, Numbering::Uid)
            }
            b"CAPABILITY" => Ok(Command::Capability),
            b"NOOP" => Ok(Command::Noop),
            b"LOGOUT" => Ok(Command::Logout),
            b"STARTTLS" => Ok(Command::StartTls),
            b"NAMESPACE" => Ok(Command::Namespace),
            b"CHECK" => Ok(Command::Check),
            b"CLOSE" => Ok(Command::Close),
            b"UNSELECT" => Ok(Command::Unselect),
            b"EXPUNGE" => Ok(Command::Expunge(None)),
            b"IDLE" => Ok(Command::Idle),
            b"LOGIN" => {
                self.space()?;
                let user = self.astring()?;
                self.space()?;
                let password = self.astring()?;
                Ok(Command::Login { user, password })
            }
            b"AUTHENTICATE" => self.authenticate(),
            b"ENABLE" => {
                let mut names = Vec::new();
                while self.next_is(b' ') {
                    self.space()?;
                    names.push(self.upper_atom()?);
                }
                Ok(Command::Enable(names))
            }
            b"ID" => self.id(),
            _ => match self.folder_command(&name)? {
                Some(command) => Ok(command),
                None => self.message_command(&name, Numbering::Sequence),
            },
        }
    }

    fn authenticate(&mut self) -> Parsed<Command> {
        self.space()?;
        let mechanism = self.upper_atom()?;
        let initial = if self.next_is(b' ') {
            self.space()?;
            Some(self.take_while(|b| b != b' ').to_vec())
        } else {
            None
        };
        Ok(Command::Authenticate { mechanism, initial })
    }

    /// ID: what the client says about itself is checked and forgotten.
    fn id(&mut self) -> Parsed<Command> {
        self.space()?;
        if self.word_is("NIL") {
            return Ok(Command::Id);
        }
        self.byte(b'(')?;
        while !self.next_is(b')') {
            // Some clients write `( "name" "x" )`.
            if self.next_is(b' ') {
                self.space()?;
            } else {
                self.nstring()?;
            }
        }
        self.byte(b')')?;
        Ok(Command::Id)
    }

    fn message_command(&mut self, name: &[u8], numbering: Numbering) -> Parsed<Command> {
        self.space()?;
        match name {
            b"SEARCH" => Ok(Command::Search(numbering, self.search()?)),
            b"SORT" => self.sort(numbering),
            b"THREAD" => self.thread(numbering),
            b"FETCH" => {
                let set = self.set()?;
                self.space()?;
                Ok(Command::Fetch(numbering, set, self.fetch_items()?))
            }
            b"STORE" => self.store(numbering),
            b"COPY" | b"MOVE" => {
                let set = self.set()?;
                self.space()?;
                let transfer = match name {
                    b"COPY" => Transfer::Copy,
                    _ => Transfer::Move,
                };
                Ok(match self.folder()? {
                    Ok(folder) => Command::Copy(numbering, set, folder, transfer),
                    Err(_) => Command::BadName("[TRYCREATE] no such folder"),
                })
            }
            b"EXPUNGE" if numbering == Numbering::Uid => Ok(Command::Expunge(Some(self.set()?))),
            _ => syntax("unknown command"),
        }
    }

    fn store(&mut self, numbering: Numbering) -> Parsed<Command> {
        let set = self.set()?;
        self.space()?;
        let change = match self.peek() {
            Some(b'+') => Change::Add,
            Some(b'-') => Change::Remove,
            _ => Change::Replace,
        };
        if change != Change::Replace {
            self.at += 1;
        }
        let echo = match self.upper_atom()?.as_str() {
            "FLAGS" => command::Echo::Flags,
            "FLAGS.SILENT" => command::Echo::Silent,
            _ => return syntax("STORE knows FLAGS and FLAGS.SILENT only"),
        };
        self.space()?;
        let flags = self.flags()?;
        Ok(Command::Store {
            numbering,
            set,
            change,
            echo,
            flags,
        })
    }

    fn append_prefix(&mut self) -> Parsed<Result<Append, NameError>> {
        self.space()?;
        let folder = self.folder()?;
        self.space()?;
        let mut flags = Flags::default();
        if self.next_is(b'(') {
            flags = self.flags()?;
            self.space()?;
        }
        let mut date = None;
        if self.next_is(b'"') {
            let text = self.quoted()?;
            date = date::parse_date_time(&text);
            if date.is_none() {
                return syntax("APPEND with a date that is none");
            }
            self.space()?;
        }
        let utf8 = self.word_is("UTF8");
        if utf8 {
            self.space()?;
            self.byte(b'(')?;
            self.byte(b'~')?;
        }
        Ok(folder.map(|folder| Append {
            folder,
            flags,
            date,
            utf8,
        }))
    }

    /// Flags in parentheses or, for STORE, without. `\Recent` and flags we
    /// cannot keep are passed over, as clients send back what they were told.
    fn flags(&mut self) -> Parsed<Flags> {
        let listed = self.next_is(b'(');
        if listed {
            self.at += 1;
        }
        let mut flags = Flags::default();
        while !matches!(self.peek(), None | Some(b')')) {
            let start = self.at;
            if self.next_is(b'\\') {
                self.at += 1;
            }
            self.atom()?;
            flags.add_name(&self.input[start..self.at]);
            if self.next_is(b' ') {
                self.at += 1;
            } else {
                break;
            }
        }
        if listed {
            self.byte(b')')?;
        }
        Ok(flags)
    }
}

/// SELECT or EXAMINE.
fn access(name: &[u8]) -> Access {
    match name {
        b"SELECT" => Access::ReadWrite,
        _ => Access::ReadOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Item, Key};

    #[test]
    fn strings_have_three_forms() {
        let login = |user: &[u8], password: &[u8]| Command::Login {
            user: user.to_vec(),
            password: password.to_vec(),
        };
        assert_eq!(command(b"login ann secret"), Ok(login(b"ann", b"secret")));
        assert_eq!(
            command(br#"LOGIN "a\"n\\n" {6+}"#.as_slice()),
            syntax("unexpected character")
        );
        assert_eq!(
            command(b"LOGIN \"a\\\"n\\\\n\" {6}\r\nse cr\xe9"),
            Ok(login(b"a\"n\\n", b"se cr\xe9"))
        );
        assert!(command(b"LOGIN ann {9}\r\nshort").is_err());
        assert!(command(b"LOGIN ann {99999999999999999999}\r\nx").is_err());
        assert!(command(b"LOGIN \"ann").is_err());
    }

    #[test]
    fn append_is_recognised_at_its_message() {
        let prefix = append(b"append \"Sent\" (\\Seen) \"17-Jul-1996 02:44:25 -0700\" ");
        let parsed = prefix.unwrap().unwrap().unwrap();
        assert_eq!(parsed.folder.as_str(), "Sent");
        assert_eq!(parsed.flags.print(false), "(\\Seen)");
        assert_eq!(parsed.date, Some(837_596_665));
        assert_eq!(append(b"APPEND "), None);
        assert!(append(b"APPEND {4}\r\nSent ").unwrap().is_ok());
        assert!(
            append(b"APPEND Sent UTF8 (~")
                .unwrap()
                .unwrap()
                .unwrap()
                .utf8
        );
        assert!(append(b"APPEND ../x ").unwrap().unwrap().is_err());
        assert!(append(b"APPEND Sent {1}\r\nx ").unwrap().is_err());
        assert_eq!(append(b"SEARCH "), None);
    }

    #[test]
    fn deep_or_unclosed_parentheses_are_an_error() {
        let deep = [b"SEARCH ".as_slice(), &b"(".repeat(100_000)].concat();
        assert!(command(&deep).is_err());
        let not = [b"SEARCH ".as_slice(), &b"NOT ".repeat(100_000), b"ALL"].concat();
        assert!(command(&not).is_err());
        for text in [
            "FETCH 1 (FLAGS",
            "FETCH 1 (",
            "SEARCH (",
            "FETCH 1 BODY[",
            "LIST (\"\"",
        ] {
            assert!(command(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_clients_send_is_understood() {
        for text in [
            "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM)])",
            "UID FETCH 1:* (FLAGS)",
            "UID SEARCH RETURN (MIN MAX) CHARSET UTF-8 OR FROM \"a\" (NOT SEEN SUBJECT {3+}\r\nabc)",
            "UID SEARCH RETURN () ALL",
            "LIST \"\" \"*\" RETURN (SPECIAL-USE SUBSCRIBED STATUS (MESSAGES UNSEEN))",
            "LIST (SUBSCRIBED) \"\" (\"INBOX\" \"Sent*\")",
            "LSUB \"\" %",
            "SELECT INBOX (CONDSTORE)",
            "STATUS \"Sent Messages\" (UIDNEXT MESSAGES UNSEEN RECENT UIDVALIDITY)",
            "STORE 1 +FLAGS.SILENT (\\Deleted)",
            "STORE 1 +FLAGS \\Deleted",
            "UID STORE 1,2 FLAGS ()",
            "UID EXPUNGE 1:3",
            "UID MOVE 1 Trash",
            "ID (\"name\" \"Thunderbird\" \"version\" NIL)",
            "ID ( \"name\" \"x\" )",
            "ID NIL",
            "ENABLE CONDSTORE UTF8=ACCEPT",
            "AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=",
            "CREATE Sent (USE (\\Sent))",
            "UID SORT (REVERSE DATE) UTF-8 ALL",
            "THREAD REFERENCES UTF-8 ALL",
            "GETQUOTAROOT INBOX",
        ] {
            assert!(
                command(text.as_bytes()).is_ok(),
                "{text}: {:?}",
                command(text.as_bytes())
            );
        }
        let Ok(Command::Fetch(_, _, items)) = command(b"FETCH 1 FAST") else {
            panic!("a macro");
        };
        assert_eq!(items, [Item::Flags, Item::InternalDate, Item::Size]);
        let Ok(Command::Search(_, search)) = command(b"SEARCH UNSEEN 1:2") else {
            panic!("a search");
        };
        assert!(matches!(search.key, Key::And(keys) if keys.len() == 2));
    }

    #[test]
    fn any_bytes_end_in_a_command_or_an_error() {
        property::holds(|u| {
            let words = [
                "FETCH", "SEARCH", "(", ")", " ", "1:*", "BODY[", "]", "OR", "NOT", "{3}\r\n",
                "\"", "UID", "LIST", "STATUS", "<0.5>", "HEADER", "STORE", "\\Seen", "RETURN",
            ];
            let mut text = Vec::new();
            for _ in 0..u.int_in_range(0..=20u8)? {
                if u.ratio(1, 5)? {
                    text.extend(u.arbitrary::<[u8; 3]>()?);
                } else {
                    text.extend(u.choose(&words)?.as_bytes());
                }
            }
            let _ = command(&text);
            let _ = append(&text);
            Ok(())
        });
    }
}
