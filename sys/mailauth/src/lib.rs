//! mail-auth behind our own small interface: SPF (RFC 7208), DKIM (RFC 6376)
//! and DMARC (RFC 7489).
//!
//! Policy is not decided here: the answers of `wire::verify` say what is
//! true, others say what follows. No files are read after the start.

mod body;
mod examined;
mod message;
mod own_key;
mod signatures;
mod signing;
mod spf;
mod voids;

pub use examined::{Examined, HEADER_BYTES_MAX};
pub use own_key::{KeyError, OwnKey, Style};
pub use signatures::{Outcome, Signatures};
pub use signing::{SIGNED_FIELDS, Signed, Signer};

use mail_auth::MessageAuthenticator;

/// Asks name servers about senders and messages.
#[derive(Clone)]
pub struct Authenticator {
    inner: MessageAuthenticator,
    resolver: dns::Resolver,
}

impl Authenticator {
    /// With the name servers of the settings. Reads files: call it before a
    /// sandbox closes.
    pub fn from_settings(settings: &run::Settings) -> Result<Self, dns::Error> {
        let (config, options) = dns::configuration(settings)?;
        let inner = MessageAuthenticator::new(config, options)
            .map_err(|error| dns::Error::Setup(error.to_string()))?;
        Ok(Self {
            inner,
            resolver: dns::Resolver::from_settings(settings)?,
        })
    }

    /// The name servers themselves.
    pub fn resolver(&self) -> &dns::Resolver {
        &self.resolver
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}
