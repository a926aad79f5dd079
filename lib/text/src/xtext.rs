//! xtext: how parameters of SMTP carry bytes that may not stand in a command
//! (RFC 3461 §4).

/// Writes bytes so that neither a blank, a `=`, a control byte nor anything
/// beyond ASCII is left.
pub fn encode(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if is_plain(byte) {
            out.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
            out.extend_from_slice(&[b'+', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

/// Reads xtext; `None` when it is not. RFC 3461 wants hexadecimal digits in
/// upper case; both are understood.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                out.push(nibble(digits[0])? << 4 | nibble(digits[1])?);
                rest = tail;
            }
            byte if is_plain(byte) => out.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'+' && byte != b'='
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_and_stands_in_a_command() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            let text = encode(&bytes);
            assert!(text.iter().all(|&b| b.is_ascii_graphic() && b != b'='));
            assert_eq!(decode(&text), Some(bytes));
            Ok(())
        });
    }

    #[test]
    fn what_is_read_is_written_as_something_that_reads_the_same() {
        property::holds(|u| {
            let text = property::bytes(u)?;
            if let Some(bytes) = decode(&text) {
                assert_eq!(decode(&encode(&bytes)), Some(bytes));
            }
            Ok(())
        });
    }

    #[test]
    fn half_an_escape_is_none() {
        assert_eq!(encode(b"a+b=c d"), b"a+2Bb+3Dc+20d");
        assert_eq!(decode(b"a+2bb"), Some(b"a+b".to_vec()));
        for bad in [&b"+"[..], b"+2", b"+2G", b"a=b", b"a b", b"\xff", b"a\n"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
