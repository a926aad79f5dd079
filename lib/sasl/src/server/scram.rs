//! The messages of SCRAM as the server reads and writes them (RFC 5802 §7).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{USER_BYTES_MAX, is_name};

/// Longest nonce a client may choose.
const NONCE_BYTES_MAX: usize = 256;

/// The client's first message, read.
#[derive(Debug)]
pub(super) struct First {
    pub(super) user: Vec<u8>,
    /// The GS2 header, to be repeated in the final message.
    header: Vec<u8>,
    bare: Vec<u8>,
    /// The client's nonce followed by ours.
    nonce: Vec<u8>,
}

/// The exchange after our first message.
#[derive(Debug)]
pub(super) struct Second {
    user: Vec<u8>,
    header: Vec<u8>,
    nonce: Vec<u8>,
    /// client-first-bare "," server-first ",".
    auth_message: Vec<u8>,
}

impl First {
    /// Reads `n,,n=user,r=nonce`. Channel binding (`p=`) is never offered, so
    /// a client that demands it is wrong here; `y` is fine for the same
    /// reason. An authorization identity must be absent or the user itself.
    pub(super) fn parse(message: &[u8], server_nonce: &str) -> Option<Self> {
        let mut commas = (0..message.len()).filter(|&at| message[at] == b',');
        let (first, second) = (commas.next()?, commas.next()?);
        let (header, bare) = (&message[..=second], &message[second + 1..]);
        if !matches!(message[..first], [b'n'] | [b'y']) {
            return None;
        }
        let mut fields = bare.split(|&b| b == b',');
        let user = unescape(fields.next()?.strip_prefix(b"n=")?)?;
        let nonce = fields.next()?.strip_prefix(b"r=")?;
        let printable = nonce.iter().all(u8::is_ascii_graphic);
        if !(1..=NONCE_BYTES_MAX).contains(&nonce.len()) || !printable {
            return None;
        }
        match &message[first + 1..second] {
            [] => {}
            authzid if unescape(authzid.strip_prefix(b"a=")?)? == user => {}
            _ => return None,
        }
        Some(Self {
            user,
            header: header.to_vec(),
            bare: bare.to_vec(),
            nonce: [nonce, server_nonce.as_bytes()].concat(),
        })
    }

    /// Our first message, and what follows it.
    pub(super) fn parameters(self, salt: &[u8], iterations: u32) -> (Second, Vec<u8>) {
        let mut challenge = [b"r=", &self.nonce[..]].concat();
        let rest = format!(",s={},i={iterations}", STANDARD.encode(salt));
        challenge.extend_from_slice(rest.as_bytes());
        let second = Second {
            user: self.user,
            header: self.header,
            nonce: self.nonce,
            auth_message: [&self.bare[..], b",", &challenge, b","].concat(),
        };
        (second, challenge)
    }
}

impl Second {
    /// Reads `c=biws,r=nonce,p=proof`: user, AuthMessage and proof.
    pub(super) fn proof(self, message: &[u8]) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let at = message.windows(3).rposition(|three| three == b",p=")?;
        let (without_proof, proof) = (&message[..at], &message[at + 3..]);
        let mut fields = without_proof.split(|&b| b == b',');
        let header = STANDARD.decode(fields.next()?.strip_prefix(b"c=")?).ok()?;
        let nonce = fields.next()?.strip_prefix(b"r=")?;
        if header != self.header || nonce != self.nonce {
            return None;
        }
        let proof = STANDARD.decode(proof).ok()?;
        if proof.len() != crate::scram::KEY_BYTES {
            return None;
        }
        let auth_message = [&self.auth_message[..], without_proof].concat();
        Some((self.user, auth_message, proof))
    }
}

/// The server's final message.
pub(super) fn signature(signature: &[u8]) -> Vec<u8> {
    format!("v={}", STANDARD.encode(signature)).into_bytes()
}

/// RFC 5802 §5.1: `=2C` is a comma, `=3D` an equals sign, no other `=`.
fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        if USER_BYTES_MAX < out.len() {
            return None;
        }
        rest = tail;
        if byte != b'=' {
            out.push(byte);
            continue;
        }
        out.push(match tail.get(..2)? {
            b"2C" => b',',
            b"3D" => b'=',
            _ => return None,
        });
        rest = &tail[2..];
    }
    is_name(&out).then_some(out)
}
