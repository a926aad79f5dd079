//! Sending trace events to the collector.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use wire::trace::{EVENT_BYTES_MAX, Event, Kind, TraceId};

use crate::Home;

/// How long an event may wait for a collector that is busy. The kernel holds
/// only a few datagrams, so a burst has to wait for the collector to read.
const BUSY_WAIT: Duration = Duration::from_millis(50);
/// For how many seconds no event is sent after one waited in vain: a
/// collector that hangs costs mail next to nothing.
const PAUSE_SECONDS: i64 = 2;

/// Sends events. Without a collector, or when it hangs, events are dropped;
/// mail goes on, and the guide's log lines stay.
#[derive(Debug)]
pub struct Tracer {
    program: &'static str,
    collector: PathBuf,
    socket: Option<UnixDatagram>,
    paused_until: AtomicI64,
}

impl Tracer {
    /// Prepares sending to the collector of an installation, which may come
    /// and go. Call before a sandbox closes.
    pub fn connect(home: &Home, program: &'static str) -> Self {
        let socket = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(BUSY_WAIT))?;
            Ok::<_, io::Error>(socket)
        };
        Self {
            program,
            collector: home.socket("trace"),
            socket: socket().ok(),
            paused_until: AtomicI64::new(0),
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

    /// Tells that a message went nowhere, by a rule of the site, before it
    /// came to a queue.
    pub fn discarded(&self, trace: TraceId, rule: &str) {
        let mut event = self.event(trace, Kind::Discarded);
        event.text = Some(rule.to_owned());
        self.send(&event);
    }

    /// An event of this program, now; fill in what is known and
    /// [`Tracer::send`] it.
    pub fn event(&self, trace: TraceId, kind: Kind) -> Event {
        let (seconds, nanoseconds) = os::clock::now();
        let time = seconds as f64 + f64::from(nanoseconds / 1000) / 1e6;
        Event::new(trace, time, self.program, std::process::id(), kind)
    }

    /// Sends an event; waits for a busy collector for a moment at most.
    pub fn send(&self, event: &Event) {
        if let Ok(bytes) = serde_json::to_vec(event) {
            self.send_bytes(&bytes);
        }
    }

    fn send_bytes(&self, bytes: &[u8]) {
        let Some(socket) = &self.socket else { return };
        let now = os::clock::unix_seconds();
        if now < self.paused_until.load(Ordering::Relaxed) || EVENT_BYTES_MAX < bytes.len() {
            return;
        }
        if let Err(error) = socket.send_to(bytes, &self.collector)
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.paused_until
                .store(now + PAUSE_SECONDS, Ordering::Relaxed);
        }
    }
}

/// Events on their way together, one a line, in as few datagrams as possible:
/// for programs that tell many at once.
#[derive(Debug)]
pub struct Batch {
    tracer: Tracer,
    waiting: Vec<u8>,
}

impl Batch {
    /// Sends with this.
    pub fn new(tracer: Tracer) -> Self {
        let waiting = Vec::new();
        Self { tracer, waiting }
    }

    /// As [`Tracer::event`].
    pub fn event(&self, trace: TraceId, kind: Kind) -> Event {
        self.tracer.event(trace, kind)
    }

    /// Adds an event; it goes with [`Batch::flush`] at the latest.
    pub fn add(&mut self, event: &Event) {
        let Ok(bytes) = serde_json::to_vec(event) else {
            return;
        };
        if EVENT_BYTES_MAX < self.waiting.len() + bytes.len() + 1 {
            self.flush();
        }
        if !self.waiting.is_empty() {
            self.waiting.push(b'\n');
        }
        self.waiting.extend_from_slice(&bytes);
    }

    /// Sends what was added.
    pub fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.tracer.send_bytes(&self.waiting);
            self.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_reach_a_collector_that_came_later() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let tracer = Tracer::connect(&home, "test");
        let event = tracer.event(Tracer::new_id(), Kind::Queued);
        tracer.send(&event);
        std::fs::create_dir_all(home.socket("trace").parent().unwrap()).unwrap();
        let collector = UnixDatagram::bind(home.socket("trace")).unwrap();
        tracer.send(&event);
        let mut buffer = [0; EVENT_BYTES_MAX];
        let length = collector.recv(&mut buffer).unwrap();
        let received: Event = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!(received, event);
    }

    #[test]
    fn a_collector_that_hangs_costs_one_wait_not_one_an_event() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir_all(home.socket("trace").parent().unwrap()).unwrap();
        let _deaf = UnixDatagram::bind(home.socket("trace")).unwrap();
        let tracer = Tracer::connect(&home, "test");
        let event = tracer.event(Tracer::new_id(), Kind::Queued);
        (0..5000).for_each(|_| tracer.send(&event));
        assert_ne!(tracer.paused_until.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_batch_arrives_in_order_and_in_few_datagrams() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir_all(home.socket("trace").parent().unwrap()).unwrap();
        let collector = UnixDatagram::bind(home.socket("trace")).unwrap();
        let mut batch = Batch::new(Tracer::connect(&home, "test"));
        let events: Vec<Event> = (0..100)
            .map(|_| batch.event(Tracer::new_id(), Kind::Started))
            .collect();
        events.iter().for_each(|event| batch.add(event));
        batch.flush();
        let (mut buffer, mut received, mut datagrams) = ([0; EVENT_BYTES_MAX], Vec::new(), 0);
        while received.len() < events.len() {
            let length = collector.recv(&mut buffer).unwrap();
            datagrams += 1;
            for line in buffer[..length].split(|&b| b == b'\n') {
                received.push(serde_json::from_slice::<Event>(line).unwrap());
            }
        }
        assert_eq!(received, events);
        assert!(datagrams < 10, "{datagrams}");
    }
}
