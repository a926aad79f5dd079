//! Questions to inlookup, and frames over Unix sockets in general.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::frame::{self, Decoder};
use wire::lookup::{Reply, Request, VERSION};

/// How long inlookup may take: hashing a password is slow on purpose.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer about secrets is believed.
const SECRETS_AGE_MAX: Duration = Duration::from_secs(30);

/// A connection to another of our programs, as `run::Link`, without blocking.
#[derive(Debug)]
pub struct Pipe {
    stream: UnixStream,
    decoder: Decoder,
    version: u8,
}

impl Pipe {
    /// Connects to a socket where this version of a protocol is spoken.
    pub async fn connect(path: &Path, version: u8) -> io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(path).await?,
            decoder: Decoder::default(),
            version,
        })
    }

    /// Sends one value.
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

    /// Says whether the other side has closed a connection between values.
    pub async fn is_gone(&mut self) -> bool {
        let mut byte = [0; 1];
        let read = self.stream.read(&mut byte);
        // Nothing to read is what a living connection has.
        tokio::time::timeout(Duration::ZERO, read).await.is_ok()
    }
}

/// inlookup, for a session that asks often: the connection is kept.
#[derive(Debug)]
pub struct Lookup {
    socket: PathBuf,
    pipe: Option<Pipe>,
}

impl Lookup {
    /// Remembers where inlookup listens.
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

/// What users have secrets for, beside plain passwords.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Secrets {
    /// CRAM-MD5 (RFC 2195).
    pub cram_md5: bool,
    /// SCRAM-SHA-256 (RFC 7677).
    pub scram_sha_256: bool,
}

/// inlookup, for all sessions of a process that ask once or twice.
#[derive(Debug)]
pub struct Inlookup {
    socket: PathBuf,
    known: Mutex<Option<(Instant, Secrets)>>,
}

impl Inlookup {
    /// Remembers where inlookup listens.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            known: Mutex::new(None),
        }
    }

    /// A connection for one session.
    pub fn session(&self) -> Lookup {
        Lookup::new(self.socket.clone())
    }

    /// Puts one question; trouble is a temporary answer.
    pub async fn ask(&self, request: &Request) -> Reply {
        self.session().ask(request).await
    }

    /// What users have secrets for, asked once in a while; nothing when
    /// inlookup has never said. Nobody waits for another's question.
    pub async fn secrets(&self) -> Secrets {
        let known = self.known.lock().ok().and_then(|known| *known);
        if let Some((when, secrets)) = known
            && when.elapsed() < SECRETS_AGE_MAX
        {
            return secrets;
        }
        let reply = self.ask(&Request::Mechanisms).await;
        let Reply::Mechanisms {
            cram_md5,
            scram_sha_256,
        } = reply
        else {
            return known.map(|(_, secrets)| secrets).unwrap_or_default();
        };
        let secrets = Secrets {
            cram_md5,
            scram_sha_256,
        };
        if let Ok(mut known) = self.known.lock() {
            *known = Some((Instant::now(), secrets));
        }
        secrets
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use run::Link;

    use super::*;

    #[tokio::test]
    async fn trouble_is_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let inlookup = Inlookup::new(directory.path().join("inlookup"));
        assert!(matches!(
            inlookup.ask(&Request::Mechanisms).await,
            Reply::Temporary(text) if text.contains("is inlookup up?")
        ));
        assert_eq!(inlookup.secrets().await, Secrets::default());
    }

    #[tokio::test]
    async fn a_connection_that_was_left_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("inlookup");
        let listener = UnixListener::bind(&socket).unwrap();
        let path = socket.clone();
        std::thread::spawn(move || {
            // One answer a connection.
            for stream in listener.incoming().flatten() {
                let mut link = Link::accepted(stream, &path, VERSION);
                let _: Option<Request> = link.receive().unwrap();
                link.send(&Reply::Mechanisms {
                    cram_md5: false,
                    scram_sha_256: true,
                })
                .unwrap();
            }
        });
        let inlookup = Inlookup::new(socket);
        let mut lookup = inlookup.session();
        for _ in 0..3 {
            let reply = lookup.ask(&Request::Mechanisms).await;
            assert!(matches!(reply, Reply::Mechanisms { .. }));
        }
        assert!(inlookup.secrets().await.scram_sha_256);
    }
}
