//! Questions to inlookup.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sasl::Mechanism;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use wire::frame::{self, Decoder};
use wire::lookup::{Reply, Request, VERSION};

/// How long inlookup may take: hashing a password is slow on purpose.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the list of mechanisms is believed.
const MECHANISMS_AGE_MAX: Duration = Duration::from_secs(60);

/// Frames over a Unix socket, as `run::Link`, without blocking.
#[derive(Debug)]
pub struct Pipe {
    pub stream: UnixStream,
    decoder: Decoder,
    version: u8,
}

impl Pipe {
    pub async fn connect(path: &std::path::Path, version: u8) -> io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(path).await?,
            decoder: Decoder::default(),
            version,
        })
    }

    pub async fn send<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let bytes = frame::encode(self.version, value).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await
    }

    /// The next value; the end of the connection is an error.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut buffer = [0; 4096];
        loop {
            match self.decoder.next(self.version) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            match self.stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.decoder.push(&buffer[..length]),
            }
        }
    }
}

/// inlookup, as one session sees it.
#[derive(Debug)]
pub struct Lookup {
    socket: PathBuf,
    pipe: Option<Pipe>,
}

impl Lookup {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, pipe: None }
    }

    /// Puts a question; trouble is a temporary answer.
    pub async fn ask(&mut self, request: &Request) -> Reply {
        // The connection may be one that inlookup has left meanwhile.
        let again = self.pipe.is_some();
        let mut answer = self.ask_once(request).await;
        if again && answer.is_err() {
            answer = self.ask_once(request).await;
        }
        answer.unwrap_or_else(|error| {
            let path = self.socket.display();
            Reply::Temporary(format!("cannot ask {path}: {error}; is inlookup up?"))
        })
    }

    async fn ask_once(&mut self, request: &Request) -> io::Result<Reply> {
        let talk = async {
            let mut pipe = match self.pipe.take() {
                Some(pipe) => pipe,
                None => Pipe::connect(&self.socket, VERSION).await?,
            };
            pipe.send(request).await?;
            let reply = pipe.receive().await?;
            self.pipe = Some(pipe);
            Ok(reply)
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, talk).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Which mechanisms users have secrets for, asked once in a while.
#[derive(Debug)]
pub struct Mechanisms {
    socket: PathBuf,
    known: Mutex<Option<(Instant, Arc<Vec<Mechanism>>)>>,
}

impl Mechanisms {
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            known: Mutex::default(),
        }
    }

    /// What can be offered. PLAIN and LOGIN always can: when inlookup is away
    /// the client is told so when it tries.
    pub async fn offered(&self) -> Vec<Mechanism> {
        let mut known = self.known.lock().await;
        if let Some((since, mechanisms)) = &*known
            && since.elapsed() < MECHANISMS_AGE_MAX
        {
            return mechanisms.to_vec();
        }
        let mut mechanisms = vec![Mechanism::Plain, Mechanism::Login];
        let reply = Lookup::new(self.socket.clone())
            .ask(&Request::Mechanisms)
            .await;
        if let Reply::Mechanisms {
            cram_md5,
            scram_sha_256,
        } = reply
        {
            mechanisms.extend(scram_sha_256.then_some(Mechanism::ScramSha256));
            mechanisms.extend(cram_md5.then_some(Mechanism::CramMd5));
            *known = Some((Instant::now(), Arc::new(mechanisms.clone())));
        }
        mechanisms
    }
}
