//! The lines of a `.qmail` file (queue-and-delivery.md §6.4).

/// What one line asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Instruction<'a> {
    /// A comment, or a `+` line without meaning.
    Nothing,
    /// An empty line: an error when it is the first.
    Blank,
    /// Run this with `/bin/sh -c`.
    Program(&'a [u8]),
    /// `%dir`: programs below find what this directory says in their
    /// environment.
    Variables(&'a [u8]),
    /// `?label command`: go on below the line `:label` when the command, if
    /// there is one, exits 99.
    Jump {
        /// Where to.
        label: &'a [u8],
        /// Whether, `None` for always.
        command: Option<&'a [u8]>,
    },
    /// `:label`: where jumps lead.
    Label(&'a [u8]),
    /// Append to this mbox.
    Mbox(&'a [u8]),
    /// Deliver to this maildir; the path ends in a slash.
    Maildir(&'a [u8]),
    /// Forward to this address.
    Forward(&'a [u8]),
    /// `+list`: from here on nothing but forwards is allowed.
    ForwardsOnly,
}

/// Reads the lines from top to bottom. A missing final newline does not
/// matter, nor do blanks at the end of a line.
pub fn instructions(content: &[u8]) -> impl Iterator<Item = Instruction<'_>> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    // Even an empty text has a first line for `split`; it is blank, as the
    // caller must have replaced an empty file by the default instructions.
    content.split(|&b| b == b'\n').map(instruction)
}

fn instruction(line: &[u8]) -> Instruction<'_> {
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t'));
    let line = &line[..end.map_or(0, |last| last + 1)];
    match line {
        [] => Instruction::Blank,
        [b'#', ..] => Instruction::Nothing,
        [b'|', command @ ..] => Instruction::Program(command),
        [b'%', directory @ ..] => Instruction::Variables(directory),
        [b':', label @ ..] => Instruction::Label(label),
        [b'?', jump @ ..] => self::jump(jump),
        [b'/' | b'.', .., b'/'] | [b'/'] => Instruction::Maildir(line),
        [b'/' | b'.', ..] => Instruction::Mbox(line),
        b"+list" => Instruction::ForwardsOnly,
        [b'+', ..] => Instruction::Nothing,
        [b'&', address @ ..] => Instruction::Forward(address),
        address => Instruction::Forward(address),
    }
}

fn jump(text: &[u8]) -> Instruction<'_> {
    let blank = text.iter().position(|b| matches!(b, b' ' | b'\t'));
    let (label, command) = text.split_at(blank.unwrap_or(text.len()));
    let command = command.trim_ascii_start();
    Instruction::Jump {
        label,
        command: (!command.is_empty()).then_some(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line() {
        let text =
            b"# comment\n| prog a \t\n./Mailbox\n/a/b/\n&ann@example.org\nbob\n+list\n+x\n\n./M/";
        let expected = [
            Instruction::Nothing,
            Instruction::Program(b" prog a"),
            Instruction::Mbox(b"./Mailbox"),
            Instruction::Maildir(b"/a/b/"),
            Instruction::Forward(b"ann@example.org"),
            Instruction::Forward(b"bob"),
            Instruction::ForwardsOnly,
            Instruction::Nothing,
            Instruction::Blank,
            Instruction::Maildir(b"./M/"),
        ];
        assert!(instructions(text).eq(expected));
    }

    #[test]
    fn jumps_have_a_label_and_perhaps_a_command() {
        let jump = |label, command| Instruction::Jump { label, command };
        let expected = [
            Instruction::Variables(b"./env"),
            jump(b"end", Some(b"test -f x")),
            jump(b"end", None),
            jump(b"", None),
            Instruction::Label(b"end"),
            Instruction::Label(b""),
        ];
        let text = b"%./env\n?end  test -f x \n?end \n?\n:end \n:";
        assert!(instructions(text).eq(expected));
    }

    #[test]
    fn a_final_newline_does_not_matter() {
        property::holds(|u| {
            let mut text = property::bytes(u)?;
            if text.ends_with(b"\n") {
                return Ok(());
            }
            let without: Vec<Instruction<'_>> = instructions(&text).collect();
            let count = without.len();
            text.push(b'\n');
            assert_eq!(instructions(&text).count(), count);
            Ok(())
        });
    }

    #[test]
    fn a_dot_is_an_mbox_and_not_a_maildir() {
        assert!(instructions(b".").eq([Instruction::Mbox(b".")]));
        assert!(instructions(b"./").eq([Instruction::Maildir(b"./")]));
    }
}
