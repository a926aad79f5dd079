//! Network daemons ↔ inlookup, which alone reads the user database.
//!
//! One connection carries questions one after the other, each answered before
//! the next. No reply contains a password, a hash or a SCRAM key: whoever
//! parses the network learns verdicts only. Deliveries, which run as the
//! owner of the mail, may ask for rows and set marks, too; nobody else may.
//! (The guide's FIFO form of virtual-domains.md §10.2 stands beside this
//! socket.)

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 3;

/// For what a user logs in; decides which account flags forbid it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Service {
    /// SMTP submission.
    Smtp,
    /// IMAP4rev1.
    Imap,
    /// POP3.
    Pop3,
}

/// A question.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// Does this mailbox exist, and may it take mail? (USER)
    Recipient {
        /// `user@domain`.
        #[serde(with = "serde_bytes")]
        address: Vec<u8>,
    },
    /// Which mechanisms can any user log in with? Decides what is offered.
    Mechanisms,
    /// A password in the clear: LOGIN, PLAIN, IMAP LOGIN, POP3 PASS.
    Password {
        /// For what.
        service: Service,
        /// As the client wrote it; without a domain the default one is added.
        #[serde(with = "serde_bytes")]
        user: Vec<u8>,
        /// As the client wrote it.
        #[serde(with = "serde_bytes")]
        password: Vec<u8>,
        /// Address of the client, for the log and `lastauth`.
        remote_ip: String,
    },
    /// CRAM-MD5 (RFC 2195).
    CramMd5 {
        /// For what.
        service: Service,
        /// User name of the response.
        #[serde(with = "serde_bytes")]
        user: Vec<u8>,
        /// The challenge we sent, angle brackets included.
        #[serde(with = "serde_bytes")]
        challenge: Vec<u8>,
        /// Lower-case hexadecimal digest.
        #[serde(with = "serde_bytes")]
        digest: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// First half of SCRAM-SHA-256 (RFC 5802, RFC 7677): the public
    /// parameters. Unknown users get stable false ones.
    ScramParameters {
        /// User name of the first message.
        #[serde(with = "serde_bytes")]
        user: Vec<u8>,
    },
    /// Second half of SCRAM-SHA-256.
    ScramProof {
        /// For what.
        service: Service,
        /// User name of the first message.
        #[serde(with = "serde_bytes")]
        user: Vec<u8>,
        /// The AuthMessage of RFC 5802 §3.
        #[serde(with = "serde_bytes")]
        auth_message: Vec<u8>,
        /// ClientProof, 32 bytes.
        #[serde(with = "serde_bytes")]
        proof: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// The row of a user of a real domain, for its delivery.
    User {
        /// Local part.
        local: String,
        /// Real domain.
        domain: String,
    },
    /// The delivery lines of an alias.
    Aliases {
        /// Local part.
        local: String,
        /// Real domain.
        domain: String,
    },
    /// The filter rules of a name.
    Filters {
        /// Local part, or one of the names of a domain's rules.
        local: String,
        /// Real domain.
        domain: String,
    },
    /// Marks a mailbox over quota, or takes the mark away.
    OverQuota {
        /// Local part.
        local: String,
        /// Real domain.
        domain: String,
        /// Bytes in use; `None` clears the mark.
        usage: Option<u64>,
    },
    /// Notes that mail was delivered to a group.
    Delivered {
        /// Local part.
        local: String,
        /// Real domain.
        domain: String,
    },
    /// Whose wrong passwords are too many to be checked further? Only
    /// operators may ask this and the next.
    Blocks,
    /// Forget the wrong passwords of a user or an address.
    Forgive {
        /// As [`Block::name`].
        name: String,
    },
    /// Is this an administrator (virtual-domains.md §15.1)? Only admind may
    /// ask this and the next.
    Administrator {
        /// Its name.
        user: String,
        /// Its password.
        #[serde(with = "serde_bytes")]
        password: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// Whose token is this?
    AdministratorToken {
        /// The token.
        #[serde(with = "serde_bytes")]
        token: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// Has this user just read mail from this address?
    Relay {
        /// Envelope sender.
        #[serde(with = "serde_bytes")]
        sender: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
}

/// An answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Reply {
    /// To `Recipient`.
    Recipient(Mailbox),
    /// To `Mechanisms`.
    Mechanisms {
        /// Some user has a secret for CRAM-MD5.
        cram_md5: bool,
        /// Users have SCRAM-SHA-256 secrets.
        scram_sha_256: bool,
    },
    /// To `Password`, `CramMd5` and `ScramProof`.
    Login(Login),
    /// To `ScramParameters`.
    ScramParameters {
        /// Raw salt.
        #[serde(with = "serde_bytes")]
        salt: Vec<u8>,
        /// Iteration count.
        iterations: u32,
    },
    /// The question could not be answered now; the text is for the log.
    Temporary(String),
    /// To `User`: the row, if there is one.
    User(Option<Box<User>>),
    /// To `Aliases`: oldest first, none when there is no alias.
    Aliases(Vec<String>),
    /// To `Filters`, in their order.
    Filters(Vec<Filter>),
    /// To `OverQuota` and `Delivered`.
    Done,
    /// To `Blocks`.
    Blocks(Vec<Block>),
    /// To `Forgive`: how many blocks that was.
    Forgiven(usize),
    /// To `Relay`.
    Relay(bool),
    /// To `Administrator` and `AdministratorToken`.
    Administrator(Administrator),
}

/// The verdict on an administrator.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Administrator {
    /// It is who it says.
    Granted {
        /// Its name.
        name: String,
        /// What it may run.
        rights: Rights,
    },
    /// Shut out, by somebody or by too many wrong passwords today.
    Disabled,
    /// Wrong name, password or token; never says which.
    Refused,
}

/// What an administrator may run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Rights {
    /// Everything that can be run from afar.
    All,
    /// These programs, each with `*` or a pattern for its arguments.
    Some(Vec<(String, String)>),
}

/// A user or an address whose passwords are not checked for a while.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Block {
    /// `user@domain`, an address, or an IPv6 network.
    pub name: String,
    /// Wrong passwords that were counted.
    pub failures: u32,
    /// For how long.
    pub seconds_left: u64,
}

/// A filter rule as the database has it (virtual-domains.md §8.3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Filter {
    /// Its number.
    pub number: i64,
    /// What its owner calls it.
    pub name: String,
    /// Number of a header field, or -1.
    pub header: i64,
    /// Number of a comparison.
    pub comparison: i64,
    /// What is looked for.
    pub keyword: String,
    /// Folder.
    pub destination: String,
    /// What else happens.
    pub action: String,
}

/// What a delivery has to know of a user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// Local part, lower case.
    pub name: String,
    /// Real domain, lower case.
    pub domain: String,
    /// Account flags (virtual-domains.md §5.1).
    pub gid_flags: u32,
    /// Full name; that of a group begins with `MailGroup`.
    pub gecos: String,
    /// Home directory.
    pub dir: String,
    /// Quota text.
    pub quota: String,
    /// Takes mail.
    pub active: bool,
}

/// The state of a mailbox (virtual-domains.md §10.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Mailbox {
    /// Exists and takes mail (0).
    Fine,
    /// Does not exist (1).
    Absent,
    /// Is inactive (2).
    Inactive,
    /// Is over quota (3).
    OverQuota,
    /// Is an alias (4).
    Alias,
    /// The domain is not one of our virtual domains; ask somebody else.
    NotVirtual,
}

/// The verdict on a login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Login {
    /// The user is who they say, and may use the service.
    Granted(Account),
    /// Wrong user or password; never says which.
    Refused,
    /// Right password, but the account may not use this service; the text is
    /// for the user.
    Forbidden(String),
}

/// Who logged in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// Real `user@domain`, lower case.
    pub address: String,
    /// The Maildir, absolute.
    pub maildir: String,
    /// Quota text (virtual-domains.md §5.3), like `10000000S,1000C`.
    pub quota: String,
    /// May send to foreign domains.
    pub may_relay: bool,
    /// ServerSignature of SCRAM, else empty.
    #[serde(with = "serde_bytes")]
    pub server_signature: Vec<u8>,
}
