//! One message that arrives, on its way into the queue.

use inject::{Code, Queued, Refused, Submission, Way};
use message::HeaderWatch;
use run::{Home, SettingError, Settings, Tracer};
use settings::receiving;
use text::log::{printable, safe};
use wire::trace::{Kind, TraceId};

use crate::Caller;

/// Most recipients named in one event.
const EVENT_RECIPIENTS_MAX: usize = 50;
/// Longest address in one.
const EVENT_TEXT_BYTES_MAX: usize = 300;

/// Which messages are too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message; 0 is no limit.
    pub bytes_max: u64,
    /// `Received` lines that make a loop.
    pub hops_max: u32,
}

impl Limits {
    /// databytes and maxhops.
    pub fn of(settings: &Settings) -> Result<Self, SettingError> {
        let hops_max = settings.integer(&receiving::MAXHOPS)?.max(1);
        Ok(Self {
            bytes_max: u64::try_from(settings.integer(&receiving::DATABYTES)?).unwrap_or(0),
            hops_max: u32::try_from(hops_max).unwrap_or(u32::MAX),
        })
    }
}

/// A message on its way.
#[derive(Debug)]
pub struct Arrival {
    trace: TraceId,
    program: &'static str,
    ip: String,
    tracer: Tracer,
    limits: Limits,
    header: HeaderWatch,
    bytes: u64,
    /// Where it goes, or why it goes nowhere.
    queue: Result<Submission, Refused>,
    is_null: bool,
}

impl Arrival {
    /// Opens a message of this client at the queue.
    pub fn begin(
        program: &'static str,
        home: &Home,
        settings: &Settings,
        caller: &Caller,
        limits: Limits,
    ) -> Self {
        let trace = Tracer::new_id();
        let way = Way::choose(home, settings, &[]);
        let is_null = matches!(way, Ok(Way::Nowhere));
        let ip = Some(caller.ip.clone());
        let queue = way.and_then(|way| Submission::begin(home, &way, trace, ip, b""));
        Self {
            trace,
            program,
            ip: caller.ip.clone(),
            tracer: Tracer::connect(home, program),
            limits,
            header: HeaderWatch::default(),
            bytes: 0,
            queue,
            is_null,
        }
    }

    /// Writes a field of our own on top.
    pub fn field(&mut self, field: impl FnOnce(TraceId) -> String) {
        let text = field(self.trace);
        self.write(text.as_bytes());
    }

    /// Writes bytes of the message, lines ending in LF.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if !self.header.is_over() {
            self.header.look(bytes);
        }
        let Limits {
            bytes_max,
            hops_max,
        } = self.limits;
        if bytes_max != 0 && bytes_max < self.bytes {
            self.refuse("sorry, that message size exceeds my databytes limit (#5.3.4)");
        } else if hops_max <= self.header.hops {
            self.refuse("too many hops, this message is looping (#5.4.6)");
        }
        self.write(bytes);
    }

    /// Nobody gets it.
    pub fn abort(self) {
        drop(self.queue);
    }

    /// The message is complete.
    pub fn commit(self, sender: &[u8], recipients: Vec<Vec<u8>>) -> Result<Queued, Refused> {
        let (trace, bytes) = (self.trace, self.bytes);
        let shown = |address: &Vec<u8>| printable(address, EVENT_TEXT_BYTES_MAX);
        let named: Vec<_> = recipients
            .iter()
            .take(EVENT_RECIPIENTS_MAX)
            .map(shown)
            .collect();
        let total = recipients.len();
        let result = self
            .queue
            .and_then(|queue| queue.commit(sender, recipients, Vec::new()));
        let (kind, text) = match &result {
            Ok(queued) => (Kind::Received, format!("ok qp {}", queued.qp)),
            Err(refused) => (Kind::Refused, refused.text.clone()),
        };
        let mut event = self.tracer.event(trace, kind);
        event.sender = Some(printable(sender, EVENT_TEXT_BYTES_MAX));
        event.recipients = named;
        event.total = Some(total as u64);
        event.bytes = Some(bytes);
        event.place = Some(self.ip.clone());
        event.text = Some(text.clone());
        self.tracer.send(&event);
        if self.is_null && result.is_ok() {
            self.tracer.discarded(trace, receiving::NULLQUEUE.variable);
        }
        let line = format!(
            "pid {} from {} MAIL from <{}> RCPT <{}>{} Size: {bytes} {text}",
            std::process::id(),
            self.ip,
            safe(sender),
            event.recipients.first().map_or("", String::as_str),
            if 1 < total { "..." } else { "" },
        );
        run::info(self.program, &line);
        result
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Ok(queue) = &mut self.queue
            && let Err(refused) = queue.write(bytes)
        {
            self.queue = Err(refused);
        }
    }

    /// What was not refused for another reason is, for this one.
    fn refuse(&mut self, text: &str) {
        if self.queue.is_ok() {
            self.queue = Err(Refused {
                permanent: true,
                text: text.to_owned(),
            });
        }
    }
}

/// What strangers are told: the text of the guide, without what our own
/// programs said.
pub fn told(refused: &Refused) -> String {
    let text = refused.text.as_str();
    let end = text
        .find("(#")
        .and_then(|at| Some(at + text[at..].find(')')? + 1));
    match end {
        Some(end) => text[..end].to_owned(),
        None => match refused.permanent {
            true => text.to_owned(),
            false => wire::queue::report(Code::Bug as u8)[1..].to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_hear_no_more_than_the_guide_says() {
        let told = |permanent, text: &str| {
            let text = text.to_owned();
            super::told(&Refused { permanent, text })
        };
        let full = "qq write error or disk full (#4.3.0)";
        assert_eq!(told(false, &format!("{full}: /queue/mess/1: EIO")), full);
        assert_eq!(told(true, "no thanks"), "no thanks");
        assert_eq!(told(false, "secret"), "qq internal bug (#4.3.0)");
    }
}
