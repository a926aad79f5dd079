//! What all sessions of the process share, and how one begins.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inject::Program;
use listen::{Certificates, Handshakes, Inlookup, Pipes, Secrets, TlsMode};
use policy::relay::{self, Grant};
use run::{Home, Settings};
use sasl::Mechanism;
use settings::front_ends::QMAILQUEUE;
use settings::{Setting, receiving};
use smtp::server::{Commands, Peer, Session};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use wire::verify::{Reply, Request};

use crate::arguments::Arguments;
use crate::changes::Changes;
use crate::checkers::Checkers;
use crate::connection::{Connection, LINGER_MAX};
use crate::journal::Journal;
use crate::lists;
use crate::policies::{self, Policies, Policy};
use crate::queue::{Filtered, Queue};
use crate::transport::{Transport, secure};
use crate::verifier::Verifier;

/// Longest handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

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
    pub submission: bool,
    pub policies: Policies,
    pub handshakes: Handshakes,
    auth: bool,
    looks_up_names: bool,
    /// Who checks passwords.
    pub checkers: Checkers,
    inlookup: Inlookup,
    /// Connections to the verifier.
    verifiers: Arc<Pipes>,
    /// Connections to the queue writer.
    writers: Arc<Pipes>,
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
    /// Which commands our port has.
    pub commands: Commands,
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
            looks_up_names: settings
                .integer(&receiving::CLIENTNAMES)
                .map_err(std::io::Error::other)?
                != 0,
            rules,
            sessions: arguments.sessions,
            stop: watch::channel(false).0,
            submission: arguments.submission,
            auth: auth || arguments.auth || arguments.submission,
            checkers: arguments.checkers.clone(),
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

    /// The settings that hold for a client, and what they make of the files.
    pub fn policy(&self, caller: &Caller) -> Result<(Settings, Arc<Policy>), policies::Error> {
        let changes = caller
            .changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let settings = self.settings.overlaid(changes);
        let key = format!("{:?}", caller.changes).into_bytes();
        let policy =
            self.policies
                .of(&self.home, &self.changes, &settings, key, self.submission)?;
        Ok((settings, policy))
    }

    /// Serves one client until the end of its session; whether it took its
    /// leave.
    pub async fn serve(&self, transport: Box<dyn Transport>, caller: Caller, tls: TlsMode) -> bool {
        let (settings, policy) = match self.policy(&caller) {
            Ok(found) => found,
            Err(error) => {
                let text = run::chain(&error);
                run::warn(crate::PROGRAM, &text);
                self.journal.session(caller.number, &caller.ip, &text);
                self.apologise(transport).await;
                return false;
            }
        };
        let listed = self.listed(&settings, &policy, &caller).await;
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
                return false;
            };
            match secure(&self.handshakes, transport, Arc::clone(config)).await {
                Ok((secured, tls)) => (transport, established) = (secured, Some(tls)),
                Err(error) => {
                    let text = format!("TLS connection failed: {error}");
                    self.journal.session(caller.number, &caller.ip, &text);
                    return false;
                }
            }
        }
        let peer = Peer {
            starttls: certificate.is_some() && tls == TlsMode::Starttls,
            mechanisms: match self.auth {
                true if self.checkers.built_in => mechanisms(self.inlookup.secrets().await),
                true => vec![Mechanism::Plain, Mechanism::Login],
                false => Vec::new(),
            },
            ..peer(&settings, &policy, &caller)
        };
        let peer = Peer {
            refusal: peer
                .refusal
                .clone()
                .or(listed)
                .or_else(|| out_of_order(&peer, &policy)),
            ..peer
        };
        let session = Session::new(Arc::clone(&policy.config), peer, established);
        let queue = self.queue(&settings, &caller);
        let mut connection = self.connection(session, policy, caller, queue);
        connection.certificate = certificate;
        connection.transport = transport;
        connection.run().await
    }

    /// What a client on a list in the DNS is told. Nobody is asked about
    /// whom RBLSMTPD decides, relay clients, and users who will log in.
    async fn listed(
        &self,
        settings: &Settings,
        policy: &Policy,
        caller: &Caller,
    ) -> Option<String> {
        let is_known = settings.variable(receiving::RBLSMTPD.variable).is_some()
            || caller.commands != Commands::Relay
            || relay_grant(settings, policy, caller).is_some();
        let ip: IpAddr = caller.ip.parse().ok()?;
        if policy.lists.is_empty() || is_known || ip.is_loopback() {
            return None;
        }
        let mut verifier = Verifier::new(Arc::clone(&self.verifiers));
        let refusal = lists::refusal(&policy.lists, &mut verifier, ip).await?;
        self.journal.session(caller.number, &caller.ip, &refusal);
        Some(refusal)
    }

    /// The name of a client, when names are looked up (`clientnames`).
    pub async fn client_name(&self, ip: IpAddr) -> Option<String> {
        if !self.looks_up_names {
            return None;
        }
        let mut verifier = Verifier::new(Arc::clone(&self.verifiers));
        match verifier.ask(&Request::Name(ip)).await {
            Reply::Name(name) => name.map(|name| name.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// A session with what it needs, and nobody on the line yet.
    pub fn connection(
        &self,
        session: Session,
        policy: Arc<Policy>,
        caller: Caller,
        queue: Queue,
    ) -> Connection<'_> {
        Connection {
            service: self,
            session,
            lookup: self.inlookup.session(),
            verifier: Verifier::new(Arc::clone(&self.verifiers)),
            queue,
            certificate: None,
            policy,
            caller,
            transport: Box::new(tokio::io::empty()),
            message: None,
            replies: Vec::new(),
            last_message: Instant::now(),
        }
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

    /// The way of messages from this client.
    pub fn queue(&self, settings: &Settings, caller: &Caller) -> Queue {
        if settings.variable(receiving::NULLQUEUE.variable).is_some() {
            return Queue::Null;
        }
        let mut variables = caller.changes.clone();
        variables.push(("TCPREMOTEIP".into(), Some(caller.ip.clone().into_bytes())));
        let command = settings.variable(QMAILQUEUE.variable);
        let command = command.filter(|command| !command.is_empty());
        match command.map(|c| Program::parse(&self.home, settings, c, &variables)) {
            Some(Ok(program)) => {
                let asked = |setting| settings.integer(setting).is_ok_and(|number| number != 0);
                let holds = asked(&receiving::AUTHRESULTS) || asked(&receiving::DMARCREJECT);
                Queue::Program(Box::new(Filtered {
                    program,
                    holds,
                    settings: settings.clone(),
                }))
            }
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

/// Mail is fetched by users who log in: without AUTH nobody can.
fn out_of_order(peer: &Peer, policy: &Policy) -> Option<String> {
    let is_useless = peer.commands == Commands::OnDemand && peer.mechanisms.is_empty();
    let host = &policy.config.host;
    is_useless.then(|| format!("421 {host} SMTP service unavailable (#4.3.2)"))
}

/// Which commands a port has (smtp-receiving.md §6).
pub fn commands(settings: &Settings, local_port: Option<u16>, submission: bool) -> Commands {
    let is_on_demand = settings.variable(receiving::ODMR.variable).is_some();
    match local_port {
        Some(587) => Commands::Submission,
        Some(366) => Commands::OnDemand,
        _ if is_on_demand => Commands::OnDemand,
        _ if submission => Commands::Submission,
        _ => Commands::Relay,
    }
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

/// What is known about a client and holds for it alone.
pub fn peer(settings: &Settings, policy: &Policy, caller: &Caller) -> Peer {
    Peer {
        refusal: refusal(settings, policy, &caller.ip),
        relay_suffix: relay_grant(settings, policy, caller).map(|(_, grant)| grant.suffix.to_vec()),
        ip: caller.ip.clone(),
        host: caller.host.clone(),
        info: caller.info.clone(),
        local_ip: caller.local_ip.clone(),
        commands: caller.commands,
        starttls: false,
        mechanisms: Vec::new(),
    }
}

/// RELAYCLIENT, else the line of relayclients, else that of relaydomains.
pub fn relay_grant<'a>(
    settings: &'a Settings,
    policy: &'a Policy,
    caller: &Caller,
) -> Option<(&'static Setting, Grant<'a>)> {
    if let Some(suffix) = settings.variable(receiving::RELAYCLIENT.variable) {
        let line = suffix;
        return Some((&receiving::RELAYCLIENT, Grant { line, suffix }));
    }
    let host = caller.host.as_deref().unwrap_or_default();
    let by_ip = relay::by_ip(&policy.relay_clients, &caller.ip);
    let by_name = || relay::by_name(&policy.relay_domains, host.as_bytes());
    match by_ip {
        Some(grant) => Some((&receiving::RELAYCLIENTS, grant)),
        None => by_name().map(|grant| (&receiving::RELAYDOMAINS, grant)),
    }
}

/// What can be offered. PLAIN and LOGIN always can: when inlookup is away the
/// client is told so when it tries.
fn mechanisms(secrets: Secrets) -> Vec<Mechanism> {
    let mut mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    mechanisms.extend(secrets.scram_sha_256.then_some(Mechanism::ScramSha256));
    mechanisms.extend(secrets.cram_md5.then_some(Mechanism::CramMd5));
    mechanisms
}
