//! One session and the world around it: does what the session says.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use filter::FilterLog;
use listen::Lookup;
use policy::envrules::Change;
use reception::{Whose, local_mailbox, mailbox_of_reply};
use smtp::server::{Answer, Config, Held, Mailbox, Moment, Session, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use wire::lookup::{Login, Reply, Request, Service as LookupService};

use crate::policies::Policy;
use crate::queue::{Message, Queue};
use crate::service::{Caller, Service};
use crate::transport::{Transport, secure};
use crate::verifier::Verifier;

/// How much is read at once.
const READ_BYTES_MAX: usize = 16 * 1024;
/// Replies that wait for others at most.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// How long what a client still sends is read after we said goodbye, so that
/// the goodbye arrives.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(2);
/// How much of it.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// Longest session without a message taken: silence is not the only way to
/// hold a place.
const IDLE_SESSION_MAX: Duration = Duration::from_secs(3600);
/// How long a message may go on arriving after SIGTERM.
const LAST_MESSAGE_MAX: Duration = Duration::from_secs(5);

/// A session with everything it needs.
pub(crate) struct Connection<'a> {
    pub(crate) service: &'a Service,
    pub(crate) policy: Arc<Policy>,
    pub(crate) session: Session,
    pub(crate) caller: Caller,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) lookup: Lookup,
    pub(crate) verifier: Verifier,
    pub(crate) queue: Queue,
    pub(crate) certificate: Option<Arc<tls::rustls::ServerConfig>>,
    /// The message that is on its way into the queue.
    pub(crate) message: Option<Message>,
    /// Not written yet.
    pub(crate) replies: Vec<u8>,
    pub(crate) last_message: Instant,
}

/// Why a connection is over.
struct Over;

impl Connection<'_> {
    /// Serves until the session is over; whether the client took its leave.
    pub(crate) async fn run(mut self) -> bool {
        while self.go_on().await.is_ok() {}
        if let Some(mut message) = self.message.take() {
            self.queue.abort(&mut message).await;
        }
        self.session.has_quit()
    }

    async fn go_on(&mut self) -> Result<(), Over> {
        let step = self.session.step(&moment());
        if must_see_replies(&step) || REPLY_BYTES_MAX < self.replies.len() {
            self.write_replies().await?;
        }
        match step {
            Step::Wait => self.read().await?,
            Step::Send(bytes) => self.replies.extend_from_slice(&bytes),
            Step::AskMailbox(address) => {
                let mailbox = self.mailbox(address).await;
                self.session.answer(Answer::Mailbox(mailbox), &moment());
            }
            Step::AskRelay(sender) => {
                let answer = self.has_read_mail(sender).await;
                self.session.answer(Answer::Relay(answer), &moment());
            }
            Step::AskHeld(domains) => {
                let held = self.held(&domains);
                self.session.answer(Answer::Held(held), &moment());
            }
            Step::AskPolicy(changes) => {
                let config = self.changed_config(changes);
                self.session.answer(Answer::Policy(config), &moment());
            }
            Step::AskLogin(question) => {
                let request = question.to_request(LookupService::Smtp, &self.caller.ip);
                let reply = Box::new(self.checked(&request).await);
                self.session.answer(Answer::Login(reply), &moment());
            }
            Step::AskVerifier(question) => {
                let reply = Box::new(self.verifier.ask(&question).await);
                self.session.answer(Answer::Verified(reply), &moment());
            }
            Step::Examine(about) => self.verifier.examine(*about).await,
            Step::Begin {
                trace,
                header,
                wishes,
            } => {
                let ip = &self.caller.ip;
                let user = self.session.logged_in();
                let begun = self.queue.begin(trace, header, wishes, ip, user).await;
                let answer = match begun {
                    Ok(message) => {
                        self.message = Some(message);
                        Answer::Begun
                    }
                    Err(answer) => answer,
                };
                self.session.answer(answer, &moment());
            }
            Step::Append(bytes) => {
                self.verifier.append(&bytes).await;
                if let Some(message) = &mut self.message {
                    self.queue.append(message, bytes).await;
                }
            }
            Step::Commit {
                sender,
                recipients,
                extra_headers,
            } => {
                let answer = match self.message.take() {
                    Some(mut message) => {
                        let trace = message.trace();
                        let rule = self.queue.throws_away(&recipients);
                        let envelope = (sender.clone(), recipients.clone());
                        let answer = self
                            .queue
                            .commit(&mut message, sender, recipients, extra_headers)
                            .await;
                        if let Some((log, bytes)) = message.log() {
                            let (sender, recipients) = envelope;
                            self.tell(&log, bytes, &sender, &recipients);
                        }
                        if let (Answer::Queued { .. }, Some(rule)) = (&answer, rule) {
                            self.service.journal.discarded(trace, rule);
                        }
                        answer
                    }
                    None => Answer::Refused {
                        code: 81,
                        text: "no message is open".to_owned(),
                    },
                };
                self.last_message = Instant::now();
                self.session.answer(answer, &moment());
            }
            Step::Abort => {
                self.verifier.abort();
                if let Some(mut message) = self.message.take() {
                    self.queue.abort(&mut message).await;
                }
            }
            Step::StartTls => self.start_tls().await?,
            Step::Pause(wait) => tokio::time::sleep(wait).await,
            Step::Listen(wait) => self.listen(wait).await?,
            Step::Log(line) => {
                let journal = &self.service.journal;
                journal.session(self.caller.number, &self.caller.ip, &line);
            }
            Step::Event(note) => self.service.journal.event(&note, &self.caller.ip),
            Step::Close => {
                self.linger().await;
                return Err(Over);
            }
        }
        Ok(())
    }

    /// Tells log and FIFO what a filter said (`LOGFILTER`).
    fn tell(&mut self, log: &FilterLog, bytes: u64, sender: &[u8], recipients: &[Vec<u8>]) {
        let words = log.line();
        for recipient in recipients {
            let line = format!(
                "qmail-smtpd: pid {} MAIL from <{}> RCPT <{}> Size: {bytes} {words}",
                std::process::id(),
                text::log::safe(sender),
                text::log::safe(recipient)
            );
            // The message is where it belongs; a log that fails now changes
            // nothing about it.
            if let Err(error) = log.tell(&line) {
                run::warn(crate::PROGRAM, &run::chain(&error));
            }
        }
        self.session.judged(words);
    }

    /// Waits for the client, the clock or the end of the service.
    async fn read(&mut self) -> Result<(), Over> {
        let room = self.session.room().min(READ_BYTES_MAX);
        let receiving = self.session.is_receiving();
        let mut stop = self.service.stop.subscribe();
        if *stop.borrow() && !receiving {
            self.session.shut_down();
            return Ok(());
        }
        let left = IDLE_SESSION_MAX.saturating_sub(self.last_message.elapsed());
        let timeout = match receiving {
            true => self.policy.timeout,
            false => self.policy.timeout.min(left),
        };
        let Self {
            session, transport, ..
        } = self;
        // The buffer is there while something is read: a connection that
        // waits has none.
        let read = std::future::poll_fn(|context| {
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES_MAX];
            let mut buffer = ReadBuf::uninit(&mut bytes[..room]);
            let ready = Pin::new(&mut **transport).poll_read(context, &mut buffer);
            ready.map_ok(|()| {
                session.receive(buffer.filled());
                !buffer.filled().is_empty()
            })
        });
        tokio::select! {
            read = read => match read {
                Ok(true) => {}
                // The client left; what it had begun is forgotten.
                _ => return Err(Over),
            },
            () = tokio::time::sleep(timeout) => self.session.timed_out(),
            _ = stopped(&mut stop, receiving) => match receiving {
                true => return Err(Over),
                false => self.session.shut_down(),
            },
        }
        Ok(())
    }

    /// Waits, and takes what the client says meanwhile.
    async fn listen(&mut self, wait: Duration) -> Result<(), Over> {
        let mut buffer = [0; 512];
        let read = self.transport.read(&mut buffer);
        match tokio::time::timeout(wait, read).await {
            Err(_) => Ok(()),
            Ok(Ok(length)) if 0 < length => {
                self.session.receive(&buffer[..length]);
                Ok(())
            }
            Ok(_) => Err(Over),
        }
    }

    async fn write_replies(&mut self) -> Result<(), Over> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let replies = std::mem::take(&mut self.replies);
        let write = async {
            self.transport.write_all(&replies).await?;
            self.transport.flush().await
        };
        match tokio::time::timeout(self.policy.timeout, write).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over),
        }
    }

    /// The settings of this client with further variables changed.
    pub(crate) fn changed_config(&self, changes: Vec<Change>) -> Option<Arc<Config>> {
        let all = [&self.caller.changes[..], &changes[..]].concat();
        let overlay = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let service = self.service;
        let settings = service.settings.overlaid(overlay);
        let key = format!("{all:?}").into_bytes();
        let policy = service.policies.of(
            &service.home,
            &service.changes,
            &settings,
            key,
            service.submission,
        );
        match policy {
            Ok(policy) => Some(Arc::clone(&policy.config)),
            Err(error) => {
                let text = run::chain(&error);
                service
                    .journal
                    .session(self.caller.number, &self.caller.ip, &text);
                None
            }
        }
    }

    pub(crate) async fn mailbox(&mut self, address: Vec<u8>) -> Mailbox {
        if let Some(answer) = self.policy.recipients.answer(&self.service.home, &address) {
            return answer;
        }
        match self.policy.domains.whose(&address) {
            Whose::Elsewhere => Mailbox::Fine,
            Whose::Virtual => {
                let request = Request::Recipient { address };
                mailbox_of_reply(self.lookup.ask(&request).await)
            }
            Whose::Local => {
                let home = self.service.home.clone();
                let at = address.iter().rposition(|&b| b == b'@');
                let local = address[..at.unwrap_or(address.len())].to_vec();
                tokio::task::spawn_blocking(move || local_mailbox(&home, &local))
                    .await
                    .unwrap_or(Mailbox::Fine)
            }
        }
    }

    /// Says whether this sender has just read mail from where the client is.
    pub(crate) async fn has_read_mail(&mut self, sender: Vec<u8>) -> Result<bool, String> {
        let request = Request::Relay {
            sender,
            remote_ip: self.caller.ip.clone(),
        };
        match self.lookup.ask(&request).await {
            Reply::Relay(has) => Ok(has),
            Reply::Temporary(why) => Err(why),
            other => Err(format!("inlookup answered another question: {other:?}")),
        }
    }

    /// Says whether there is mail for hosts that fetch theirs.
    fn held(&self, domains: &[Vec<u8>]) -> Held {
        let home = self.service.home.autoturn();
        let names = domains.iter().map(|name| OsStr::from_bytes(name));
        let ip = [OsStr::new(&self.caller.ip)];
        let mut places = names.chain(ip).map(|name| home.join(name).join("Maildir"));
        // Who lets the network in may not look into it.
        match places.any(|place| place.try_exists().unwrap_or(true)) {
            true => Held::Unreachable,
            false => Held::Nothing,
        }
    }

    /// Asks inlookup, then the checkers about whom it does not know.
    async fn checked(&mut self, request: &Request) -> Reply {
        let checkers = &self.service.checkers;
        if checkers.built_in {
            let reply = self.lookup.ask(request).await;
            let is_unknown = matches!(reply, Reply::Login(Login::Refused));
            if checkers.program.is_empty() || !is_unknown {
                return reply;
            }
        }
        let Some(mechanism) = self.session.login_mechanism() else {
            return Reply::Login(Login::Refused);
        };
        let host = self.caller.host.as_deref().unwrap_or("unknown");
        let variables = [
            ("TCPREMOTEIP", self.caller.ip.as_str()),
            ("TCPREMOTEHOST", host),
        ];
        checkers.run(mechanism, request, &variables).await
    }

    async fn start_tls(&mut self) -> Result<(), Over> {
        let Some(config) = self.certificate.clone() else {
            return Err(Over);
        };
        let plain = std::mem::replace(&mut self.transport, Box::new(tokio::io::empty()));
        match secure(&self.service.handshakes, plain, config).await {
            Ok((secured, tls)) => {
                self.transport = secured;
                self.session.tls_started(tls);
                Ok(())
            }
            Err(error) => {
                let text = format!("TLS connection failed: {error}");
                self.service
                    .journal
                    .session(self.caller.number, &self.caller.ip, &text);
                Err(Over)
            }
        }
    }

    /// Closing while the client still sends would destroy our last words.
    async fn linger(&mut self) {
        let drain = async {
            let _ = self.transport.shutdown().await;
            let (mut buffer, mut seen) = ([0; 4096], 0);
            while seen < LINGER_BYTES_MAX {
                match self.transport.read(&mut buffer).await {
                    Ok(length) if 0 < length => seen += length,
                    _ => return,
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_MAX, drain).await;
    }
}

/// Replies to commands that came together go together (RFC 2920 section 3.2),
/// but not later than the client needs them, and not while something takes
/// its time.
fn must_see_replies(step: &Step) -> bool {
    match step {
        Step::Send(_)
        | Step::AskMailbox(_)
        | Step::AskPolicy(_)
        | Step::AskRelay(_)
        | Step::AskHeld(_)
        | Step::Examine(_)
        | Step::Begin { .. }
        | Step::Append(_)
        | Step::Abort
        | Step::Log(_)
        | Step::Event(_) => false,
        Step::Wait
        | Step::AskLogin(_)
        | Step::AskVerifier(_)
        | Step::Commit { .. }
        | Step::StartTls
        | Step::Pause(_)
        | Step::Listen(_)
        | Step::Close => true,
    }
}

/// Ends when the service does; a message may go on a little.
async fn stopped(stop: &mut watch::Receiver<bool>, receiving: bool) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    if receiving {
        tokio::time::sleep(LAST_MESSAGE_MAX).await;
    }
}

pub(crate) fn moment() -> Moment {
    let mut random = [0; 16];
    os::clock::fill_random(&mut random);
    Moment {
        unix_seconds: os::clock::unix_seconds(),
        random,
    }
}
