//! What all sessions share, and how many there may be.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use listen::{Certificates, Full, Guest, Handshakes, House, Places, TlsMode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::options::Options;
use crate::session::Session;
use crate::{GRACE, PROGRAM};

/// Sessions at once from one address (MAXPERIP).
const SESSIONS_PER_ADDRESS_MAX: usize = 25;

/// What all sessions share.
pub struct Server {
    pub admind: PathBuf,
    pub certificates: Arc<Certificates>,
    pub handshakes: Handshakes,
    pub options: Options,
}

impl Server {
    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let house = House {
            program: PROGRAM,
            places: Places::new(self.options.backlog),
            full: Full::Refuse(b""),
            stop: watch::channel(false).0,
            farewell: GRACE,
        };
        let server = Arc::new(self);
        house
            .serve(listeners, move |guest| receive(Arc::clone(&server), guest))
            .await
    }
}

async fn receive(server: Arc<Server>, mut guest: Guest) {
    let ip = guest.peer.ip();
    run::line(&format!(
        "{}: Connection from {ip}:{}",
        std::process::id(),
        guest.peer.port()
    ));
    if guest.place.count(ip, SESSIONS_PER_ADDRESS_MAX).is_none() {
        return;
    }
    let mut stop = guest.stop.clone();
    let (stream, _place) = (guest.stream, guest.place);
    let _ = stream.set_nodelay(true);
    let served = async {
        match server.options.network.tls {
            // Passwords do not cross a network in the clear.
            TlsMode::None if !ip.is_loopback() => {}
            TlsMode::None => converse(&server, ip.to_string(), stream).await,
            TlsMode::Implicit | TlsMode::Starttls => {
                let Some(config) = server.certificates.config().await else {
                    return;
                };
                if let Ok(stream) = server.handshakes.accept(config, stream).await {
                    converse(&server, ip.to_string(), stream).await;
                }
            }
        }
    };
    tokio::select! {
        () = served => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn converse(server: &Server, remote_ip: String, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut session = Session::new(stream, &server.options, remote_ip);
    // Whoever left needs no further word.
    let _ = session.serve(&server.admind).await;
    let _ = session.into_stream().shutdown().await;
}
