//! TLS handshakes, away from the sessions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tls::rustls::ServerConfig;
use tls::{ServerStream, TlsAcceptor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

/// Threads that drive handshakes.
const THREADS: usize = 2;

/// Signatures waited for at once; further handshakes queue.
const SIGNATURES_MAX: usize = 16;

/// A small runtime in which handshakes are done. A signature is waited for
/// without giving up the thread, since rustls wants it at once: when the
/// signer hangs, handshakes hang here, and no session does.
#[derive(Debug)]
pub struct Handshakes {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    timeout: Duration,
}

impl Handshakes {
    /// Starts the threads: after the sandbox is closed. No handshake takes
    /// longer than `timeout`.
    pub fn start(timeout: Duration) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(SIGNATURES_MAX)
            .thread_name("handshake")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            timeout,
        })
    }

    /// Does a handshake as the server.
    pub async fn accept<S>(
        &self,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> io::Result<ServerStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Whoever stops waiting here ends the task too: the set owns it.
        let mut task = JoinSet::new();
        task.spawn_on(TlsAcceptor::from(config).accept(stream), &self.handle);
        match tokio::time::timeout(self.timeout, task.join_next()).await {
            Ok(Some(Ok(outcome))) => outcome,
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Ok(None) => Err(io::ErrorKind::NotConnected.into()),
            Err(_) => {
                let text = "handshake timed out";
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // A runtime must not be waited for within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use run::Link;
    use wire::sign::{Request, VERSION};

    use super::*;

    /// Tells about its key, and never signs: connections stay open and silent.
    fn stuck_signer(socket: &std::path::Path) {
        let listener = UnixListener::bind(socket).unwrap();
        let socket = socket.to_owned();
        let pem = tls::self_signed(&["mx.example".to_owned()]).unwrap();
        let key = tls::LocalKey::from_pem(pem.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                let mut link = Link::accepted(stream, &socket, VERSION);
                if let Ok(Some(Request::Describe { .. })) = link.receive() {
                    link.send(&key.describe()).unwrap();
                }
                silent.push(link);
            }
        });
    }

    #[test]
    fn a_signer_that_hangs_stops_handshakes_only() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("signer");
        stuck_signer(&socket);
        let config = tls::server_config(&socket, "key").unwrap();
        // As few threads as a runtime can have: one held would stop it.
        let sessions = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        sessions.block_on(async {
            let handshakes = Arc::new(Handshakes::start(Duration::from_secs(2)).unwrap());
            let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
            let client = tls::client_config(tls::Verify::None).unwrap();
            for _ in 0..2 * SIGNATURES_MAX {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                let client = Arc::clone(&client);
                tokio::spawn(async move { tls::connect(client, "mx.example", theirs).await });
                let (handshakes, config) = (Arc::clone(&handshakes), Arc::clone(&config));
                let failed = failed.clone();
                tokio::spawn(async move {
                    let outcome = handshakes.accept(config, ours).await;
                    failed
                        .send(outcome.err().map(|error| error.kind()))
                        .unwrap();
                });
            }
            // Sessions go on meanwhile, on the other side of the runtime too.
            let start = Instant::now();
            for _ in 0..10 {
                let sleep = tokio::time::sleep(Duration::from_millis(20));
                tokio::spawn(sleep).await.unwrap();
            }
            assert!(start.elapsed() < Duration::from_millis(1500));
            assert_eq!(
                failures.recv().await.unwrap(),
                Some(io::ErrorKind::TimedOut)
            );
        });
        sessions.shutdown_background();
    }
}
