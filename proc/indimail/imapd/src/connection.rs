//! One client: moves bytes between its connection and its session, and keeps
//! the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imap::{Answer, Config, End as SessionEnd, Security, Session};
use listen::{End, Guest, TlsMode};
use tls::rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::log::Record;
use crate::seat::{Seat, Stop};
use crate::server::Server;
use crate::stream::Stream;
use crate::watch::Watch;

/// How long a user may be silent (RFC 3501 §5.4 wants at least this).
const SILENCE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long somebody who has not logged in may be silent.
const GUEST_SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long somebody who has not logged in may stay.
const GUEST_STAY_MAX: Duration = Duration::from_secs(3 * 60);
/// How long a client may take to accept what we send at once.
const SEND_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a client may take to hear why it is turned away.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a wrong password takes.
const FAILURE_DELAY: Duration = Duration::from_secs(2);
/// How often an idling session looks for itself (IMAP_IDLE_TIMEOUT).
const IDLE_LOOK: Duration = Duration::from_secs(60);
/// Changes that come together are told together.
const SETTLE: Duration = Duration::from_millis(30);
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// What a session waited for.
enum Event {
    Bytes(usize),
    Changed,
    Silence,
    Lost,
    Shutdown,
}

struct Connection<'a> {
    server: &'a Server,
    /// What TLS can begin with.
    certificate: Option<Arc<ServerConfig>>,
    stream: Stream,
    /// Shared with the blocking thread that works for us; the two take turns.
    seat: Arc<Mutex<Seat>>,
    watch: Option<Watch>,
    shutdown: watch::Receiver<bool>,
    start: Instant,
    heard: Instant,
}

/// Serves one client from its first byte to its last.
pub async fn serve(server: &Server, guest: Guest) {
    let Guest {
        stream,
        peer,
        place: _place,
        stop,
    } = guest;
    let record = Record::begin(peer);
    let _ = stream.set_nodelay(true);
    let mut stream = Stream::Plain(stream);
    let certificate = server.certificates.of_session(server.mode).await;
    if server.mode == TlsMode::Implicit {
        let Some(config) = certificate.clone() else {
            return record.end(End::Disconnected);
        };
        stream = match stream.into_tls(&server.handshakes, config).await {
            Ok(stream) => stream,
            Err(error) => {
                record.trouble(&format!("TLS handshake failed: {error}"));
                return record.end(End::Disconnected);
            }
        };
    }
    let secrets = server.inlookup.secrets().await;
    let config = Config {
        security: match server.mode {
            TlsMode::Implicit => Security::Tls,
            TlsMode::Starttls if certificate.is_some() => Security::StartTls,
            TlsMode::Starttls | TlsMode::None => Security::None,
        },
        plaintext_passwords: peer.ip().is_loopback(),
        cram_md5: secrets.cram_md5,
        scram_sha_256: secrets.scram_sha_256,
        message_bytes_max: server.message_bytes_max,
    };
    let seat = Seat::new(Session::new(config), record, peer.ip());
    let now = Instant::now();
    let mut connection = Connection {
        server,
        certificate,
        stream,
        seat: Arc::new(Mutex::new(seat)),
        watch: None,
        shutdown: stop,
        start: now,
        heard: now,
    };
    let end = connection.run().await;
    let mut seat = connection.seat();
    seat.record.counters = seat.session.counters();
    seat.record.end(end);
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        let mut buffer = vec![0; READ_BYTES];
        let mut stop = self.seat().advance();
        loop {
            stop = match stop {
                Stop::Send(bytes) => {
                    if !self.send(&bytes).await {
                        return End::Disconnected;
                    }
                    self.seat().advance()
                }
                Stop::Lookup(request) => {
                    let reply = self.server.inlookup.ask(&request).await;
                    self.seat().session.answer(Answer::Lookup(reply));
                    self.seat().advance()
                }
                Stop::Delay => {
                    sleep(FAILURE_DELAY).await;
                    self.seat().session.answer(Answer::Done(Ok(())));
                    self.seat().advance()
                }
                Stop::Work(question) => {
                    let Some((output, stop)) = self.work(question).await else {
                        return End::Disconnected;
                    };
                    if !output.is_empty() && !self.send(&output).await {
                        return End::Disconnected;
                    }
                    stop
                }
                Stop::StartTls => match self.start_tls().await {
                    true => self.seat().advance(),
                    false => return End::Disconnected,
                },
                Stop::Close(end) => {
                    self.hang_up().await;
                    return match end {
                        SessionEnd::Logout | SessionEnd::Cut => End::Logout,
                    };
                }
                Stop::Wait => match self.wait(&mut buffer).await {
                    Event::Bytes(count) => {
                        self.heard = Instant::now();
                        let mut seat = self.seat();
                        seat.record.visit.received += count as u64;
                        seat.session.receive(&buffer[..count]);
                        seat.advance()
                    }
                    Event::Changed => {
                        self.seat().session.changed();
                        self.seat().advance()
                    }
                    Event::Silence => return self.say_goodbye("silent for too long").await,
                    Event::Shutdown => {
                        self.say_goodbye("server is going down").await;
                        return End::Logout;
                    }
                    Event::Lost => return End::Disconnected,
                },
            };
        }
    }

    /// Waits for the client, or for something to tell it.
    async fn wait(&mut self, buffer: &mut [u8]) -> Event {
        let (idling, is_user) = {
            let session = &self.seat().session;
            let idling = session.is_idling() && session.folder().is_some();
            (idling, session.user().is_some())
        };
        if !idling {
            self.watch = None;
        } else if self.watch.is_none() {
            self.begin_watch();
            // What happened before the watch began would go unnoticed.
            return Event::Changed;
        }
        let mut left = match is_user {
            true => SILENCE_MAX.saturating_sub(self.heard.elapsed()),
            false => GUEST_SILENCE_MAX
                .saturating_sub(self.heard.elapsed())
                .min(GUEST_STAY_MAX.saturating_sub(self.start.elapsed())),
        };
        let looks = idling && IDLE_LOOK < left;
        if looks {
            left = IDLE_LOOK;
        }
        let changed = async {
            match &self.watch {
                Some(watch) => {
                    watch.changed().await;
                    sleep(SETTLE).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = self.stream.read(buffer) => match read {
                Ok(0) | Err(_) => Event::Lost,
                Ok(count) => Event::Bytes(count),
            },
            () = changed => Event::Changed,
            () = sleep(left) => match looks {
                true => Event::Changed,
                false => Event::Silence,
            },
            _ = self.shutdown.wait_for(|down| *down) => Event::Shutdown,
        }
    }

    fn begin_watch(&mut self) {
        let paths = self.seat().watch_paths();
        self.watch = match (&self.server.watcher, paths) {
            (Some(watcher), Some(paths)) => Some(watcher.watch(&paths)),
            _ => Some(Watch::nothing()),
        };
    }

    /// Works on a blocking thread; `None` when the work panicked.
    async fn work(&mut self, question: imap::Question) -> Option<(Vec<u8>, Stop)> {
        let seat = self.seat.clone();
        let work = tokio::task::spawn_blocking(move || lock(&seat).work(question));
        work.await.ok()
    }

    async fn start_tls(&mut self) -> bool {
        let Some(config) = self.certificate.take() else {
            return false;
        };
        let stream = std::mem::replace(&mut self.stream, Stream::Closed);
        match stream.into_tls(&self.server.handshakes, config).await {
            Ok(stream) => {
                self.stream = stream;
                self.seat().record.visit.upgraded = true;
                self.seat().session.tls_started();
                true
            }
            Err(error) => {
                let text = format!("TLS handshake failed: {error}");
                self.seat().record.trouble(&text);
                false
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.seat().record.visit.sent += bytes.len() as u64;
        let sent = timeout(SEND_TIMEOUT, self.stream.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }

    async fn say_goodbye(&mut self, reason: &str) -> End {
        self.seat().session.bye(reason);
        let stop = self.seat().advance();
        if let Stop::Send(bytes) = stop {
            let _ = timeout(GOODBYE_TIMEOUT, self.stream.write_all(&bytes)).await;
        }
        self.hang_up().await;
        End::Timeout
    }

    /// Ends the connection. What the client still sends is read and thrown
    /// away, since unread bytes would make the kernel take back our last
    /// words.
    async fn hang_up(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        let stream = &mut self.stream;
        let _ = timeout(GOODBYE_TIMEOUT, async {
            stream.shutdown().await?;
            while 0 < stream.read(&mut buffer).await? {}
            std::io::Result::Ok(())
        })
        .await;
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        lock(&self.seat)
    }
}

/// A seat whose work panicked is still good enough to end with.
fn lock(seat: &Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}
