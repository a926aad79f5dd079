//! Where messages go: the queue writer, or a program of the site's choice.

use std::sync::Arc;
use std::time::Duration;

use filter::FilterLog;
use inject::{Code, Program};
use listen::{Pipe, Pipes};
use policy::envrules::Change;
use smtp::server::Answer;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use wire::queue::{Reply, Request};
use wire::trace::TraceId;

use crate::program::Running;

/// How long the queue writer may take for anything.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(300);

/// Piece in which a message that was held is handed on.
const HELD_BYTES: usize = 64 * 1024;

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
    Program(Box<Filtered>),
    /// NULLQUEUE: messages are thrown away.
    Null,
    /// QMAILQUEUE makes no sense: nothing is taken, rather than passed by the
    /// filter that it should be.
    Broken(String),
}

/// A program that takes messages, and what is found out before it does.
#[derive(Debug)]
pub struct Filtered {
    /// The program.
    pub program: Program,
    /// Messages are kept until what was found out about them can stand before
    /// them.
    pub holds: bool,
    /// For `LOGFILTER`.
    pub settings: run::Settings,
}

/// A message that began.
#[derive(Debug)]
pub struct Message {
    trace: TraceId,
    /// The message, where it waits for what is found out about it.
    held: Option<Held>,
    /// What filters write to (`LOGFILTER`).
    log: Option<FilterLog>,
    /// Bytes after our own lines.
    bytes: u64,
    /// Why it will not be taken, once that is known.
    refused: Option<Answer>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Held {
    file: tokio::fs::File,
    program: Program,
    wishes: Vec<u8>,
    failed: Option<String>,
}

impl Message {
    /// Its trace.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// The line that a filter wrote for the log, and the FIFO that is told,
    /// too.
    pub fn log(&mut self) -> Option<(FilterLog, u64)> {
        Some((self.log.take()?, self.bytes))
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
        user: Option<&str>,
    ) -> Result<Message, Answer> {
        let mut message = Message {
            trace,
            held: None,
            log: None,
            bytes: 0,
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
            Self::Program(filtered) => {
                let program = filtered.program.clone().with(of_user(user));
                let no_file = |error: filter::Error| Answer::Refused {
                    code: error.exit_code(),
                    text: error.to_string(),
                };
                message.log = FilterLog::begin(&filtered.settings).map_err(no_file)?;
                if filtered.holds {
                    let file = filter::temporary_file().map_err(no_file)?;
                    message.held = Some(Held {
                        file: tokio::fs::File::from_std(file),
                        program,
                        wishes,
                        failed: None,
                    });
                } else {
                    let log = message.log.as_ref();
                    let running = crate::program::start(&program, trace, &wishes, log)?;
                    message.running = Some(running);
                }
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
        message.bytes = 0;
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
        message.bytes += bytes.len() as u64;
        match self {
            Self::Null | Self::Broken(_) => {}
            Self::Program(_) => {
                if let Some(held) = &mut message.held {
                    held.append(&bytes).await;
                }
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
        message: &mut Message,
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
        if let Some(Err(error)) = message.log.as_ref().map(FilterLog::check) {
            run::warn(crate::PROGRAM, &run::chain(&error));
            self.abort(message).await;
            return Answer::Refused {
                code: Code::Custom as u8,
                text: "ZUnable to queue messages (#4.3.0)".to_owned(),
            };
        }
        if let Some(held) = message.held.take() {
            match held.release(message, &extra_headers).await {
                Ok(running) => message.running = Some(running),
                Err(answer) => return answer,
            }
        }
        if let Some(running) = message.running.take() {
            return running.finish(&sender, &recipients).await;
        }
        if matches!(self, Self::Null) {
            return Answer::Queued {
                qp: std::process::id(),
            };
        }
        if let Some(answer) = message.refused.take() {
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
    pub async fn abort(&mut self, message: &mut Message) {
        message.held = None;
        if let Some(running) = message.running.take() {
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

impl Held {
    async fn append(&mut self, bytes: &[u8]) {
        if self.failed.is_none()
            && let Err(error) = self.file.write_all(bytes).await
        {
            self.failed = Some(error.to_string());
        }
    }

    /// Starts the program, with `header` before the message.
    async fn release(mut self, message: &Message, header: &[u8]) -> Result<Running, Answer> {
        let failed = |text: String| Answer::Refused {
            code: Code::TemporaryFile as u8,
            text,
        };
        if let Some(text) = self.failed.take() {
            return Err(failed(text));
        }
        let rewound = async {
            self.file.flush().await?;
            self.file.rewind().await
        };
        rewound.await.map_err(|error| failed(error.to_string()))?;
        let log = message.log.as_ref();
        let mut running = crate::program::start(&self.program, message.trace, &self.wishes, log)?;
        running.write(header).await;
        let mut piece = vec![0; HELD_BYTES];
        loop {
            match self.file.read(&mut piece).await {
                Ok(0) => return Ok(running),
                Ok(length) => running.write(&piece[..length]).await,
                Err(error) => {
                    running.abort();
                    return Err(failed(error.to_string()));
                }
            }
        }
    }
}

/// What a queue program is told about who logged in, as one that may relay.
fn of_user(user: Option<&str>) -> Vec<Change> {
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let variables = |user: &str| {
        [
            ("AUTHINFO", value(user)),
            ("TCPREMOTEINFO", value(user)),
            ("RELAYCLIENT", value("")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    };
    user.map(variables).into_iter().flatten().collect()
}

fn refused(text: String) -> Answer {
    Answer::Refused {
        code: Code::Connection as u8,
        text,
    }
}
