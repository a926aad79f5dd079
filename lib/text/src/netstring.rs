//! Netstrings: `LENGTH:BYTES,`.

/// Why bytes are not a netstring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// No digits, a leading zero, or something other than a colon after them.
    Length,
    /// The length is above the caller's limit.
    TooLong,
    /// The byte after the content is not a comma.
    Comma,
}

/// Appends `content` as a netstring.
pub fn append(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(content);
    out.push(b',');
}

/// Takes one netstring from the start of `input`: its content and how many
/// bytes it used. `Ok(None)` when more input is needed.
pub fn take(input: &[u8], bytes_max: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(digits) = input.iter().take(20).position(|b| !b.is_ascii_digit()) else {
        return if input.len() < 20 {
            Ok(None)
        } else {
            Err(Malformed::Length)
        };
    };
    if input[digits] != b':' || digits == 0 || (1 < digits && input[0] == b'0') {
        return Err(Malformed::Length);
    }
    let length: usize = std::str::from_utf8(&input[..digits])
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Malformed::TooLong)?;
    if bytes_max < length {
        return Err(Malformed::TooLong);
    }
    let (start, end) = (digits + 1, digits + 1 + length);
    match input.get(end) {
        None => Ok(None),
        Some(b',') => Ok(Some((&input[start..end], end + 1))),
        Some(_) => Err(Malformed::Comma),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_taken_again() {
        property::holds(|u| {
            let content = property::bytes(u)?;
            let mut wire = Vec::new();
            append(&mut wire, &content);
            assert_eq!(
                take(&wire, content.len()),
                Ok(Some((&content[..], wire.len())))
            );
            assert_eq!(take(&wire[..wire.len() - 1], content.len()), Ok(None));
            Ok(())
        });
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_content_arrives() {
        assert_eq!(take(b"4294967295:", 1000), Err(Malformed::TooLong));
        assert_eq!(take(b"01:a,", 1000), Err(Malformed::Length));
        assert_eq!(take(b"1:ab", 1000), Err(Malformed::Comma));
    }
}
