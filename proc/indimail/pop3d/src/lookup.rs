//! Questions to inlookup.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sasl::Mechanism;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::frame::{self, Decoder};
use wire::lookup::{Reply, Request, VERSION};

/// How long inlookup may think.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer about mechanisms is believed.
const MECHANISMS_AGE_MAX: Duration = Duration::from_secs(30);

/// The way to inlookup.
#[derive(Debug)]
pub struct Lookup {
    socket: PathBuf,
    mechanisms: Mutex<Option<(Instant, Vec<Mechanism>)>>,
}

impl Lookup {
    /// Remembers where inlookup listens.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            mechanisms: Mutex::new(None),
        }
    }

    /// Asks; what goes wrong is a temporary answer.
    pub async fn ask(&self, request: &Request) -> Reply {
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        let error = match answer {
            Ok(Ok(reply)) => return reply,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Reply::Temporary(format!("{}: {error}", self.socket.display()))
    }

    /// Mechanisms that users have secrets for; the plain ones when inlookup
    /// cannot say.
    pub async fn mechanisms(&self) -> Vec<Mechanism> {
        let known = self.mechanisms.lock().ok().and_then(|known| known.clone());
        if let Some((when, mechanisms)) = known
            && when.elapsed() < MECHANISMS_AGE_MAX
        {
            return mechanisms;
        }
        let mut mechanisms = vec![Mechanism::Plain, Mechanism::Login];
        if let Reply::Mechanisms {
            cram_md5,
            scram_sha_256,
        } = self.ask(&Request::Mechanisms).await
        {
            if scram_sha_256 {
                mechanisms.insert(0, Mechanism::ScramSha256);
            }
            if cram_md5 {
                mechanisms.push(Mechanism::CramMd5);
            }
            if let Ok(mut known) = self.mechanisms.lock() {
                *known = Some((Instant::now(), mechanisms.clone()));
            }
        }
        mechanisms
    }

    async fn exchange(&self, request: &Request) -> io::Result<Reply> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut stream = UnixStream::connect(&self.socket).await?;
        let question = frame::encode(VERSION, request).map_err(invalid)?;
        stream.write_all(&question).await?;
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(reply) = decoder.next(VERSION).map_err(invalid)? {
                return Ok(reply);
            }
            match stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => decoder.push(&buffer[..got]),
            }
        }
    }
}
