//! Questions to the verifier, and a copy of a message for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use listen::{Pipe, Pipes};
use wire::verify::{Message, Reply, Request};

/// How long the verifier may take; it has limits of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The verifier, for one session.
#[derive(Debug)]
pub struct Verifier {
    pipes: Arc<Pipes>,
    /// The connection on which a message is on its way.
    open: Option<Box<Pipe>>,
}

impl Verifier {
    pub fn new(pipes: Arc<Pipes>) -> Self {
        Self { pipes, open: None }
    }

    /// Puts a question; trouble is a temporary answer.
    pub async fn ask(&mut self, request: &Request) -> Reply {
        let talk = async {
            let mut pipe = match (request, self.open.take()) {
                (Request::End, Some(pipe)) => *pipe,
                (Request::End, None) => return Err(io::ErrorKind::NotConnected.into()),
                _ => self.pipes.take().await?,
            };
            pipe.send(request).await?;
            let reply = pipe.receive().await?;
            self.pipes.keep(pipe);
            Ok(reply)
        };
        let answer: io::Result<Reply> = match tokio::time::timeout(ANSWER_TIMEOUT, talk).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        answer.unwrap_or_else(|error| {
            let path = self.pipes.socket().display();
            Reply::Temporary(format!("cannot ask {path}: {error}; is verifier up?"))
        })
    }

    /// A message follows. Trouble shows when the verdict is asked for.
    pub async fn examine(&mut self, about: Message) {
        self.open = None;
        let begin = async {
            let mut pipe = self.pipes.take().await?;
            pipe.send_soon(&Request::Message(about)).await?;
            Ok::<_, io::Error>(pipe)
        };
        if let Ok(Ok(pipe)) = tokio::time::timeout(ANSWER_TIMEOUT, begin).await {
            self.open = Some(Box::new(pipe));
        }
    }

    /// Bytes of it.
    pub async fn append(&mut self, bytes: &[u8]) {
        let Some(mut pipe) = self.open.take() else {
            return;
        };
        let data = Request::Data(bytes.to_vec());
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, pipe.send_soon(&data)).await;
        if matches!(sent, Ok(Ok(()))) {
            self.open = Some(pipe);
        }
    }

    /// Forgets it.
    pub fn abort(&mut self) {
        self.open = None;
    }
}
