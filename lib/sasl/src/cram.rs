//! The arithmetic of CRAM-MD5 (RFC 2195).

use hmac::{Hmac, Mac};
use md5::Md5;
use subtle::ConstantTimeEq;

/// The digest of a challenge under a secret, in lower-case hexadecimal.
pub fn digest(secret: &[u8], challenge: &[u8]) -> String {
    let mut mac = Hmac::<Md5>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(challenge);
    hex(&mac.finalize().into_bytes())
}

/// Says whether a client's digest is the right one, in a time that does not
/// depend on where it differs.
pub fn verify(secret: &[u8], challenge: &[u8], claimed: &[u8]) -> bool {
    let right = digest(secret, challenge);
    right.as_bytes().ct_eq(&claimed.to_ascii_lowercase()).into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let right = "b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(digest(b"tanstaaftanstaaf", challenge), right);
        assert!(verify(b"tanstaaftanstaaf", challenge, right.as_bytes()));
        assert!(!verify(b"tanstaaftanstaaf", challenge, b""));
        assert!(!verify(b"other", challenge, right.as_bytes()));
    }
}
