//! What all sessions share, and how many there may be.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use listen::{Certificates, Full, Guest, Handshakes, House, Inlookup, Places, TlsMode};
use tokio::sync::watch;

use crate::session;

/// Sessions at once.
const SESSIONS_MAX: usize = 4000;

/// Sessions at once from one address (MAXPERIP of the original).
const SESSIONS_PER_ADDRESS_MAX: usize = 25;

/// What a client hears for which there is no room.
const TOO_MANY: &[u8] = b"-ERR [SYS/TEMP] too many connections, try later\r\n";

/// What all sessions share.
pub struct Server {
    pub inlookup: Inlookup,
    pub certificates: Arc<Certificates>,
    pub handshakes: Handshakes,
    pub mode: TlsMode,
    pub pass: bool,
}

impl Server {
    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let server = Arc::new(self);
        let house = House {
            program: "pop3d",
            places: Places::new(SESSIONS_MAX),
            full: Full::Refuse(TOO_MANY),
            stop: watch::channel(false).0,
            // A session that is cut has removed nothing.
            farewell: Duration::ZERO,
        };
        house
            .serve(listeners, move |guest| receive(Arc::clone(&server), guest))
            .await
    }
}

async fn receive(server: Arc<Server>, mut guest: Guest) {
    let counted = guest.place.count(guest.peer.ip(), SESSIONS_PER_ADDRESS_MAX);
    match counted {
        Some(_) => session::serve(&server, guest).await,
        None => guest.turn_away(TOO_MANY).await,
    }
}
