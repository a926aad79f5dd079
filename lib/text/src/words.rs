//! Command lines in settings, split without a shell (smtp-receiving.md §5.1).

/// A quote is open at the end, or there is no word at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the command is empty or has an open quote")]
pub struct Malformed;

/// The words of a command: divided by blanks; `"..."` and `'...'` keep them
/// together; a word `$NAME` stands for the value of a variable, which is one
/// word whatever it says.
pub fn split(
    command: &[u8],
    variable: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut words = Vec::new();
    let mut rest = command.trim_ascii_start();
    while let Some(&first) = rest.first() {
        let (word, tail) = match first {
            b'"' | b'\'' => {
                let end = memchr::memchr(first, &rest[1..]).ok_or(Malformed)? + 1;
                (&rest[1..end], &rest[end + 1..])
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace);
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        words.push(match word.strip_prefix(b"$") {
            Some(name) => std::str::from_utf8(name)
                .ok()
                .and_then(&variable)
                .unwrap_or_default(),
            None => word.to_vec(),
        });
        rest = tail.trim_ascii_start();
    }
    match words.is_empty() {
        true => Err(Malformed),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Result<Vec<String>, Malformed> {
        let variable = |name: &str| (name == "NAME").then(|| b"a b; rm".to_vec());
        let words = split(command.as_bytes(), variable)?;
        Ok(words
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap())
            .collect())
    }

    #[test]
    fn no_shell_sees_a_command() {
        assert_eq!(
            words(" bin/x 'one two'  $NAME \"$NAME\" $OTHER `id` ").unwrap(),
            ["bin/x", "one two", "a b; rm", "a b; rm", "", "`id`"]
        );
        assert_eq!(words("  "), Err(Malformed));
        assert_eq!(words("x 'open"), Err(Malformed));
    }

    #[test]
    fn any_bytes_are_split_or_refused() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            if let Ok(words) = split(&bytes, |_| None) {
                let total: usize = words.iter().map(Vec::len).sum();
                assert!(!words.is_empty() && total <= bytes.len());
            }
            Ok(())
        });
    }
}
