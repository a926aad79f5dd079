//! One session and the world around it: does what the session says.

use std::mem::MaybeUninit;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inject::Program;
use listen::{Certificates, Handshakes, Inlookup, Lookup, Pipes, Secrets, TlsMode};
use policy::envrules::Change;
use policy::relay;
use run::{Home, Settings};
use sasl::Mechanism;
use settings::front_ends::QMAILQUEUE;
use settings::receiving;
use smtp::server::{Answer, Config, Mailbox, Moment, Peer, Session, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use wire::lookup::{Request, Service as LookupService};

use crate::arguments::Arguments;
use crate::changes::Changes;
use crate::journal::Journal;
use crate::mailboxes::{self, Whose};
use crate::policies::{Policies, Policy};
use crate::queue::{Message, Queue};
use crate::transport::{Transport, secure};
use crate::verifier::Verifier;

/// How much is read at once.
const READ_BYTES_MAX: usize = 16 * 1024;
/// Replies that wait for others at most.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// How long what a client still sends is read after we said goodbye, so that
/// the goodbye arrives.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// How much of it.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// Longest session without a message taken: silence is not the only way to
/// hold a place.
const IDLE_SESSION_MAX: Duration = Duration::from_secs(3600);
/// Longest handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);
/// How long a message may go on arriving after SIGTERM.
const LAST_MESSAGE_MAX: Duration = Duration::from_secs(5);

/// What all sessions of the process share.
#[derive(Debug)]
pub struct Service {
    pub home: Home,
    pub settings: Settings,
    pub journal: Journal,
    pub tls: TlsMode,
    pub certificates: Arc<Certificates>,
    /// In the directories of control files and rules.
    pub changes: Changes,
    pub rules: std::path::PathBuf,
    pub sessions: Option<usize>,
    pub stop: watch::Sender<bool>,
    submission: bool,
    auth: bool,
    policies: Policies,
    inlookup: Inlookup,
    /// Connections to the verifier.
    verifiers: Arc<Pipes>,
    /// Connections to the queue writer.
    writers: Arc<Pipes>,
    handshakes: Handshakes,
}

/// Who is on the line, as the listener or tcpserver knows.
#[derive(Debug)]
pub struct Caller {
    /// For logs: number of the session, or our process id under tcpserver.
    pub number: u64,
    pub ip: String,
    pub host: Option<String>,
    pub info: Option<String>,
    pub local_ip: String,
    /// What a rule changes about the settings.
    pub changes: Vec<(String, Option<Vec<u8>>)>,
}

impl Service {
    pub fn new(home: Home, settings: Settings, arguments: &Arguments) -> std::io::Result<Self> {
        let key = settings.variable(receiving::SERVERCERT.variable);
        let key = key.map_or("servercert.pem".to_owned(), |name| {
            String::from_utf8_lossy(name).into_owned()
        });
        let auth = settings.variable(receiving::SMTPAUTH.variable).is_some();
        let rules = home.etc().join("tcp.smtp.cdb");
        let rules = arguments.rules.as_ref().map_or(rules, Into::into);
        let of_rules = rules.parent().unwrap_or(Path::new("."));
        Ok(Self {
            changes: Changes::of(&[home.control(), of_rules]),
            journal: Journal::new(&home),
            certificates: Arc::new(Certificates::new(
                crate::PROGRAM,
                home.socket("signer"),
                key,
            )),
            inlookup: Inlookup::new(home.socket("inlookup")),
            writers: Arc::new(Pipes::new(home.socket("queue"), wire::queue::VERSION)),
            verifiers: Arc::new(Pipes::new(home.socket("verifier"), wire::verify::VERSION)),
            handshakes: Handshakes::start(HANDSHAKE_MAX)?,
            policies: Policies::default(),
            tls: arguments.network.tls,
            rules,
            sessions: arguments.sessions,
            stop: watch::channel(false).0,
            submission: arguments.submission,
            auth: auth || arguments.auth || arguments.submission,
            home,
            settings,
        })
    }

    /// Asks for the certificate before the first client does, so that the log
    /// tells at the start when there is none. A port that speaks nothing but
    /// TLS is of no use then.
    pub async fn ask_for_certificate(&self) -> Result<(), String> {
        self.certificates.ask_first(self.tls).await
    }

    /// Serves one client until the end of its session.
    pub async fn serve(&self, transport: Box<dyn Transport>, caller: Caller, tls: TlsMode) {
        let changes = caller
            .changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let settings = self.settings.overlaid(changes);
        let key = format!("{:?}", caller.changes).into_bytes();
        let policy =
            match self
                .policies
                .of(&self.home, &self.changes, &settings, key, self.submission)
            {
                Ok(policy) => policy,
                Err(error) => {
                    let text = run::chain(&error);
                    run::warn(crate::PROGRAM, &text);
                    self.journal.session(caller.number, &caller.ip, &text);
                    self.apologise(transport).await;
                    return;
                }
            };
        let certificate = match tls {
            TlsMode::None => None,
            TlsMode::Starttls | TlsMode::Implicit => self.certificates.config().await,
        };
        let mut transport = transport;
        let mut established = None;
        if tls == TlsMode::Implicit {
            let Some(config) = &certificate else {
                self.journal
                    .session(caller.number, &caller.ip, "no certificate for TLS");
                return;
            };
            match secure(&self.handshakes, transport, Arc::clone(config)).await {
                Ok((secured, tls)) => (transport, established) = (secured, Some(tls)),
                Err(error) => {
                    let text = format!("TLS connection failed: {error}");
                    self.journal.session(caller.number, &caller.ip, &text);
                    return;
                }
            }
        }
        let peer = Peer {
            refusal: refusal(&settings, &policy, &caller.ip),
            starttls: certificate.is_some() && tls == TlsMode::Starttls,
            mechanisms: match self.auth {
                true => mechanisms(self.inlookup.secrets().await),
                false => Vec::new(),
            },
            relay_suffix: relay_suffix(&settings, &policy, &caller),
            ip: caller.ip.clone(),
            host: caller.host.clone(),
            info: caller.info.clone(),
            local_ip: caller.local_ip.clone(),
        };
        let mut connection = Connection {
            service: self,
            session: Session::new(Arc::clone(&policy.config), peer, established),
            lookup: self.inlookup.session(),
            verifier: Verifier::new(Arc::clone(&self.verifiers)),
            queue: self.queue(&settings, &caller),
            message: None,
            certificate,
            policy,
            caller,
            transport,
            replies: Vec::new(),
            last_message: Instant::now(),
        };
        connection.run().await;
    }

    /// The controls cannot be read: the client shall come again.
    async fn apologise(&self, mut transport: Box<dyn Transport>) {
        let text = b"451 4.3.0 Requested action aborted: unable to read controls (#4.3.0)\r\n";
        let _ = tokio::time::timeout(LINGER_MAX, async {
            let _ = transport.write_all(text).await;
            let _ = transport.shutdown().await;
        })
        .await;
    }

    fn queue(&self, settings: &Settings, caller: &Caller) -> Queue {
        if settings.variable(receiving::NULLQUEUE.variable).is_some() {
            return Queue::Null;
        }
        let mut variables = caller.changes.clone();
        variables.push(("TCPREMOTEIP".into(), Some(caller.ip.clone().into_bytes())));
        let command = settings.variable(QMAILQUEUE.variable);
        let command = command.filter(|command| !command.is_empty());
        match command.map(|c| Program::parse(&self.home, settings, c, &variables)) {
            Some(Ok(program)) => Queue::Program(program),
            Some(Err(refused)) => Queue::Broken(refused.text),
            None => Queue::Writer {
                pipes: Arc::clone(&self.writers),
                pipe: None,
            },
        }
    }
}

/// SHUTDOWN and OPENRELAY (smtp-receiving.md §2.4).
fn refusal(settings: &Settings, policy: &Policy, ip: &str) -> Option<String> {
    let host = &policy.config.host;
    if let Some(text) = settings.variable(receiving::SHUTDOWN.variable) {
        let text = text::log::printable(text, 400);
        return Some(match text.get(..3) {
            Some(code) if code.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{code} {host}{}", &text[3..])
            }
            _ => format!("421 {host} SMTP service unavailable (#4.3.2)"),
        });
    }
    if let Some(listed) = listed(settings, ip) {
        return Some(listed);
    }
    settings.variable(receiving::OPENRELAY.variable)?;
    Some(format!(
        "554 {host} No mail accepted from an open relay ({ip}); check your server configs (#5.7.1)"
    ))
}

/// RBLSMTPD, which rules for rblsmtpd set: a client is refused for good after
/// a hyphen, for now without (smtp-receiving.md §1.8).
fn listed(settings: &Settings, ip: &str) -> Option<String> {
    let value = settings.variable(receiving::RBLSMTPD.variable)?;
    let text = String::from_utf8_lossy(value).replace("%IP%", ip);
    let text = text::log::printable(text.as_bytes(), 200);
    match text.strip_prefix('-') {
        Some(text) => Some(format!("554 {text}")),
        None => (!text.is_empty()).then(|| format!("451 {text}")),
    }
}

/// RELAYCLIENT, else relayclients, else relaydomains.
fn relay_suffix(settings: &Settings, policy: &Policy, caller: &Caller) -> Option<Vec<u8>> {
    if let Some(suffix) = settings.variable(receiving::RELAYCLIENT.variable) {
        return Some(suffix.to_vec());
    }
    let host = caller.host.as_deref().unwrap_or_default();
    relay::by_ip(&policy.relay_clients, &caller.ip)
        .or_else(|| relay::by_name(&policy.relay_domains, host.as_bytes()))
        .map(<[u8]>::to_vec)
}

/// What can be offered. PLAIN and LOGIN always can: when inlookup is away the
/// client is told so when it tries.
fn mechanisms(secrets: Secrets) -> Vec<Mechanism> {
    let mut mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    mechanisms.extend(secrets.scram_sha_256.then_some(Mechanism::ScramSha256));
    mechanisms.extend(secrets.cram_md5.then_some(Mechanism::CramMd5));
    mechanisms
}

/// A session with everything it needs.
struct Connection<'a> {
    service: &'a Service,
    policy: Arc<Policy>,
    session: Session,
    caller: Caller,
    transport: Box<dyn Transport>,
    /// Not written yet.
    replies: Vec<u8>,
    lookup: Lookup,
    verifier: Verifier,
    queue: Queue,
    message: Option<Message>,
    certificate: Option<Arc<tls::rustls::ServerConfig>>,
    last_message: Instant,
}

/// Why a connection is over.
struct Over;

impl Connection<'_> {
    async fn run(&mut self) {
        while self.go_on().await.is_ok() {}
        if let Some(message) = self.message.take() {
            self.queue.abort(message).await;
        }
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
            Step::AskPolicy(changes) => {
                let config = self.changed_config(changes);
                self.session.answer(Answer::Policy(config), &moment());
            }
            Step::AskLogin(question) => {
                let request = question.to_request(LookupService::Smtp, &self.caller.ip);
                let reply = self.lookup.ask(&request).await;
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
                let begun = self.queue.begin(trace, header, wishes, ip).await;
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
                    Some(message) => {
                        self.queue
                            .commit(message, sender, recipients, extra_headers)
                            .await
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
                if let Some(message) = self.message.take() {
                    self.queue.abort(message).await;
                }
            }
            Step::StartTls => self.start_tls().await?,
            Step::Pause(wait) => tokio::time::sleep(wait).await,
            Step::Listen(wait) => {
                tokio::time::sleep(wait).await;
                self.read_at_once().await?;
            }
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

    /// Takes what has arrived already.
    async fn read_at_once(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 512];
        let read = self.transport.read(&mut buffer);
        match tokio::time::timeout(Duration::from_millis(1), read).await {
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
    fn changed_config(&self, changes: Vec<Change>) -> Option<Arc<Config>> {
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

    async fn mailbox(&mut self, address: Vec<u8>) -> Mailbox {
        if let Some(answer) = self.policy.recipients.answer(&self.service.home, &address) {
            return answer;
        }
        match self.policy.domains.whose(&address) {
            Whose::Elsewhere => Mailbox::Fine,
            Whose::Virtual => {
                let request = Request::Recipient { address };
                mailboxes::of_reply(self.lookup.ask(&request).await)
            }
            Whose::Local => {
                let home = self.service.home.clone();
                let at = address.iter().rposition(|&b| b == b'@');
                let local = address[..at.unwrap_or(address.len())].to_vec();
                tokio::task::spawn_blocking(move || mailboxes::local(&home, &local))
                    .await
                    .unwrap_or(Mailbox::Fine)
            }
        }
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

fn moment() -> Moment {
    let mut random = [0; 16];
    os::clock::fill_random(&mut random);
    Moment {
        unix_seconds: os::clock::unix_seconds(),
        random,
    }
}
