//! The client's bytes, encrypted or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use listen::Handshakes;
use smtp::server::Tls;
use tls::rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use run::Home;

/// How soon a signer that was away is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A connection.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Where TLS configurations come from: the signer, once it is there.
#[derive(Debug)]
pub struct Certificates {
    home: Home,
    key: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    config: Option<Arc<ServerConfig>>,
    asked: Option<Instant>,
}

impl Certificates {
    pub fn new(home: &Home, key: String) -> Self {
        Self {
            home: home.clone(),
            key,
            known: Mutex::default(),
        }
    }

    /// The configuration; `None` while the signer has no certificate, which
    /// is logged.
    pub async fn config(&self) -> Option<Arc<ServerConfig>> {
        match self.try_config().await {
            Ok(config) => config,
            Err(text) => {
                run::warn(crate::PROGRAM, &text);
                None
            }
        }
    }

    /// As [`Certificates::config`], with the reason when it was asked for just
    /// now.
    pub async fn try_config(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        let mut known = self.known.lock().await;
        let recent = known
            .asked
            .is_some_and(|asked| asked.elapsed() < RETRY_AFTER);
        if known.config.is_none() && !recent {
            known.asked = Some(Instant::now());
            let (socket, key) = (self.home.socket("signer"), self.key.clone());
            let asked = tokio::task::spawn_blocking(move || tls::server_config(&socket, &key));
            match asked.await {
                Ok(Ok(config)) => known.config = Some(config),
                Ok(Err(error)) => {
                    let (key, causes) = (&self.key, run::chain(&error));
                    return Err(format!("no TLS without certificate {key}: {causes}"));
                }
                Err(_) => {}
            }
        }
        Ok(known.config.clone())
    }
}

/// Does the handshake as the server.
pub async fn secure(
    handshakes: &Handshakes,
    transport: Box<dyn Transport>,
    config: Arc<ServerConfig>,
) -> Result<(Box<dyn Transport>, Tls), String> {
    let stream = handshakes
        .accept(config, transport)
        .await
        .map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let cipher = session.negotiated_cipher_suite();
    let tls = Tls {
        version: version.to_owned(),
        cipher: cipher.map_or(String::new(), |suite| format!("{:?}", suite.suite())),
    };
    Ok((Box::new(stream), tls))
}
