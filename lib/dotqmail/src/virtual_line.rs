//! The program line that every virtual domain has, recognised so that it can
//! be carried out without starting a program.

/// A program that delivers to virtual users.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VirtualProgram {
    /// vdelivermail.
    Deliver,
    /// vfilter: as vdelivermail, but first come the rules.
    Filter,
}

/// For a command that is exactly `/DIRECTORY/vdelivermail '' WORD` (or
/// vfilter): the program and the word, which says what to do with mail for
/// unknown users.
///
/// Everything a shell could see differently is `None`, and then a shell sees
/// it: the word must be plain characters, or anything without a quote between
/// single quotes.
pub fn virtual_line(command: &[u8]) -> Option<(VirtualProgram, &[u8])> {
    let command = command.trim_ascii();
    let (program, rest) = command.split_at(command.iter().position(|&b| b == b' ')?);
    let slash = program.iter().rposition(|&b| b == b'/')?;
    let program = match &program[slash + 1..] {
        _ if !program.iter().copied().all(is_plain) => return None,
        b"vdelivermail" => VirtualProgram::Deliver,
        b"vfilter" => VirtualProgram::Filter,
        _ => return None,
    };
    let word = rest.trim_ascii_start().strip_prefix(b"''")?;
    let word = word.strip_prefix(b" ")?.trim_ascii();
    let default = match word {
        [b'\'', inner @ .., b'\''] => (!inner.contains(&b'\'')).then_some(inner),
        [] => None,
        word => word.iter().copied().all(is_plain).then_some(word),
    };
    Some((program, default?))
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
        assert_eq!(
            virtual_line(line),
            Some((VirtualProgram::Deliver, &b"bounce-no-mailbox"[..]))
        );
        assert_eq!(
            virtual_line(b"/a/vfilter '' 'a b@c'"),
            Some((VirtualProgram::Filter, &b"a b@c"[..]))
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
            assert_eq!(virtual_line(line), None, "{}", line.escape_ascii());
        }
    }
}
