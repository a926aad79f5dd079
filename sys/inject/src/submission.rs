//! One message on its way, for callers that may wait.

use std::time::Duration;

use run::{Home, Link, LinkError};
use wire::queue::{DATA_BYTES_MAX, Reply, Request, VERSION};
use wire::trace::TraceId;

use crate::{Code, Program, Refused, Running, Way, records};

/// How long the queue writer may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Where a message is queued.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Queued {
    /// Process that queued it, for the `qp` of reports.
    pub qp: u32,
    /// Name of the queue and number in it, when the writer said so.
    pub place: Option<(String, u64)>,
}

/// A message on its way. Dropped before [`Submission::commit`] it leaves
/// nothing behind.
#[derive(Debug)]
pub struct Submission(Inner);

#[derive(Debug)]
enum Inner {
    Nowhere,
    Link(Link),
    Running(Running),
}

impl Submission {
    /// Starts a message. `remote_ip` is where it came from; `wishes` what its
    /// sender wants to be told, as lines of [`wire::dsn`].
    pub fn begin(
        home: &Home,
        way: &Way,
        trace: TraceId,
        remote_ip: Option<String>,
        wishes: &[u8],
    ) -> Result<Self, Refused> {
        let run = |program: &Program| Ok(Self(Inner::Running(program.start(trace, wishes)?)));
        match way {
            Way::Nowhere => Ok(Self(Inner::Nowhere)),
            Way::Program(program) => run(program),
            Way::Writer(program) => match Self::to_writer(home, trace, remote_ip, wishes) {
                Some(submission) => Ok(submission),
                // The program does as well.
                None => run(program),
            },
        }
    }

    /// Starts a message at the persistent writer; `None` without one. One that
    /// is about to end may still have taken the connection.
    pub fn to_writer(
        home: &Home,
        trace: TraceId,
        remote_ip: Option<String>,
        wishes: &[u8],
    ) -> Option<Self> {
        let mut link = Link::connect(&home.socket("queue"), VERSION, ANSWER_TIMEOUT).ok()?;
        link.send(&Request::Begin { trace, remote_ip }).ok()?;
        if !wishes.is_empty() {
            link.send(&Request::Dsn(wishes.to_vec())).ok()?;
        }
        Some(Self(Inner::Link(link)))
    }

    /// Sends a piece of the message.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Refused> {
        match &mut self.0 {
            Inner::Nowhere => {}
            Inner::Running(running) => running.write(piece),
            Inner::Link(link) => {
                for part in piece.chunks(DATA_BYTES_MAX) {
                    send(link, &Request::Data(part.to_vec()))?;
                }
            }
        }
        Ok(())
    }

    /// Ends the message and sends its envelope. After this it is on disk.
    pub fn commit(
        self,
        sender: &[u8],
        recipients: Vec<Vec<u8>>,
        extra_headers: Vec<u8>,
    ) -> Result<Queued, Refused> {
        let mut link = match self.0 {
            Inner::Nowhere => {
                return Ok(Queued {
                    qp: std::process::id(),
                    place: None,
                });
            }
            Inner::Running(running) => {
                let qp = running.commit(&records(sender, &recipients))?;
                return Ok(Queued { qp, place: None });
            }
            Inner::Link(link) => link,
        };
        for request in wire::queue::closing(sender.to_vec(), recipients, extra_headers) {
            send(&mut link, &request)?;
        }
        let reply = link.receive().map_err(|error| broken(&error))?;
        match reply.map(Refused::from_reply).transpose()? {
            Some(Reply::Queued { message, queue, qp }) => Ok(Queued {
                qp,
                place: Some((queue, message)),
            }),
            _ => Err(Refused::because(
                Code::Connection,
                "it closed without an answer",
            )),
        }
    }
}

/// Sends one request; when that fails the writer may have said why before it
/// hung up.
fn send(link: &mut Link, request: &Request) -> Result<(), Refused> {
    match link.send(request) {
        Ok(()) => Ok(()),
        // Only an address can be too long for a frame.
        Err(error @ LinkError::Frame { .. }) => {
            Err(Refused::because(Code::Address, run::chain(&error)))
        }
        Err(error) => Err(match link.receive() {
            Ok(Some(Reply::Refused { code, text })) => Refused::from_code(code, text.as_bytes()),
            _ => broken(&error),
        }),
    }
}

fn broken(error: &LinkError) -> Refused {
    Refused::because(Code::Connection, run::chain(error))
}
