//! The program line that every virtual domain has, recognised so that it can
//! be carried out without starting a program.

/// Programs that deliver to virtual users.
const PROGRAMS: [&[u8]; 2] = [b"vdelivermail", b"vfilter"];

/// For a command that is exactly `/DIRECTORY/vdelivermail '' WORD` (or
/// vfilter): the word, which says what to do with mail for unknown users.
///
/// Everything a shell could see differently is `None`, and then a shell sees
/// it: the word must be plain characters, or anything without a quote between
/// single quotes.
pub fn virtual_default(command: &[u8]) -> Option<&[u8]> {
    let command = command.trim_ascii();
    let (program, rest) = command.split_at(command.iter().position(|&b| b == b' ')?);
    let slash = program.iter().rposition(|&b| b == b'/')?;
    if !program.iter().copied().all(is_plain) || !PROGRAMS.contains(&&program[slash + 1..]) {
        return None;
    }
    let word = rest.trim_ascii_start().strip_prefix(b"''")?;
    let word = word.strip_prefix(b" ")?.trim_ascii();
    match word {
        [b'\'', inner @ .., b'\''] => (!inner.contains(&b'\'')).then_some(inner),
        [] => None,
        word => word.iter().copied().all(is_plain).then_some(word),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_new_domain() {
        let line = b" /var/indimail/sbin/vdelivermail '' bounce-no-mailbox";
        assert_eq!(virtual_default(line), Some(&b"bounce-no-mailbox"[..]));
        assert_eq!(
            virtual_default(b"/a/vfilter '' 'a b@c'"),
            Some(&b"a b@c"[..])
        );
    }

    #[test]
    fn what_only_a_shell_understands_is_left_to_a_shell() {
        for line in [
            &b"/a/vdelivermail '' $X"[..],
            b"/a/vdelivermail '' a; rm -rf /",
            b"/a/vdelivermail '' a b",
            b"/a/vdelivermail ''x a",
            b"vdelivermail '' a",
            b"/a/vdelivermail ''",
            b"/a/xvdelivermail '' a",
            b"/a/$(x)/vdelivermail '' a",
            b"/a/vdelivermail '' 'a'b'",
            b"",
        ] {
            assert_eq!(virtual_default(line), None, "{}", line.escape_ascii());
        }
    }
}
