//! Drives one session: sockets, lookups and disk around [`pop3::Session`].

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use listen::{End, Guest, Inlookup, Secrets, TlsMode};
use pop3::{Body, Encryption, Offer, Opened, Session, Step, Update};
use run::chain;
use sasl::Mechanism;
use sasl::server::Question;
use tokio::task::spawn_blocking;
use wire::lookup::{Account, Login, Reply, Service};

use crate::log::Record;
use crate::maildrop::Maildrop;
use crate::output::{Stream, receive, send};
use crate::server::Server;

/// A client has this long to log in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that is logged in may be silent for this long (RFC 1939 §3).
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long the answer to a wrong password is held back.
const FAILURE_DELAY: Duration = Duration::from_secs(2);

/// Pieces in which messages are read and sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Why [`Driver::converse`] came back.
enum Pause {
    /// TLS begins.
    Secure,
    /// It is over.
    End(End),
}

/// One session on its way.
struct Driver<'a> {
    inlookup: &'a Inlookup,
    record: Record,
    session: Session,
    remote_ip: String,
    maildrop: Option<Maildrop>,
    opened: Instant,
}

/// Serves one connection until it ends.
pub async fn serve(server: &Server, guest: Guest) {
    let Guest {
        mut stream,
        peer,
        place: _place,
        ..
    } = guest;
    let _ = stream.set_nodelay(true);
    let ip = peer.ip();
    let record = Record::begin(peer);
    let mut seed = [0; 32];
    os::clock::fill_random(&mut seed);
    let certificate = server.certificates.of_session(server.mode).await;
    let offer = Offer {
        encryption: match server.mode {
            TlsMode::Implicit => Encryption::Active,
            TlsMode::Starttls if certificate.is_some() => Encryption::Offered,
            TlsMode::Starttls | TlsMode::None => Encryption::None,
        },
        plaintext: ip.is_loopback(),
        pass: server.pass,
        mechanisms: mechanisms(server.inlookup.secrets().await),
    };
    let mut driver = Driver {
        inlookup: &server.inlookup,
        record,
        session: Session::new(offer, &seed),
        remote_ip: ip.to_string(),
        maildrop: None,
        opened: Instant::now(),
    };
    let pause = match server.mode {
        TlsMode::Implicit => Pause::Secure,
        TlsMode::Starttls | TlsMode::None => driver.converse(&mut stream).await,
    };
    let end = match (pause, certificate) {
        (Pause::End(end), _) => end,
        (Pause::Secure, None) => End::Disconnected,
        (Pause::Secure, Some(config)) => match server.handshakes.accept(config, stream).await {
            Ok(mut stream) => {
                if server.mode == TlsMode::Starttls {
                    driver.session.secured();
                    driver.record.visit.upgraded = true;
                }
                match driver.converse(&mut stream).await {
                    Pause::End(end) => end,
                    Pause::Secure => End::Disconnected,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => End::Timeout,
            Err(_) => End::Disconnected,
        },
    };
    driver.record.end(end);
}

impl Driver<'_> {
    /// Goes on until TLS begins or the session ends.
    async fn converse(&mut self, stream: &mut impl Stream) -> Pause {
        match self.steps(stream).await {
            Ok(pause) => pause,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Pause::End(End::Timeout),
            Err(_) => Pause::End(End::Disconnected),
        }
    }

    async fn steps(&mut self, stream: &mut impl Stream) -> io::Result<Pause> {
        let mut step = self.session.step();
        loop {
            step = match step {
                Step::Send(bytes) => {
                    send(stream, &bytes, &mut self.record.visit.sent).await?;
                    self.session.step()
                }
                Step::SendLate(bytes) => {
                    tokio::time::sleep(FAILURE_DELAY).await;
                    send(stream, &bytes, &mut self.record.visit.sent).await?;
                    self.session.step()
                }
                Step::Ask(question) => {
                    let reply = self.ask(&question).await;
                    self.session.answer(reply)
                }
                Step::Secure(bytes) => {
                    send(stream, &bytes, &mut self.record.visit.sent).await?;
                    return Ok(Pause::Secure);
                }
                Step::Open(account) => {
                    let opened = self.open(*account).await;
                    self.session.opened(opened)
                }
                Step::Retrieve { at, lines } => {
                    self.retrieve(stream, at, lines).await?;
                    self.session.step()
                }
                Step::Update(update) => {
                    let done = self.update(update).await;
                    self.session.updated(done)
                }
                Step::Close(bytes) => {
                    send(stream, &bytes, &mut self.record.visit.sent).await?;
                    return Ok(Pause::End(End::Logout));
                }
                Step::Wait => {
                    self.wait(stream).await?;
                    self.session.step()
                }
            };
        }
    }

    /// Reads more from the client. Before login the whole time counts, so
    /// that one byte a minute holds nothing open.
    async fn wait(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        let limit = match self.maildrop {
            Some(_) => IDLE_TIMEOUT,
            None => LOGIN_TIMEOUT.saturating_sub(self.opened.elapsed()),
        };
        let mut buffer = [0; 4096];
        let got = receive(stream, &mut buffer, limit).await?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.record.visit.received += got as u64;
        self.session.receive(&buffer[..got]);
        Ok(())
    }

    async fn ask(&mut self, question: &Question) -> Reply {
        let request = question.to_request(Service::Pop3, &self.remote_ip);
        let reply = self.inlookup.ask(&request).await;
        match &reply {
            Reply::Login(Login::Refused) => {
                self.record.login_failed(question.user(), "credentials");
            }
            Reply::Login(Login::Forbidden(_)) => {
                self.record.login_failed(question.user(), "forbidden");
            }
            Reply::Temporary(text) => {
                self.record.login_failed(question.user(), "temporary");
                self.record.trouble(text);
            }
            _ => {}
        }
        reply
    }

    async fn open(&mut self, account: Account) -> Opened {
        self.record.login(&account.address);
        let open = move || Maildrop::open(&account.maildir, &account.quota);
        match spawn_blocking(open).await {
            Ok(Ok((maildrop, entries))) => {
                self.maildrop = Some(maildrop);
                Opened::Entries(entries)
            }
            Ok(Err(error)) => {
                self.record.trouble(&chain(&error));
                Opened::Temporary
            }
            Err(_) => Opened::Temporary,
        }
    }

    async fn retrieve(
        &mut self,
        stream: &mut impl Stream,
        at: usize,
        lines: Option<u32>,
    ) -> io::Result<()> {
        let Some(mut maildrop) = self.maildrop.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (maildrop, found) = spawn_blocking(move || {
            let found = maildrop.message(at);
            (maildrop, found)
        })
        .await
        .map_err(io::Error::other)?;
        self.maildrop = Some(maildrop);
        let file = found.unwrap_or_else(|error| {
            self.record.trouble(&chain(&error));
            None
        });
        let reply = self.session.found(file.is_some());
        send(stream, &reply, &mut self.record.visit.sent).await?;
        let Some(file) = file else {
            return Ok(());
        };
        let before = self.record.visit.sent;
        let outcome = self.send_message(stream, file, Body::new(lines)).await;
        let bytes = self.record.visit.sent - before;
        match lines {
            None => self.record.retr += bytes,
            Some(_) => self.record.top += bytes,
        }
        outcome
    }

    /// Sends a message piece by piece. When it cannot be read to its end, the
    /// connection is cut: half a message must not look like a whole one.
    async fn send_message(
        &mut self,
        stream: &mut impl Stream,
        mut file: File,
        mut body: Body,
    ) -> io::Result<()> {
        let mut piece = Vec::new();
        loop {
            (file, piece) = spawn_blocking(move || {
                piece.clear();
                let got = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece);
                got.map(|_| (file, piece))
            })
            .await
            .map_err(io::Error::other)?
            .inspect_err(|error| {
                self.record
                    .trouble(&format!("cannot read message: {error}"))
            })?;
            let mut out = Vec::with_capacity(piece.len() + piece.len() / 16 + 8);
            body.push(&piece, &mut out);
            let over = piece.is_empty() || body.is_over();
            if over {
                body.finish(&mut out);
            }
            send(stream, &out, &mut self.record.visit.sent).await?;
            if over {
                return Ok(());
            }
        }
    }

    async fn update(&mut self, update: Update) -> bool {
        let Some(maildrop) = self.maildrop.take() else {
            return false;
        };
        match spawn_blocking(move || maildrop.update(&update)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.record.trouble(&chain(&error));
                false
            }
            Err(_) => false,
        }
    }
}

/// What can be offered, the best first. PLAIN and LOGIN always can: when
/// inlookup is away the client is told so when it tries.
fn mechanisms(secrets: Secrets) -> Vec<Mechanism> {
    let scram = secrets.scram_sha_256.then_some(Mechanism::ScramSha256);
    let cram = secrets.cram_md5.then_some(Mechanism::CramMd5);
    let plain = [Mechanism::Plain, Mechanism::Login];
    scram.into_iter().chain(plain).chain(cram).collect()
}
