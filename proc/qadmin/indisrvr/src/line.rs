//! A line of the dialogue: `INDEX command arg1 arg2 …`.

use wire::admin::NUMBERED;

/// A command.
#[derive(Debug, Eq, PartialEq)]
pub struct Command {
    /// Its name.
    pub program: &'static str,
    /// What comes after it.
    pub arguments: Vec<String>,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mismatch {
    /// No number we know, or not that of the command.
    Index,
    /// A quote is open, or it is no text.
    Malformed,
}

impl Command {
    /// Reads a line without its end. No shell ever sees it: quotes only keep
    /// words together.
    pub fn parse(line: &[u8]) -> Result<Self, Mismatch> {
        let words = split(line).ok_or(Mismatch::Malformed)?;
        let mut words = words.into_iter();
        let index = words.next().ok_or(Mismatch::Malformed)?;
        let called = words.next().ok_or(Mismatch::Index)?;
        let number: usize = index.parse().map_err(|_| Mismatch::Index)?;
        let program = *NUMBERED.get(number).ok_or(Mismatch::Index)?;
        if called.rsplit('/').next() != Some(program) {
            return Err(Mismatch::Index);
        }
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }
}

/// Words between blanks; `'...'`, `"..."` and a backslash before a character
/// keep blanks, and what has them may be a part of a word.
fn split(line: &[u8]) -> Option<Vec<String>> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, blank) if blank.is_ascii_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(&'static str, Vec<String>), Mismatch> {
        Command::parse(line.as_bytes()).map(|command| (command.program, command.arguments))
    }

    #[test]
    fn a_command_has_its_number() {
        let (program, arguments) = parse("0 vadduser joe@a.example 'two words' \"\"").unwrap();
        assert_eq!(program, "vadduser");
        assert_eq!(arguments, ["joe@a.example", "two words", ""]);
        assert_eq!(parse("7 /usr/bin/vuserinfo x\\ y").unwrap().1, ["x y"]);
        for wrong in [
            "1 vadduser x",
            "-1 vadduser x",
            "44 x",
            "0",
            "x vadduser",
            "0 sh -c id",
        ] {
            assert_eq!(parse(wrong), Err(Mismatch::Index), "{wrong}");
        }
    }

    #[test]
    fn no_shell_sees_a_line() {
        let (_, arguments) = parse("0 vadduser `id` $(id) $HOME ;id |id >x").unwrap();
        assert_eq!(arguments, ["`id`", "$(id)", "$HOME", ";id", "|id", ">x"]);
        for wrong in ["0 vadduser 'x", "0 vadduser \"x", "0 vadduser x\\", ""] {
            assert_eq!(parse(wrong), Err(Mismatch::Malformed), "{wrong}");
        }
        assert_eq!(Command::parse(b"0 vadduser \xff"), Err(Mismatch::Malformed));
    }
}
