//! The answer to CAPA (RFC 2449).

use sasl::Mechanism;

/// What a session can do at this moment.
pub(crate) struct Capabilities<'a> {
    pub(crate) mechanisms: &'a [Mechanism],
    pub(crate) user: bool,
    pub(crate) stls: bool,
}

impl Capabilities<'_> {
    /// The whole reply.
    pub(crate) fn reply(&self) -> Vec<u8> {
        let mut lines = vec![
            "+OK Capability list follows".to_owned(),
            "TOP".to_owned(),
            "UIDL".to_owned(),
            "PIPELINING".to_owned(),
            "RESP-CODES".to_owned(),
            "AUTH-RESP-CODE".to_owned(),
            "EXPIRE NEVER".to_owned(),
            "UTF8 USER".to_owned(),
        ];
        if self.user {
            lines.push("USER".to_owned());
        }
        if self.stls {
            lines.push("STLS".to_owned());
        }
        if !self.mechanisms.is_empty() {
            let names: Vec<&str> = self.mechanisms.iter().map(|m| m.name()).collect();
            lines.push(format!("SASL {}", names.join(" ")));
        }
        lines.push("IMPLEMENTATION IndiMail".to_owned());
        lines.push(".".to_owned());
        let mut reply = lines.join("\r\n").into_bytes();
        reply.extend_from_slice(b"\r\n");
        reply
    }
}
