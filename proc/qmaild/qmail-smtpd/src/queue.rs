//! Where messages go: the queue writer, or a program of the site's choice.

use std::sync::Arc;
use std::time::Duration;

use inject::{Code, Program};
use listen::{Pipe, Pipes};
use smtp::server::Answer;
use wire::queue::{Reply, Request};
use wire::trace::TraceId;

/// How long the queue writer may take for anything.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(300);

/// A way into the queue, for one session.
#[derive(Debug)]
pub enum Queue {
    /// `run/queue`.
    Writer {
        /// Connections to it.
        pipes: Arc<Pipes>,
        /// That of the message being sent.
        pipe: Option<Box<Pipe>>,
    },
    /// QMAILQUEUE.
    Program(Program),
    /// NULLQUEUE: messages are thrown away.
    Null,
    /// QMAILQUEUE makes no sense: nothing is taken, rather than passed by the
    /// filter that it should be.
    Broken(String),
}

/// A message that began.
#[derive(Debug)]
pub struct Message {
    trace: TraceId,
    /// Why it will not be taken, once that is known.
    refused: Option<Answer>,
    running: Option<crate::program::Running>,
}

impl Message {
    /// Its trace.
    pub fn trace(&self) -> TraceId {
        self.trace
    }
}

impl Queue {
    /// Begins a message and writes its first lines; `wishes` are the lines
    /// of [`wire::dsn`].
    pub async fn begin(
        &mut self,
        trace: TraceId,
        header: Vec<u8>,
        wishes: Vec<u8>,
        ip: &str,
    ) -> Result<Message, Answer> {
        let mut message = Message {
            trace,
            refused: None,
            running: None,
        };
        match self {
            Self::Null => {}
            Self::Broken(text) => {
                return Err(Answer::Refused {
                    code: Code::Configuration as u8,
                    text: text.clone(),
                });
            }
            Self::Program(program) => {
                let running = crate::program::start(program, trace, &wishes)?;
                message.running = Some(running);
            }
            Self::Writer { pipes, pipe } => {
                let taken = pipes.take().await.map_err(|error| {
                    let path = pipes.socket().display();
                    let text = format!("cannot reach {path}: {error}; is qmail-queued up?");
                    refused(text)
                })?;
                *pipe = Some(Box::new(taken));
                let begin = Request::Begin {
                    trace,
                    remote_ip: Some(ip.to_owned()),
                };
                self.send_soon(&begin, &mut message).await;
                if !wishes.is_empty() && message.refused.is_none() {
                    self.send_soon(&Request::Dsn(wishes), &mut message).await;
                }
            }
        }
        self.append(&mut message, header).await;
        match message.refused {
            Some(answer) => Err(answer),
            None => Ok(message),
        }
    }

    /// Writes bytes. Trouble is kept for [`Queue::commit`].
    pub async fn append(&mut self, message: &mut Message, bytes: Vec<u8>) {
        if message.refused.is_some() {
            return;
        }
        match self {
            Self::Null | Self::Broken(_) => {}
            Self::Program(_) => {
                if let Some(running) = &mut message.running {
                    running.write(&bytes).await;
                }
            }
            Self::Writer { .. } => self.send_soon(&Request::Data(bytes), message).await,
        }
    }

    /// Ends the message; nothing is queued unless the answer says so.
    pub async fn commit(
        &mut self,
        mut message: Message,
        sender: Vec<u8>,
        recipients: Vec<Vec<u8>>,
        extra_headers: Vec<u8>,
    ) -> Answer {
        if recipients.is_empty() {
            self.abort(message).await;
            return Answer::Queued {
                qp: std::process::id(),
            };
        }
        if let Some(running) = message.running.take() {
            return running.finish(&sender, &recipients).await;
        }
        if matches!(self, Self::Null) {
            return Answer::Queued {
                qp: std::process::id(),
            };
        }
        if let Some(answer) = message.refused {
            return answer;
        }
        for request in wire::queue::closing(sender, recipients, extra_headers) {
            let Some(pipe) = self.pipe() else { break };
            let sent = tokio::time::timeout(QUEUE_TIMEOUT, pipe.send(&request)).await;
            if !matches!(sent, Ok(Ok(()))) {
                // The writer may have said why.
                break;
            }
        }
        self.verdict().await
    }

    /// The rule by which a message for these recipients goes nowhere, though
    /// it is taken.
    pub fn throws_away(&self, recipients: &[Vec<u8>]) -> Option<&'static str> {
        match self {
            _ if recipients.is_empty() => Some("blackhole"),
            Self::Null => Some("NULLQUEUE"),
            _ => None,
        }
    }

    /// Forgets a message.
    pub async fn abort(&mut self, message: Message) {
        if let Some(running) = message.running {
            running.abort();
        } else if let Self::Writer { pipe, .. } = self {
            // A connection that ends leaves nothing behind.
            *pipe = None;
        }
    }

    fn pipe(&mut self) -> Option<&mut Pipe> {
        match self {
            Self::Writer { pipe, .. } => pipe.as_deref_mut(),
            _ => None,
        }
    }

    /// Sends a part of a message; when that fails, the writer may have said
    /// why.
    async fn send_soon(&mut self, request: &Request, message: &mut Message) {
        let Some(pipe) = self.pipe() else { return };
        let sent = tokio::time::timeout(QUEUE_TIMEOUT, pipe.send_soon(request)).await;
        if !matches!(sent, Ok(Ok(()))) {
            let answer = self.verdict().await;
            message.refused = Some(match answer {
                Answer::Refused { .. } => answer,
                _ => refused("the queue writer answered too early".to_owned()),
            });
        }
    }

    /// Waits for what the writer says about the message.
    async fn verdict(&mut self) -> Answer {
        let Self::Writer { pipes, pipe } = self else {
            return refused("no queue writer".to_owned());
        };
        let Some(mut pipe) = pipe.take() else {
            return refused("no connection to the queue writer".to_owned());
        };
        match tokio::time::timeout(QUEUE_TIMEOUT, pipe.receive()).await {
            Ok(Ok(Reply::Queued { qp, .. })) => {
                pipes.keep(*pipe);
                Answer::Queued { qp }
            }
            Ok(Ok(Reply::Refused { code, text })) => Answer::Refused { code, text },
            Ok(Err(error)) => refused(format!("the queue writer went away: {error}")),
            Err(_) => refused("the queue writer does not answer".to_owned()),
        }
    }
}

fn refused(text: String) -> Answer {
    Answer::Refused {
        code: Code::Connection as u8,
        text,
    }
}
