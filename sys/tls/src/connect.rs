//! The client's handshake.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::{Verify, client_config};

    fn bundle(path: std::path::PathBuf) -> Verify {
        Verify::WebPki { bundle: Some(path) }
    }

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
        connect(client_config(verify.clone()).unwrap(), "mx.example", ours)
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
        let verify = bundle(file);
        assert!(handshake(&verify, &right).await.is_ok());
        for wrong in [other_name, stranger] {
            let error = handshake(&verify, &wrong).await.unwrap_err();
            assert!(matches!(error, HandshakeError::Certificate(_)), "{error}");
            assert!(handshake(&Verify::None, &wrong).await.is_ok());
        }
    }

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.pem");
        std::fs::write(&file, "").unwrap();
        assert!(client_config(bundle(file)).is_err());
    }
}
