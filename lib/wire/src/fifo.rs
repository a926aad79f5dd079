//! Clients of other systems ↔ inlookup, over FIFOs (virtual-domains.md §10.2
//! to §10.4).
//!
//! A question is one write, an answer goes to a FIFO of the client. Numbers
//! are as this machine has them. Whoever may write to the FIFO gets hashes of
//! passwords: its mode decides, and our own programs use the socket.

/// Longest question: more is not written at once (PIPE_BUF).
pub const QUESTION_BYTES_MAX: usize = 4096;

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Does this user exist, and take mail?
    User,
    /// May this user relay from this address?
    Relay,
    /// The row of a user, hash included.
    Password,
    /// Where is this user?
    Host,
    /// Delivery lines of an alias.
    Alias,
    /// Limits.
    Limit,
    /// The real domain behind a name.
    Domain,
}

impl Kind {
    /// All, by number.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Relay,
        Self::Password,
        Self::Host,
        Self::Alias,
        Self::Limit,
        Self::Domain,
    ];

    /// By its number, from 1.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// A question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// What is asked.
    pub kind: Kind,
    /// Address, or domain.
    pub name: Vec<u8>,
    /// Path of the FIFO for the answer.
    pub reply: Vec<u8>,
    /// Address of the client, or nothing.
    pub ip: Vec<u8>,
}

/// What was read is no question.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a question")]
pub struct NotAQuestion;

impl Question {
    /// Reads what follows the length.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAQuestion> {
        let [number, 0, rest @ ..] = bytes else {
            return Err(NotAQuestion);
        };
        let kind = Kind::of(*number).ok_or(NotAQuestion)?;
        let fields: Vec<&[u8]> = rest.split(|&b| b == 0).collect();
        let [name, reply, ip, []] = fields[..] else {
            return Err(NotAQuestion);
        };
        Ok(Self {
            kind,
            name: name.to_vec(),
            reply: reply.to_vec(),
            ip: ip.to_vec(),
        })
    }

    /// The whole write, length in front; `None` when it does not fit into
    /// one, or a field has a NUL.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let mut body = vec![self.kind.number(), 0];
        for field in [&self.name, &self.reply, &self.ip] {
            if field.contains(&0) {
                return None;
            }
            body.extend(field);
            body.push(0);
        }
        let mut all = i32::try_from(body.len()).ok()?.to_ne_bytes().to_vec();
        all.extend(body);
        (all.len() <= QUESTION_BYTES_MAX).then_some(all)
    }
}

/// An answer that is a number.
pub fn number(number: i32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

/// An answer that is bytes: its length, then they.
pub fn bytes(content: &[u8]) -> Vec<u8> {
    let mut all = number(i32::try_from(content.len()).unwrap_or(-1));
    all.extend(content);
    all
}

/// A row of a user as text: eight fields (PWSTRUCT).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// `user@domain`.
    pub address: String,
    /// SCRAM secrets and crypt string; may have colons.
    pub password: String,
    /// State in a cluster.
    pub uid: i64,
    /// Flags.
    pub gid: i64,
    /// Full name.
    pub gecos: String,
    /// Home.
    pub dir: String,
    /// Quota text.
    pub quota: String,
    /// Takes no mail.
    pub is_inactive: bool,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PWSTRUCT={}:{}:{}:{}:{}:{}:{}:{}",
            self.address,
            self.password,
            self.uid,
            self.gid,
            self.gecos,
            self.dir,
            self.quota,
            u8::from(self.is_inactive)
        )
    }
}

impl Entry {
    /// Reads a row, with or without its name in front. The last six fields
    /// are found from the right: only the password may have colons.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("PWSTRUCT=").unwrap_or(text);
        let mut right = text.rsplitn(7, ':');
        let inactive = right.next()?;
        let quota = right.next()?;
        let dir = right.next()?;
        let gecos = right.next()?;
        let gid = right.next()?.parse().ok()?;
        let uid = right.next()?.parse().ok()?;
        let (address, password) = right.next()?.split_once(':')?;
        Some(Self {
            address: address.to_owned(),
            password: password.to_owned(),
            uid,
            gid,
            gecos: gecos.to_owned(),
            dir: dir.to_owned(),
            quota: quota.to_owned(),
            is_inactive: match inactive {
                "0" => false,
                "1" => true,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_were_written() {
        property::holds(|u| {
            let mut fields = [
                property::bytes(u)?,
                property::bytes(u)?,
                property::bytes(u)?,
            ];
            for field in &mut fields {
                field.retain(|b| *b != 0);
            }
            let [name, reply, ip] = fields;
            let kind = Kind::ALL[usize::from(u.arbitrary::<u8>()?) % 7];
            let question = Question {
                kind,
                name,
                reply,
                ip,
            };
            if let Some(bytes) = question.bytes() {
                assert_eq!(
                    bytes[..4],
                    i32::try_from(bytes.len() - 4).unwrap().to_ne_bytes()
                );
                assert_eq!(Question::parse(&bytes[4..]), Ok(question));
            }
            Ok(())
        });
    }

    #[test]
    fn what_is_no_question_is_refused() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            if let Ok(question) = Question::parse(&bytes) {
                assert_eq!(question.bytes().map(|all| all[4..].to_vec()), Some(bytes));
            }
            Ok(())
        });
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x00\0a\0b\0\0",
            b"\x08\0a\0b\0\0",
            b"\x01\0a\0b\0",
            b"\x01\0a\0b\0c\0d\0",
        ] {
            assert_eq!(Question::parse(bytes), Err(NotAQuestion), "{bytes:?}");
        }
    }

    #[test]
    fn a_row_is_read_whatever_its_password() {
        let entry = Entry {
            address: "joe@example.com".to_owned(),
            password: "{SCRAM-SHA-256}4096,a,b,c:00ff:clear,$6$x".to_owned(),
            uid: 1,
            gid: 0x20,
            gecos: "Joe".to_owned(),
            dir: "/home/mail/F2K/example.com/joe".to_owned(),
            quota: "5000S,10C".to_owned(),
            is_inactive: true,
        };
        assert_eq!(Entry::parse(&entry.to_string()), Some(entry));
        assert_eq!(Entry::parse("No such user joe@example.com"), None);
    }
}
