//! What is on descriptor 3.

/// What shows who it is.
#[derive(Debug, Eq, PartialEq)]
pub enum Proof<'a> {
    /// The password.
    Password(&'a [u8]),
    /// CRAM-MD5 (RFC 2195).
    CramMd5 {
        /// What we said.
        challenge: &'a [u8],
        /// What the client makes of it.
        digest: &'a [u8],
    },
}

/// Who wants in, and how.
#[derive(Debug, Eq, PartialEq)]
pub struct Attempt<'a> {
    /// As the client wrote it.
    pub login: &'a [u8],
    /// How it is proved.
    pub proof: Proof<'a>,
}

/// The bytes are none of this.
#[derive(Debug, Eq, PartialEq)]
pub struct Malformed;

/// Numbers of methods (virtual-domains.md §5.5).
mod method {
    pub const LOGIN: u8 = 1;
    pub const PLAIN: u8 = 2;
    pub const CRAM_MD5: u8 = 3;
}

impl<'a> Attempt<'a> {
    /// Reads three fields and perhaps the number of a method; `None` when it
    /// is one we do not check.
    pub fn parse(input: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut fields = input.splitn(4, |&b| b == 0);
        let mut field = || fields.next().ok_or(Malformed);
        let (login, second, third) = (field()?, field()?, field()?);
        // Without the last NUL there is no fourth part at all.
        let rest = field()?;
        let number = match rest {
            [] if third.is_empty() => method::PLAIN,
            [] => method::CRAM_MD5,
            [number] | [number, 0] => *number,
            _ => return Err(Malformed),
        };
        if login.is_empty() {
            return Err(Malformed);
        }
        let proof = match number {
            method::LOGIN | method::PLAIN => Proof::Password(second),
            method::CRAM_MD5 => Proof::CramMd5 {
                challenge: second,
                digest: third,
            },
            _ => return Ok(None),
        };
        Ok(Some(Self { login, proof }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_interface_is_read() {
        let plain = Some(Attempt {
            login: b"joe@x",
            proof: Proof::Password(b"secret"),
        });
        for input in [
            &b"joe@x\0secret\0\0"[..],
            b"joe@x\0secret\0\0\x01\0",
            b"joe@x\0secret\0\0\x02",
        ] {
            assert_eq!(
                Attempt::parse(input),
                Ok(Attempt::parse(b"joe@x\0secret\0\0").unwrap())
            );
            assert_eq!(Attempt::parse(input).unwrap(), plain);
        }
        let cram = Attempt::parse(b"joe@x\0<1@y>\0abcd\0").unwrap().unwrap();
        assert_eq!(
            cram.proof,
            Proof::CramMd5 {
                challenge: b"<1@y>",
                digest: b"abcd"
            }
        );
        assert_eq!(Attempt::parse(b"joe@x\0a\0b\0\x0c\0"), Ok(None));
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        for input in [
            &b""[..],
            b"joe",
            b"joe\0x",
            b"joe\0x\0y",
            b"\0x\0\0",
            b"j\0x\0\0\x01\0z",
        ] {
            assert_eq!(Attempt::parse(input), Err(Malformed), "{input:?}");
        }
    }
}
