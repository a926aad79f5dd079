//! One connection: messages one after the other.

use std::os::unix::net::UnixStream;

use message::{Client, Collector, Received};
use os::socket::Peer;
use queue::{Disk, EnvelopeHead, Error, Text, message_id};
use run::{Link, LinkError};
use wire::queue::{RECIPIENTS_MAX, Reply, Request, VERSION};
use wire::trace::{Event, Kind, TraceId};

use crate::PROGRAM;
use crate::service::{Service, chain};

/// Most recipients named in the trace event.
const RECIPIENTS_TRACED_MAX: usize = 50;
/// Most bytes of header lines for the `e` record.
const EXTRA_HEADER_BYTES_MAX: usize = 64 * 1024;
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
    text: Result<Text<'a, Disk>, Error>,
    queue: String,
    collector: Collector,
    bytes: u64,
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
            let text = chain(&error);
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
            (Request::Abort, _) => {}
            (Request::Data(_) | Request::Commit { .. }, None) => {
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
    let mut incoming = Incoming {
        trace,
        client,
        text: writer.begin(),
        queue: writer.layout().name(),
        collector: service.additions.collector(),
        bytes: 0,
    };
    incoming.write(received.to_string().as_bytes());
    incoming
}

impl Incoming<'_> {
    fn take(&mut self, piece: &[u8]) {
        self.collector.push(piece);
        self.write(piece);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Ok(text) = &mut self.text
            && let Err(error) = text.write(bytes)
        {
            // Dropping the text takes back what is on disk.
            self.text = Err(error);
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
        if EXTRA_HEADER_BYTES_MAX < envelope.extra_headers.len() {
            let text = format!("more than {EXTRA_HEADER_BYTES_MAX} bytes of extra header");
            return Reply::Refused {
                code: CODE_REFUSED,
                text,
            };
        }
        let done = service.sync(|| self.write_envelope(service, peer, envelope));
        match done {
            Some(Ok((event, message, queue))) => {
                service.tracer.send(&event);
                Reply::Queued {
                    message,
                    queue,
                    qp: std::process::id(),
                }
            }
            Some(Err(error)) => {
                let text = chain(&error);
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

    fn write_envelope(
        self,
        service: &Service,
        peer: Peer,
        envelope: &Envelope,
    ) -> Result<(Event, u64, String), Error> {
        let collected = self.collector.finish();
        let env_headers = service.additions.env_headers(self.trace, &collected);
        let pid = std::process::id();
        let head = EnvelopeHead {
            uid: peer.uid,
            pid,
            sender: &envelope.sender,
        };
        let mut recipients = self.text?.envelope(head)?;
        let added = service.additions.recipients();
        for recipient in added.iter().chain(&envelope.recipients) {
            recipients.add(recipient)?;
        }
        let queued = recipients.commit(&complete(&envelope.extra_headers), &env_headers)?;

        let mut event = service.tracer.event(self.trace, Kind::Queued);
        event.queue = Some(self.queue.clone());
        event.message = Some(queued.id);
        event.sender = Some(printable(&envelope.sender));
        let traced = envelope.recipients.iter().take(RECIPIENTS_TRACED_MAX);
        event.recipients = traced.map(|recipient| printable(recipient)).collect();
        event.message_id = message_id(&collected);
        event.bytes = Some(self.bytes);
        event.place = self.client.map(|client| client.ip.to_string());
        Ok((event, queued.id, self.queue))
    }
}

/// Header lines end in a newline.
fn complete(lines: &[u8]) -> Vec<u8> {
    let mut lines: Vec<u8> = lines.iter().copied().filter(|&b| b != 0).collect();
    if lines.last().is_some_and(|&last| last != b'\n') {
        lines.push(b'\n');
    }
    lines
}

fn printable(address: &[u8]) -> String {
    text::log::printable(address, address.len())
}
