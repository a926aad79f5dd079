//! Listeners of remote administration ↔ admind, which starts the commands.
//!
//! One connection is one administrator: it names itself once, then runs
//! commands one after the other. admind believes nothing of it: it asks
//! inlookup about the secret and decides itself what may run.

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u8 = 1;
/// Most arguments of a command.
pub const ARGUMENTS_MAX: usize = 64;
/// Longest argument.
pub const ARGUMENT_BYTES_MAX: usize = 4096;
/// Most bytes for a command's input.
pub const INPUT_BYTES_MAX: usize = 4096;

/// The commands by their numbers, which are an interface
/// (virtual-domains.md §15.2).
pub const NUMBERED: [&str; 44] = [
    "vadduser",
    "vpasswd",
    "vdeluser",
    "vsetuserquota",
    "vbulletin",
    "vmoduser",
    "valias",
    "vuserinfo",
    "vipmap",
    "vacation",
    "vmoveuserdir",
    "vrenameuser",
    "crc",
    "vcfilter",
    "vsmtp",
    "dbinfo",
    "vhostid",
    "printdir",
    "svstat",
    "vaddaliasdomain",
    "vadddomain",
    "vcalias",
    "vcaliasrev",
    "vdeldomain",
    "vrenamedomain",
    "vdominfo",
    "vgroup",
    "vatrn",
    "vpriv",
    "vlimit",
    "hostcntrl",
    "resetquota",
    "vreorg",
    "vdeloldusers",
    "ipchange",
    "svctool",
    "clearopensmtp",
    "hostsync",
    "inquerytest",
    "vmoddomain",
    "vserverinfo",
    "mgmtpass",
    "vfstab",
    "updatefile",
];

/// The number of a command.
pub fn number(program: &str) -> Option<usize> {
    NUMBERED.iter().position(|known| *known == program)
}

/// A wish.
#[derive(Deserialize, Serialize)]
pub enum Request {
    /// Who is there: must come first.
    Password {
        /// Name of the administrator.
        user: String,
        /// As it was sent.
        #[serde(with = "serde_bytes")]
        password: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// The same with a token.
    Token {
        /// As it was sent.
        #[serde(with = "serde_bytes")]
        token: Vec<u8>,
        /// Address of the client.
        remote_ip: String,
    },
    /// Run a command.
    Run {
        /// Its name, without directory.
        program: String,
        /// What comes after it.
        arguments: Vec<String>,
        /// What it can read.
        #[serde(with = "serde_bytes")]
        input: Vec<u8>,
        /// Whether what it says about errors comes with its output.
        merged: bool,
    },
}

/// An answer.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Reply {
    /// To the first request: that is who it says.
    Welcome {
        /// Name of the administrator.
        name: String,
    },
    /// To the first request: wrong name, password or token.
    Refused,
    /// To the first request: right or wrong, not now.
    Disabled,
    /// The request could not be answered now; the text is for the log.
    Temporary(String),
    /// To `Run`: this administrator may not.
    Forbidden,
    /// To `Run`: some output; more follows.
    Output(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To `Run`: something about errors; more follows.
    Complaint(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To `Run`: the end, with the exit code; 128 and more is a signal.
    Ended(u8),
}

/// Without the secret.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => f.debug_tuple("Password").field(user).finish(),
            Self::Token { .. } => f.write_str("Token"),
            Self::Run { program, .. } => f.debug_tuple("Run").field(program).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_guide() {
        for (name, expected) in [
            ("vadduser", 0),
            ("vuserinfo", 7),
            ("svstat", 18),
            ("vadddomain", 20),
            ("vlimit", 29),
            ("vmoddomain", 39),
            ("updatefile", 43),
        ] {
            assert_eq!(number(name), Some(expected), "{name}");
        }
        assert_eq!(number("sh"), None);
    }

    #[test]
    fn what_is_logged_has_no_secret() {
        let request = Request::Password {
            user: "joe".to_owned(),
            password: b"secret".to_vec(),
            remote_ip: String::new(),
        };
        assert_eq!(format!("{request:?}"), "Password(\"joe\")");
    }
}
