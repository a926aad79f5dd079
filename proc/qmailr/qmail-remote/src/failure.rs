//! Why a delivery ended before any server was asked
//! (queue-and-delivery.md §7).

use std::path::PathBuf;

/// A reason, and the report it makes.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("DI (qmail-remote) was invoked improperly. (#5.3.5)")]
    Usage,
    #[error("ZOut of memory. (#4.3.0)")]
    Resources,
    #[error("ZUnable to read message. (#4.3.0)")]
    Message,
    #[error("ZUnable to read control files. (#4.3.0)\n{0}")]
    Control(String),
    #[error("ZInvalid ipaddr in {} (#4.3.0)", .0.display())]
    LocalAddress(PathBuf),
    #[error("ZUnable to parse smtproutes: {0}. (#4.3.5)")]
    Route(String),
    #[error("DSorry, {0} cannot be used as an address. (#5.1.3)")]
    Address(String),
    #[error("DSorry, I couldn't find any host named {0}. (#5.1.2)")]
    NoSuchHost(String),
    #[error("DSorry, the domain {0} does not accept mail. (#5.1.10)")]
    NullMx(String),
    #[error("ZSorry, I couldn't find any host by that name. (#4.1.2)\n{0}")]
    Dns(String),
    #[error("DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)")]
    NoAddress,
    #[error(
        "DSorry. Although I'm listed as a best-preference MX or A for that host,\n\
         it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)"
    )]
    Loop,
    #[error("ZUnable to use TLS: {0}. (#4.7.5)")]
    Tls(String),
    #[error("ZUnable to sign the message: {0}. (#4.3.0)")]
    Signer(String),
    #[error("ZSorry, I wasn't able to establish an SMTP connection{0}. (#4.4.1)")]
    NoConnection(String),
}

impl Failure {
    /// The report, with nothing about recipients.
    pub fn report(&self) -> Vec<u8> {
        let mut report = self.to_string().replace('\0', "?").into_bytes();
        report.extend_from_slice(b"\n\0");
        report
    }
}

impl From<run::SettingError> for Failure {
    fn from(error: run::SettingError) -> Self {
        Self::Control(error.path.display().to_string())
    }
}

impl From<dns::Error> for Failure {
    fn from(error: dns::Error) -> Self {
        Self::Dns(error.to_string())
    }
}
