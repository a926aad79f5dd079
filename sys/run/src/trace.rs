//! Sending trace events to the collector.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use wire::trace::{EVENT_BYTES_MAX, Event, Kind, TraceId};

use crate::Home;

/// Sends events; mail never waits for it. Without a collector, or when the
/// collector is behind, events are dropped: the guide's log lines stay.
#[derive(Debug)]
pub struct Tracer {
    program: &'static str,
    collector: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Tracer {
    /// Sends to the collector of an installation. It may start later, or
    /// again: each event is addressed anew. Connect before a sandbox closes.
    pub fn connect(home: &Home, program: &'static str) -> Self {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        };
        Self {
            program,
            collector: home.socket("trace"),
            socket: open().ok(),
        }
    }

    /// A new id for a message first seen here.
    pub fn new_id() -> TraceId {
        TraceId::new(
            os::clock::unix_seconds().unsigned_abs(),
            os::clock::random(),
        )
    }

    /// The id a program was started with, else a new one.
    pub fn id_of_process() -> TraceId {
        std::env::var(wire::trace::VARIABLE)
            .ok()
            .and_then(|text| TraceId::parse(text.as_bytes()).ok())
            .unwrap_or_else(Self::new_id)
    }

    /// An event of this program, now; fill in what is known and
    /// [`Tracer::send`] it.
    pub fn event(&self, trace: TraceId, kind: Kind) -> Event {
        let (seconds, nanoseconds) = os::clock::now();
        let time = seconds as f64 + f64::from(nanoseconds / 1000) / 1e6;
        Event::new(trace, time, self.program, std::process::id(), kind)
    }

    /// Sends an event without waiting.
    pub fn send(&self, event: &Event) {
        let Some(socket) = &self.socket else { return };
        if let Ok(bytes) = serde_json::to_vec(event)
            && bytes.len() <= EVENT_BYTES_MAX
        {
            let _ = socket.send_to(&bytes, &self.collector);
        }
    }
}
