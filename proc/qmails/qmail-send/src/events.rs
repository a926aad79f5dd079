//! Trace events of qmail-send.

use run::{Batch, Tracer};
use schedule::Channel;
use text::log::{printable, safe};
use wire::trace::{Event, Kind, TraceId};

/// Bytes of a report in an event.
const TEXT_BYTES_MAX: usize = 1000;

/// Tells the story of the messages of one queue.
#[derive(Debug)]
pub struct Events {
    batch: Batch,
    queue: String,
}

impl Events {
    /// Events of a queue.
    pub fn new(tracer: Tracer, queue: String) -> Self {
        Self {
            batch: Batch::new(tracer),
            queue,
        }
    }

    /// Tells one thing of a message, if it has a trace; [`Events::flush`]
    /// lets it go.
    pub fn tell(
        &mut self,
        trace: Option<TraceId>,
        id: u64,
        kind: Kind,
        fill: impl FnOnce(&mut Event),
    ) {
        let Some(trace) = trace else { return };
        let mut event = self.batch.event(trace, kind);
        event.queue = Some(self.queue.clone());
        event.message = Some(id);
        fill(&mut event);
        self.batch.add(&event);
    }

    /// Sends what was told.
    pub fn flush(&mut self) {
        self.batch.flush();
    }
}

/// Adds who a delivery is for.
pub fn about(event: &mut Event, channel: Channel, recipient: &[u8]) {
    event.channel = Some(channel.name().to_owned());
    event.recipients = vec![safe(recipient)];
}

/// Adds what a report says.
pub fn words(event: &mut Event, report: &[u8]) {
    event.text = Some(printable(report.trim_ascii_end(), TEXT_BYTES_MAX));
}
