//! What all sessions share, and how many there may be.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use listen::{Certificates, Full, Guest, Handshakes, House, Inlookup, Places, TlsMode};
use run::Home;
use tokio::sync::watch;

use crate::connection;
use crate::options::Options;
use crate::watch::Watcher;

/// Sessions at once.
const SESSIONS_MAX: usize = 4000;

/// Sessions at once from one address (MAXPERIP of the original); this machine
/// has no limit of its own, since webmail and proxies run on it.
const SESSIONS_PER_ADDRESS_MAX: usize = 25;

/// How long sessions may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(2);

/// A handshake may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client hears for which there is no room.
const TOO_MANY: &[u8] = b"* BYE [LIMIT] too many connections, try later\r\n";

/// What all sessions share.
pub struct Server {
    pub inlookup: Inlookup,
    pub certificates: Arc<Certificates>,
    pub handshakes: Handshakes,
    pub mode: TlsMode,
    pub message_bytes_max: u64,
    pub watcher: Option<Arc<Watcher>>,
}

impl Server {
    /// Makes a server without connections. Call it inside the runtime.
    pub fn new(home: &Home, options: &Options) -> io::Result<Self> {
        Ok(Self {
            inlookup: Inlookup::new(home.socket("inlookup")),
            certificates: Arc::new(Certificates::new(
                "imapd",
                home.socket("signer"),
                options.certificate.clone(),
            )),
            handshakes: Handshakes::start(HANDSHAKE_TIMEOUT)?,
            mode: options.network.tls,
            message_bytes_max: options.message_bytes_max,
            watcher: Watcher::start(),
        })
    }

    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let server = Arc::new(self);
        let house = House {
            program: "imapd",
            places: Places::new(SESSIONS_MAX),
            full: Full::Refuse(TOO_MANY),
            stop: watch::channel(false).0,
            farewell: FAREWELL,
        };
        house
            .serve(listeners, move |guest| receive(Arc::clone(&server), guest))
            .await
    }
}

async fn receive(server: Arc<Server>, mut guest: Guest) {
    let address = guest.peer.ip();
    let max = match address.is_loopback() {
        true => SESSIONS_MAX,
        false => SESSIONS_PER_ADDRESS_MAX,
    };
    match guest.place.count(address, max) {
        Some(_) => connection::serve(&server, guest).await,
        None => guest.turn_away(TOO_MANY).await,
    }
}
