//! The certificate of a daemon, which may not be there yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tls::rustls::ServerConfig;
use tokio::sync::Mutex;

use crate::TlsMode;

/// How soon a signer that was away is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where TLS configurations come from: the signer, once it is there.
#[derive(Debug)]
pub struct Certificates {
    program: &'static str,
    signer: PathBuf,
    key: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    config: Option<Arc<ServerConfig>>,
    asked: Option<Instant>,
}

impl Certificates {
    /// Those of one key, from the signer behind a socket.
    pub fn new(program: &'static str, signer: PathBuf, key: String) -> Self {
        Self {
            program,
            signer,
            key,
            known: Mutex::default(),
        }
    }

    /// Asks before the first client does, so that the log tells at the start
    /// when there is none. A port that speaks nothing but TLS is of no use
    /// then; others work without, and offer it as soon as there is one.
    pub async fn ask_first(self: &Arc<Self>, mode: TlsMode) -> Result<(), String> {
        match mode {
            TlsMode::None => Ok(()),
            TlsMode::Implicit => self.try_config().await.map(drop),
            TlsMode::Starttls => {
                let certificates = Arc::clone(self);
                tokio::spawn(async move { certificates.config().await.is_some() });
                Ok(())
            }
        }
    }

    /// What a session can use: nothing when its port has no TLS.
    pub async fn of_session(&self, mode: TlsMode) -> Option<Arc<ServerConfig>> {
        match mode {
            TlsMode::None => None,
            TlsMode::Starttls | TlsMode::Implicit => self.config().await,
        }
    }

    /// The configuration; `None` while the signer has no certificate, which
    /// is logged.
    pub async fn config(&self) -> Option<Arc<ServerConfig>> {
        match self.try_config().await {
            Ok(config) => config,
            Err(text) => {
                run::warn(self.program, &text);
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
            let (socket, key) = (self.signer.clone(), self.key.clone());
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
