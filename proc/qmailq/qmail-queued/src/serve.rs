//! One connection: messages one after the other.

use std::os::unix::net::UnixStream;

use message::{Client, Received};
use os::socket::Peer;
use queue::{Addressing, EnvelopeHead, Error, Intake, Queued};
use run::{Link, LinkError};
use scanner::Consequence;
use scanner::companion::{Companion, Scan};
use wire::queue::{RECIPIENTS_MAX, Reply, Request, VERSION};
use wire::trace::{Kind, TraceId};

use crate::PROGRAM;
use crate::service::Service;

/// What a request out of order is refused with.
const CODE_BUG: u8 = 81;
/// What too many recipients are refused with.
const CODE_REFUSED: u8 = 31;
/// What a message is refused with while the program ends.
const CODE_LATER: u8 = 71;
/// What an infected message is refused with.
const CODE_VIRUS: u8 = 33;
/// What a message is refused with when nobody can scan it.
const CODE_SCANNER: u8 = 77;

/// A message that is arriving.
struct Incoming<'a> {
    trace: TraceId,
    client: Option<Client>,
    /// Why it cannot be queued, once that is clear: told when it is complete,
    /// so that every message has exactly one reply.
    stage: Result<Stage<'a>, Refused>,
    queue: String,
    /// How many came so far.
    recipients: u64,
    /// What the sender wants to be told.
    wishes: Vec<u8>,
    /// The text is being scanned.
    scan: Option<Scan>,
    /// The client is told that there is a virus, though the message is kept.
    infected: bool,
}

/// How far a message is.
enum Stage<'a> {
    Text(Box<Intake<'a>>),
    Envelope(Box<Addressing<'a>>),
}

/// Why a message is not queued.
enum Refused {
    ByQueue(Error),
    /// More recipients than [`RECIPIENTS_MAX`].
    TooMany,
    /// Text after recipients.
    Disorder,
    /// A virus, which nobody is to be told of.
    Silently,
    /// The scanner says so, or says nothing: an exit code of qmail-queue(8).
    ByScanner(u8),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::ByQueue(error)
    }
}

/// The end of the envelope as the client sent it.
struct Envelope {
    sender: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    extra_headers: Vec<u8>,
}

/// Serves a client until it closes the connection or makes no sense.
pub fn serve(service: &Service, stream: UnixStream, peer: Peer) {
    let mut link = Link::accepted(stream, service.socket(), VERSION);
    match serve_messages(service, &mut link, peer) {
        // A client that went away is no news; its message is gone with it.
        Ok(()) | Err(LinkError::Io { .. }) => {}
        Err(error) => {
            let text = run::chain(&error);
            run::warn(PROGRAM, &format!("uid {}: {text}", peer.uid));
            let _ = link.send(&Reply::Refused {
                code: CODE_BUG,
                text,
            });
        }
    }
}

fn serve_messages(service: &Service, link: &mut Link, peer: Peer) -> Result<(), LinkError> {
    let mut incoming: Option<Incoming<'_>> = None;
    while let Some(request) = link.receive()? {
        match (request, incoming.take()) {
            (Request::Begin { trace, remote_ip }, _) => {
                let ip = remote_ip.and_then(|ip| ip.parse().ok());
                let client = ip.map(|ip| Client::new(ip, &service.host));
                incoming = Some(begin(service, peer, trace, client));
            }
            (Request::Data(piece), Some(mut message)) => {
                message.take(&piece);
                incoming = Some(message);
            }
            (
                Request::Commit {
                    sender,
                    recipients,
                    extra_headers,
                },
                Some(message),
            ) => {
                let envelope = Envelope {
                    sender,
                    recipients,
                    extra_headers,
                };
                link.send(&message.commit(service, peer, &envelope))?;
            }
            (Request::Dsn(lines), Some(mut message)) => {
                message.wishes = lines;
                incoming = Some(message);
            }
            (Request::Recipients { sender, recipients }, Some(mut message)) => {
                message.address(service, peer, &sender, &recipients);
                incoming = Some(message);
            }
            (Request::Abort, _) => {}
            (
                Request::Data(_)
                | Request::Dsn(_)
                | Request::Recipients { .. }
                | Request::Commit { .. },
                None,
            ) => {
                let text = "no message has begun".to_owned();
                link.send(&Reply::Refused {
                    code: CODE_BUG,
                    text,
                })?;
                return Ok(());
            }
        }
    }
    Ok(())
}

fn begin<'a>(
    service: &'a Service,
    peer: Peer,
    trace: TraceId,
    client: Option<Client>,
) -> Incoming<'a> {
    let index = os::clock::random() % service.writers.len() as u64;
    let writer = &service.writers[index as usize];
    let received = Received {
        pid: std::process::id(),
        origin: service.origins.of(peer.uid),
        client: client.clone(),
        time: os::clock::unix_seconds(),
    };
    let mut scan = None;
    let mut begun = Ok(());
    if let Some(companion) = &service.companion {
        match companion.begin() {
            Ok(begun) => scan = Some(begun),
            Err(_) => begun = Err(Refused::ByScanner(CODE_SCANNER)),
        }
    }
    Incoming {
        trace,
        client,
        scan,
        infected: false,
        stage: begun.and_then(|()| {
            Intake::begin(writer, &service.additions, &received, trace)
                .map(|intake| Stage::Text(Box::new(intake)))
                .map_err(Refused::from)
        }),
        queue: writer.layout().name(),
        recipients: 0,
        wishes: Vec::new(),
    }
}

impl Incoming<'_> {
    fn take(&mut self, piece: &[u8]) {
        if let Some(scan) = &mut self.scan {
            scan.write(piece);
        }
        let result = match &mut self.stage {
            Ok(Stage::Text(intake)) => intake.write(piece).map_err(Refused::from),
            Ok(Stage::Envelope(_)) => Err(Refused::Disorder),
            Err(_) => return,
        };
        if let Err(refused) = result {
            // Dropping the text takes back what is on disk.
            self.stage = Err(refused);
        }
    }

    /// Takes recipients; the first call ends the text.
    fn address(&mut self, service: &Service, peer: Peer, sender: &[u8], recipients: &[Vec<u8>]) {
        self.recipients += recipients.len() as u64;
        if let (Some(companion), Some(scan)) = (&service.companion, self.scan.take())
            && let Ok(Stage::Text(intake)) = &mut self.stage
        {
            match judge(companion, scan, intake) {
                Ok(infected) => self.infected = infected,
                Err(refused) => self.stage = Err(refused),
            }
        }
        let stage = std::mem::replace(&mut self.stage, Err(Refused::TooMany));
        if self.recipients <= RECIPIENTS_MAX {
            self.stage = stage.and_then(|stage| Ok(stage.address(peer, sender, recipients)?));
        }
    }

    fn commit(self, service: &Service, peer: Peer, envelope: &Envelope) -> Reply {
        let (queue, trace) = (self.queue.clone(), self.trace);
        let refused = match service.sync(|| self.queue(service, peer, envelope)) {
            Some(Ok(queued)) => {
                return Reply::Queued {
                    message: queued.id,
                    queue,
                    qp: std::process::id(),
                };
            }
            Some(Err(refused)) => refused,
            None => {
                return Reply::Refused {
                    code: CODE_LATER,
                    text: "queue writer is ending".to_owned(),
                };
            }
        };
        let (code, text) = match refused {
            Refused::ByQueue(error) => (error.exit_code(), run::chain(&error)),
            Refused::TooMany => (
                CODE_REFUSED,
                format!("more than {RECIPIENTS_MAX} recipients"),
            ),
            Refused::Disorder => (CODE_BUG, "text after recipients".to_owned()),
            Refused::ByScanner(CODE_VIRUS) => (CODE_VIRUS, "by QHPSI".to_owned()),
            Refused::ByScanner(code) => (code, "QHPSI gives no verdict".to_owned()),
            Refused::Silently => {
                let text = format!("threw away an infected message of uid {}", peer.uid);
                run::info(PROGRAM, &text);
                service.tracer.discarded(trace, "QHPSI");
                return Reply::Queued {
                    message: 0,
                    queue,
                    qp: std::process::id(),
                };
            }
        };
        run::warn(
            PROGRAM,
            &format!("message of uid {} not queued: {text}", peer.uid),
        );
        Reply::Refused { code, text }
    }

    fn queue(
        mut self,
        service: &Service,
        peer: Peer,
        envelope: &Envelope,
    ) -> Result<Queued, Refused> {
        self.address(service, peer, &envelope.sender, &envelope.recipients);
        // Having been addressed it is an envelope.
        let Stage::Envelope(mut addressing) = self.stage? else {
            return Err(Refused::Disorder);
        };
        addressing.wish(&self.wishes);
        let log_lines = addressing.log_lines();
        let mut event = service.tracer.event(self.trace, Kind::Queued);
        event.place = self.client.map(|client| client.ip.to_string());
        let queued = addressing.commit(&envelope.extra_headers, &mut event)?;
        service.tracer.send(&event);
        log_lines.iter().for_each(|line| run::info(PROGRAM, line));
        match self.infected {
            true => Err(Refused::ByScanner(CODE_VIRUS)),
            false => Ok(queued),
        }
    }
}

/// Waits for the scanner and does what it means for the message; says whether
/// the client is to hear of a virus in a message that is kept.
fn judge(companion: &Companion, scan: Scan, intake: &mut Intake<'_>) -> Result<bool, Refused> {
    let finding = scan.finish().map_err(Refused::ByScanner)?;
    if let Some(line) = finding.header() {
        intake.note(line);
    }
    match companion.scanner.consequence(finding) {
        Consequence::Pass => Ok(false),
        Consequence::Discard => Err(Refused::Silently),
        Consequence::Refuse => Err(Refused::ByScanner(CODE_VIRUS)),
        Consequence::Forward(address) => {
            intake.redirect(address);
            Ok(false)
        }
        Consequence::ForwardAndRefuse(address) => {
            intake.redirect(address);
            Ok(true)
        }
    }
}

impl Stage<'_> {
    fn address(self, peer: Peer, sender: &[u8], recipients: &[Vec<u8>]) -> Result<Self, Error> {
        let mut addressing = match self {
            Self::Envelope(addressing) => addressing,
            Self::Text(intake) => Box::new(intake.envelope(EnvelopeHead {
                uid: peer.uid,
                pid: std::process::id(),
                sender,
            })?),
        };
        for recipient in recipients {
            addressing.add(recipient)?;
        }
        Ok(Self::Envelope(addressing))
    }
}
