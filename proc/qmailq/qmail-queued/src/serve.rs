//! One connection: messages one after the other.

use std::os::unix::net::UnixStream;

use message::{Client, Received};
use os::socket::Peer;
use queue::{EnvelopeHead, Error, Intake, Queued};
use run::{Link, LinkError};
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

/// A message that is arriving.
struct Incoming<'a> {
    trace: TraceId,
    client: Option<Client>,
    /// Why it cannot be queued, once that is clear: told when it is complete,
    /// so that every message has exactly one reply.
    intake: Result<Intake<'a>, Error>,
    queue: String,
    /// What the sender wants to be told.
    wishes: Vec<u8>,
}

/// The envelope as the client sent it.
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
            (Request::Abort, _) => {}
            (Request::Data(_) | Request::Dsn(_) | Request::Commit { .. }, None) => {
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
    Incoming {
        trace,
        client,
        intake: Intake::begin(writer, &service.additions, &received, trace),
        queue: writer.layout().name(),
        wishes: Vec::new(),
    }
}

impl Incoming<'_> {
    fn take(&mut self, piece: &[u8]) {
        if let Ok(intake) = &mut self.intake
            && let Err(error) = intake.write(piece)
        {
            // Dropping the text takes back what is on disk.
            self.intake = Err(error);
        }
    }

    fn commit(self, service: &Service, peer: Peer, envelope: &Envelope) -> Reply {
        if RECIPIENTS_MAX < envelope.recipients.len() {
            let text = format!("more than {RECIPIENTS_MAX} recipients");
            return Reply::Refused {
                code: CODE_REFUSED,
                text,
            };
        }
        let queue = self.queue.clone();
        match service.sync(|| self.queue(service, peer, envelope)) {
            Some(Ok(queued)) => Reply::Queued {
                message: queued.id,
                queue,
                qp: std::process::id(),
            },
            Some(Err(error)) => {
                let text = run::chain(&error);
                run::warn(
                    PROGRAM,
                    &format!("message of uid {} not queued: {text}", peer.uid),
                );
                Reply::Refused {
                    code: error.exit_code(),
                    text,
                }
            }
            None => Reply::Refused {
                code: CODE_LATER,
                text: "queue writer is ending".to_owned(),
            },
        }
    }

    fn queue(self, service: &Service, peer: Peer, envelope: &Envelope) -> Result<Queued, Error> {
        let pid = std::process::id();
        let head = EnvelopeHead {
            uid: peer.uid,
            pid,
            sender: &envelope.sender,
        };
        let mut addressing = self.intake?.envelope(head)?;
        for recipient in &envelope.recipients {
            addressing.add(recipient)?;
        }
        addressing.wish(&self.wishes);
        let log_lines = addressing.log_lines();
        let mut event = service.tracer.event(self.trace, Kind::Queued);
        event.place = self.client.map(|client| client.ip.to_string());
        let queued = addressing.commit(&envelope.extra_headers, &mut event)?;
        service.tracer.send(&event);
        log_lines.iter().for_each(|line| run::info(PROGRAM, line));
        Ok(queued)
    }
}
