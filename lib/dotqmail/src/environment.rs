//! What a program started for a delivery finds in its environment
//! (queue-and-delivery.md §6.5), and the lines put in front of messages.

use address::Quoted;

/// What is known of one delivery.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Name of the user.
    pub user: Vec<u8>,
    /// Home directory.
    pub home: Vec<u8>,
    /// Local part of the recipient.
    pub local: Vec<u8>,
    /// Domain of the recipient.
    pub domain: Vec<u8>,
    /// Extension, in the case it was written in.
    pub ext: Vec<u8>,
    /// What `default` in the name of the instruction file stands for.
    pub default: Option<Vec<u8>>,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Sender for forwards.
    pub new_sender: Vec<u8>,
    /// Header lines put in front (QQEH).
    pub extra_headers: Vec<u8>,
    /// What the sender wants to be told, as lines of `wire::dsn`.
    pub wishes: Vec<u8>,
}

impl Facts {
    /// The recipient, `local@domain`.
    pub fn recipient(&self) -> Vec<u8> {
        [&self.local[..], b"@", &self.domain].concat()
    }

    /// `Delivered-To: local@domain` and a newline; a newline inside the
    /// address becomes `_`.
    pub fn delivered_to_line(&self) -> Vec<u8> {
        one_line(&[b"Delivered-To: ", &self.recipient()])
    }

    /// `Return-Path: <sender>` and a newline.
    pub fn return_path_line(&self) -> Vec<u8> {
        one_line(&[b"Return-Path: <", &Quoted(&self.sender).to_vec(), b">"])
    }

    /// The `From ` line of an mbox; `date` is 24 bytes without a newline.
    pub fn from_line(&self, date: &str) -> Vec<u8> {
        let mut sender: Vec<u8> = self.sender.clone();
        for byte in &mut sender {
            if matches!(byte, b' ' | b'\t' | b'\n') {
                *byte = b'-';
            }
        }
        if sender.is_empty() {
            sender = b"MAILER-DAEMON".to_vec();
        }
        [b"From ", &sender[..], b" ", date.as_bytes(), b"\n"].concat()
    }

    /// The extra header lines with their final newline; nothing when there
    /// are none.
    pub fn extra_lines(&self) -> Vec<u8> {
        let mut lines = self.extra_headers.clone();
        if !lines.is_empty() && !lines.ends_with(b"\n") {
            lines.push(b'\n');
        }
        lines
    }

    /// Names and values of the variables, in a fixed order.
    pub fn variables(&self, date: &str) -> Vec<(&'static str, Vec<u8>)> {
        let host = &self.domain[..];
        let host2 = before_last_dot(host);
        let host3 = before_last_dot(host2);
        let ext2 = after_first_dash(&self.ext);
        let ext3 = after_first_dash(ext2);
        let mut all = vec![
            ("SENDER", self.sender.clone()),
            ("NEWSENDER", self.new_sender.clone()),
            ("RECIPIENT", self.recipient()),
            ("USER", self.user.clone()),
            ("HOME", self.home.clone()),
            ("HOST", host.to_vec()),
            ("HOST2", host2.to_vec()),
            ("HOST3", host3.to_vec()),
            ("HOST4", before_last_dot(host3).to_vec()),
            ("LOCAL", self.local.clone()),
            ("EXT", self.ext.clone()),
            ("EXT2", ext2.to_vec()),
            ("EXT3", ext3.to_vec()),
            ("EXT4", after_first_dash(ext3).to_vec()),
            ("DTLINE", self.delivered_to_line()),
            ("RPLINE", self.return_path_line()),
            ("UFLINE", self.from_line(date)),
            ("QQEH", self.extra_headers.clone()),
        ];
        all.extend(self.default.iter().map(|part| ("DEFAULT", part.clone())));
        all
    }
}

fn one_line(pieces: &[&[u8]]) -> Vec<u8> {
    let mut line = pieces.concat();
    for byte in &mut line {
        if *byte == b'\n' {
            *byte = b'_';
        }
    }
    line.push(b'\n');
    line
}

fn before_last_dot(host: &[u8]) -> &[u8] {
    let dot = host.iter().rposition(|&b| b == b'.');
    &host[..dot.unwrap_or(host.len())]
}

fn after_first_dash(ext: &[u8]) -> &[u8] {
    let dash = ext.iter().position(|&b| b == b'-');
    &ext[dash.map_or(ext.len(), |at| at + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            user: b"joe".to_vec(),
            local: b"joe-a-b-c".to_vec(),
            domain: b"x.y.example.org".to_vec(),
            ext: b"A-b-c".to_vec(),
            sender: b"an n@c".to_vec(),
            ..Facts::default()
        }
    }

    #[test]
    fn host_and_ext_are_cut_piece_by_piece() {
        let all = facts().variables("DATE");
        let value = |name| &all.iter().find(|(n, _)| *n == name).unwrap().1[..];
        assert_eq!(value("HOST2"), b"x.y.example");
        assert_eq!(value("HOST4"), b"x");
        assert_eq!(value("EXT2"), b"b-c");
        assert_eq!(value("EXT4"), b"");
        assert_eq!(
            value("DTLINE"),
            b"Delivered-To: joe-a-b-c@x.y.example.org\n"
        );
        assert_eq!(value("RPLINE"), b"Return-Path: <\"an n\"@c>\n");
        assert_eq!(value("UFLINE"), b"From an-n@c DATE\n");
        assert!(all.iter().all(|(name, _)| *name != "DEFAULT"));
    }

    #[test]
    fn an_address_with_a_newline_makes_one_header_line() {
        let mut facts = facts();
        facts.local = b"a\nBcc: x".to_vec();
        facts.sender = b"a\nb@c".to_vec();
        assert_eq!(
            facts
                .delivered_to_line()
                .iter()
                .filter(|&&b| b == b'\n')
                .count(),
            1
        );
        assert_eq!(
            facts
                .return_path_line()
                .iter()
                .filter(|&&b| b == b'\n')
                .count(),
            1
        );
        assert_eq!(
            facts.from_line("D").iter().filter(|&&b| b == b'\n').count(),
            1
        );
    }
}
