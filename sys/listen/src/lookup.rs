//! Questions to inlookup.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wire::lookup::{Reply, Request, VERSION};

use crate::pipe::{Pipe, Pipes};

/// How long inlookup may take: hashing a password is slow on purpose.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer about secrets is believed.
const SECRETS_AGE_MAX: Duration = Duration::from_secs(30);

/// inlookup, for a session that asks often.
#[derive(Debug)]
pub struct Lookup {
    pipes: Arc<Pipes>,
}

impl Lookup {
    /// Puts a question; trouble is a temporary answer.
    pub async fn ask(&mut self, request: &Request) -> Reply {
        let idle = self.pipes.idle();
        let was_kept = idle.is_some();
        let mut answer = self.ask_once(idle, request).await;
        if was_kept && answer.is_err() {
            // inlookup may have left that connection meanwhile.
            answer = self.ask_once(None, request).await;
        }
        answer.unwrap_or_else(|error| {
            let path = self.pipes.socket().display();
            Reply::Temporary(format!("cannot ask {path}: {error}; is inlookup up?"))
        })
    }

    async fn ask_once(&mut self, idle: Option<Pipe>, request: &Request) -> io::Result<Reply> {
        let talk = async {
            let mut pipe = match idle {
                Some(pipe) => pipe,
                None => self.pipes.connect().await?,
            };
            pipe.send(request).await?;
            let reply = pipe.receive().await?;
            self.pipes.keep(pipe);
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
    pipes: Arc<Pipes>,
    known: Mutex<Option<(Instant, Secrets)>>,
}

impl Inlookup {
    /// Remembers where inlookup listens.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            pipes: Arc::new(Pipes::new(socket, VERSION)),
            known: Mutex::new(None),
        }
    }

    /// A connection for one session.
    pub fn session(&self) -> Lookup {
        Lookup {
            pipes: Arc::clone(&self.pipes),
        }
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
