//! The envelope as a caller of qmail-queue(8) sends it, read in bounded
//! memory: `F` sender NUL, `T` recipient NUL for each, NUL.

use std::io::{BufRead, ErrorKind, Read};

use address::ADDRESS_BYTES_MAX;

use crate::Error;

/// Reads records one by one.
#[derive(Debug)]
pub struct Envelope<R> {
    input: R,
    record: Vec<u8>,
}

impl<R: BufRead> Envelope<R> {
    /// Reads from here.
    pub fn new(input: R) -> Self {
        Self {
            input,
            record: Vec::new(),
        }
    }

    /// The sender: the first record.
    pub fn sender(&mut self) -> Result<Vec<u8>, Error> {
        match self.next()? {
            [b'F', sender @ ..] => Ok(sender.to_vec()),
            _ => Err(Error::Envelope),
        }
    }

    /// The next recipient; `None` at the end of the list.
    pub fn recipient(&mut self) -> Result<Option<&[u8]>, Error> {
        match self.next()? {
            [b'T', recipient @ ..] => Ok(Some(recipient)),
            [] => Ok(None),
            _ => Err(Error::Envelope),
        }
    }

    /// A record without its NUL. When the input ends first, the caller has
    /// given up.
    fn next(&mut self) -> Result<&[u8], Error> {
        // The type byte, the address and its NUL.
        const RECORD_BYTES_MAX: u64 = ADDRESS_BYTES_MAX as u64 + 2;
        let read = |source| Error::Read {
            what: "envelope",
            source,
        };
        self.record.clear();
        let mut limited = self.input.by_ref().take(RECORD_BYTES_MAX);
        limited.read_until(0, &mut self.record).map_err(read)?;
        match self.record.pop() {
            Some(0) => Ok(&self.record),
            Some(_) if limited.limit() == 0 => Err(Error::AddressTooLong),
            _ => Err(read(ErrorKind::UnexpectedEof.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), u8> {
        let mut envelope = Envelope::new(input);
        let mut all = || {
            let sender = envelope.sender()?;
            let mut recipients = Vec::new();
            while let Some(recipient) = envelope.recipient()? {
                recipients.push(recipient.to_vec());
            }
            Ok((sender, recipients))
        };
        all().map_err(|error: Error| error.exit_code())
    }

    #[test]
    fn an_envelope_is_f_then_ts_then_an_empty_record() {
        let (sender, recipients) = read(b"Fa@x\0Tb@y\0Tc@z\0\0ignored").unwrap();
        assert_eq!((&sender[..], recipients.len()), (&b"a@x"[..], 2));
        assert_eq!(read(b"F\0\0"), Ok((Vec::new(), Vec::new())));
        assert_eq!(read(b"Tb@y\0\0"), Err(79));
        assert_eq!(read(b"Fa@x\0Xb\0\0"), Err(79));
    }

    #[test]
    fn a_caller_that_gives_up_queues_nothing() {
        for cut in 0..b"Fa@x\0Tb@y\0\0".len() {
            assert_eq!(read(&b"Fa@x\0Tb@y\0\0"[..cut]), Err(54));
        }
    }

    #[test]
    fn an_address_has_at_most_1002_bytes() {
        let envelope = |length| [b"F", &vec![b'a'; length][..], b"\0\0"].concat();
        assert!(read(&envelope(1002)).is_ok());
        assert_eq!(read(&envelope(1003)), Err(11));
        assert_eq!(read(&[b'F'; 5000]), Err(11));
    }
}
