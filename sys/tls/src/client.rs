//! TLS towards other servers.
//!
//! Mail between servers is encrypted when both can, whoever the other one is:
//! without a list of servers that must prove their names, a certificate that
//! nobody knows is still better than no encryption (RFC 7435). Where the
//! name must be proved, nothing less will do. TLS 1.2 at least.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rustls::ClientConfig as Config;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

/// Who a server must prove to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verify {
    /// Anybody.
    Nothing,
    /// The host we meant, with a certificate that leads to one in this file.
    Authorities(PathBuf),
}

/// Why the settings for a connection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file with the authorities cannot be used.
    #[error("cannot use the certificates in {path}: {reason}")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// rustls refuses its own defaults.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The server did not prove its name.
    #[error("{0}")]
    Certificate(String),
    /// No common ground, or the connection broke.
    #[error("{0}")]
    Failed(#[source] io::Error),
}

/// The settings for connections with this demand. Reads files: call it before
/// a sandbox closes.
pub fn config(verify: &Verify) -> Result<Arc<ClientConfig>, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(ConfigError::Setup)?;
    let config = match verify {
        Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        Verify::Authorities(path) => builder.with_root_certificates(authorities(path)?),
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Does the handshake. `host` is the name or address that was connected to.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, HandshakeError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| HandshakeError::Failed(io::Error::other(error)))?;
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| {
            let cause = error.get_ref().and_then(|e| e.downcast_ref());
            match cause {
                Some(rustls::Error::InvalidCertificate(reason)) => {
                    HandshakeError::Certificate(format!("{reason:?}"))
                }
                _ => HandshakeError::Failed(error),
            }
        })
}

fn authorities(path: &Path) -> Result<RootCertStore, ConfigError> {
    let wrong = |reason: String| ConfigError::Authorities {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is none".to_owned()));
    }
    Ok(roots)
}

/// Takes every certificate, but still wants its owner to hold the key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    async fn handshake(
        verify: &Verify,
        key: &CertifiedKey<rcgen::KeyPair>,
    ) -> Result<(), HandshakeError> {
        let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
        let server =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![key.cert.der().clone()], private.unwrap())
                .unwrap();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            // The client may well turn away.
            let _ = TlsAcceptor::from(Arc::new(server)).accept(theirs).await;
        });
        connect(config(verify).unwrap(), "mx.example", ours)
            .await
            .map(drop)
    }

    // Attack 9.
    #[tokio::test]
    async fn a_name_that_must_be_proved_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mx.example.pem");
        let right = generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap();
        let other_name = generate_simple_self_signed(vec!["evil.example".to_owned()]).unwrap();
        let stranger = generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap();
        let pem = right.cert.pem() + &other_name.cert.pem();
        std::fs::write(&file, pem).unwrap();
        let verify = Verify::Authorities(file);
        assert!(handshake(&verify, &right).await.is_ok());
        for wrong in [other_name, stranger] {
            let error = handshake(&verify, &wrong).await.unwrap_err();
            assert!(matches!(error, HandshakeError::Certificate(_)), "{error}");
            assert!(handshake(&Verify::Nothing, &wrong).await.is_ok());
        }
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.pem");
        std::fs::write(&file, "").unwrap();
        assert!(config(&Verify::Authorities(file)).is_err());
    }
}
