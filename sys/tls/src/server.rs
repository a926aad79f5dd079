//! TLS servers whose private key is in the signer process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use run::Link;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::CertificateDer;
use tokio::runtime::{Handle, RuntimeFlavor};
use wire::sign::{Reply, Request, VERSION};

use crate::Error;

/// How long a handshake waits for the signer.
const SIGNER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a certificate is used before the signer is asked for a newer one.
const CERTIFICATE_AGE_MAX: Duration = Duration::from_secs(60);
/// How long a server waits for a signer that starts at the same time.
const START_WAIT: Duration = Duration::from_secs(5);
/// How often it tries meanwhile.
const START_POLL: Duration = Duration::from_millis(50);
/// Sessions kept for TLS 1.2 resumption.
const SESSIONS_MAX: usize = 1024;

/// Makes the configuration of a server whose certificate and signatures come
/// from the signer behind `signer_socket`. A renewed certificate is seen
/// within a minute, without restart. Signing blocks for as long as the signer
/// takes, a millisecond or so.
pub fn server_config(signer_socket: &Path, key: &str) -> Result<Arc<ServerConfig>, Error> {
    let certificates = RemoteCertificates {
        socket: signer_socket.to_owned(),
        key: key.to_owned(),
        current: Mutex::new(None),
    };
    // Ask now, so that a missing certificate is found when the server starts
    // and not when the first client comes.
    let first = certificates.ask_patiently()?;
    *certificates
        .current
        .lock()
        .expect("no panic under the lock") = Some((Instant::now(), first));
    let mut config = ServerConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS_MAX);
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// The certificate of one key, fetched again when it has become old.
#[derive(Debug)]
struct RemoteCertificates {
    socket: PathBuf,
    key: String,
    current: Mutex<Option<(Instant, Arc<CertifiedKey>)>>,
}

impl RemoteCertificates {
    /// As `ask`, waiting for a signer that is not there yet: supervision
    /// starts all services at once.
    fn ask_patiently(&self) -> Result<Arc<CertifiedKey>, Error> {
        let started = Instant::now();
        loop {
            match self.ask() {
                Err(Error::Signer(_)) if started.elapsed() < START_WAIT => {
                    std::thread::sleep(START_POLL);
                }
                answer => return answer,
            }
        }
    }

    fn ask(&self) -> Result<Arc<CertifiedKey>, Error> {
        let request = Request::Describe {
            key: self.key.clone(),
        };
        let (chain, schemes, algorithm) = match ask(&self.socket, &request)? {
            Reply::Key {
                chain,
                schemes,
                algorithm,
            } => (chain, schemes, algorithm),
            reply => return Err(self.refused(reply)),
        };
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let signer = RemoteSigner {
            socket: self.socket.clone(),
            key: self.key.clone(),
            schemes: schemes.into_iter().map(SignatureScheme::from).collect(),
            algorithm: SignatureAlgorithm::from(algorithm),
        };
        Ok(Arc::new(CertifiedKey::new(chain, Arc::new(signer))))
    }

    fn refused(&self, reply: Reply) -> Error {
        let text = match reply {
            Reply::Refused(text) => text,
            _ => "it answered another question".to_owned(),
        };
        Error::Refused {
            key: self.key.clone(),
            text,
        }
    }
}

impl ResolvesServerCert for RemoteCertificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.lock().ok()?.clone();
        match current {
            Some((since, key)) if since.elapsed() < CERTIFICATE_AGE_MAX => Some(key),
            old => {
                // A signer that is away for a moment must not make the
                // certificate go away: the old one is still good.
                let key = self.ask().ok().or_else(|| old.map(|(_, key)| key))?;
                *self.current.lock().ok()? = Some((Instant::now(), Arc::clone(&key)));
                Some(key)
            }
        }
    }
}

/// A key somebody else holds.
#[derive(Clone, Debug)]
struct RemoteSigner {
    socket: PathBuf,
    key: String,
    schemes: Vec<SignatureScheme>,
    algorithm: SignatureAlgorithm,
}

impl SigningKey for RemoteSigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|ours| offered.contains(ours))?;
        Some(Box::new(RemoteSignature {
            signer: self.clone(),
            scheme,
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct RemoteSignature {
    signer: RemoteSigner,
    scheme: SignatureScheme,
}

impl Signer for RemoteSignature {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let request = Request::Sign {
            key: self.signer.key.clone(),
            scheme: u16::from(self.scheme),
            message: message.to_vec(),
        };
        match ask(&self.signer.socket, &request) {
            Ok(Reply::Signature(signature)) => Ok(signature),
            Ok(Reply::Refused(text)) => Err(rustls::Error::General(text)),
            Ok(Reply::Key { .. } | Reply::DkimKey(_)) => {
                Err(rustls::Error::General("no signature".into()))
            }
            Err(error) => Err(rustls::Error::General(error.to_string())),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// One question on a connection of its own: no connection to break or to
/// share between threads, and the signer's limit counts handshakes. Other
/// sessions of a runtime with several threads go on meanwhile.
fn ask(socket: &Path, request: &Request) -> Result<Reply, run::LinkError> {
    let ask = || Link::connect(socket, VERSION, SIGNER_TIMEOUT)?.ask(request);
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(ask),
        _ => ask(),
    }
}
