//! Why there is no answer.

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

/// Why a name has no records for us.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The name exists, with other records (NODATA).
    #[error("no such records")]
    NoRecords,
    /// The domain says that it takes no mail (RFC 7505).
    #[error("the domain takes no mail")]
    NullMx,
    /// What was asked for is not a name.
    #[error("not a domain name")]
    BadName,
    /// The resolver cannot be set up.
    #[error("cannot set up the resolver: {0}")]
    Setup(String),
    /// No server gave a usable answer; another time one may.
    #[error("no answer: {0}")]
    Temporary(String),
}

impl Error {
    /// Says whether asking again later may help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NoSuchName | Self::NoRecords | Self::NullMx | Self::BadName => false,
            Self::Setup(_) | Self::Temporary(_) => true,
        }
    }
}

impl From<NetError> for Error {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Self::NoSuchName,
                ResponseCode::NoError => Self::NoRecords,
                code => Self::Temporary(code.to_string()),
            },
            _ => Self::Temporary(error.to_string()),
        }
    }
}
