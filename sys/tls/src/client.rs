//! TLS clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, certificate};

/// Where systems keep the authorities they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How sure a client wants to be of whom it talks to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verify {
    /// Not at all: opportunistic TLS (RFC 7435), safe from listeners only.
    None,
    /// The certificate must be for the name asked for and lead to a trusted
    /// authority: those of a PEM bundle, else those the system trusts.
    WebPki {
        /// A PEM file of our own.
        bundle: Option<PathBuf>,
    },
}

/// Makes the configuration of a client. Reads the bundle: make it before a
/// sandbox closes, and once.
pub fn client_config(verify: Verify) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?;
    let config = match verify {
        Verify::None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(crate::provider())))
            .with_no_client_auth(),
        Verify::WebPki { bundle } => builder
            .with_root_certificates(roots(bundle.as_deref())?)
            .with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(bundle: Option<&Path>) -> Result<RootCertStore, Error> {
    let path = match bundle {
        Some(path) => path,
        None => BUNDLES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or(Error::Roots)?,
    };
    let pem = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificate::chain(&pem)?);
    match added {
        0 => Err(Error::Roots),
        _ => Ok(store),
    }
}

/// Accepts every certificate, but not a wrong signature: the peer must hold
/// the key it shows.
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
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
