//! What a session is told when it starts: settings, lists, the client.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::content::Content;
use policy::{AccessList, AddressList, EnvRules, HostAccess, Hosts};
use sasl::Mechanism;

/// Most bytes of commands and message held for one client, whoever it is.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of replies collected before they are sent.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Mistakes a session may make before it is cut.
pub const ERRORS_MAX: u32 = 20;
/// Commands that lead nowhere (NOOP, RSET, HELO and the like) between two
/// messages.
pub const IDLE_COMMANDS_MAX: u32 = 200;
/// Unknown mailboxes a session may ask for.
pub const INVALID_RECIPIENTS_MAX: u32 = 50;
/// Unknown mailboxes that are answered without a pause.
pub const INVALID_RECIPIENTS_FREE: u32 = 3;
/// Pause before the answer to an unknown mailbox after that.
pub const INVALID_RECIPIENT_PAUSE: Duration = Duration::from_secs(1);
/// Failed authentications of one session.
pub const AUTH_FAILURES_MAX: u32 = 3;
/// Pause before a failed authentication is told.
pub const AUTH_FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Most recipients of one message, whatever the settings say.
pub const RECIPIENTS_MAX: usize = 20_000;

/// Settings of a session. One value serves many sessions.
#[derive(Debug, Default)]
pub struct Config {
    /// Our name: `Received`, EHLO.
    pub host: String,
    /// Lines of smtpgreeting; at least one.
    pub greeting: Vec<Vec<u8>>,
    /// Name and version for the greeting, like `IndiMail 0.1.0`.
    pub software: String,
    /// Stands for our bracketed address in recipients.
    pub local_ip_host: String,
    /// Largest message; 0 is no limit.
    pub message_bytes_max: u64,
    /// Most recipients of a message; 0 means [`RECIPIENTS_MAX`].
    pub recipients_max: usize,
    /// `Received` lines that make a loop.
    pub hops_max: u32,
    /// How long a client must wait for the greeting, in silence.
    pub greet_delay: Duration,
    /// From this recipient on, each is answered after a pause; 0 is never.
    pub tarpit_count: usize,
    /// That pause.
    pub tarpit_delay: Duration,
    /// Domains mail is taken for.
    pub rcpthosts: Hosts,
    /// badmailfrom.
    pub bad_senders: AddressList,
    /// badrcptto.
    pub bad_recipients: AddressList,
    /// goodrcptto.
    pub good_recipients: AddressList,
    /// blackholedsender.
    pub blackholed_senders: AddressList,
    /// blackholedrcpt.
    pub blackholed_recipients: AddressList,
    /// relaymailfrom.
    pub relay_senders: AddressList,
    /// authdomains: senders that must authenticate for every recipient.
    pub auth_senders: AddressList,
    /// from.envrules: what differs for some senders.
    pub sender_rules: EnvRules,
    /// hostaccess.
    pub host_access: HostAccess,
    /// accesslist.
    pub access_list: AccessList,
    /// CHECKRELAY: who has just read mail may relay.
    pub check_relay: bool,
    /// etrnhosts: domains whose hosts may fetch their mail.
    pub etrn_hosts: Hosts,
    /// atrnaccess: users, in lower case, and the domains they may fetch.
    pub fetchers: Vec<(String, Vec<Vec<u8>>)>,
    /// badhelo.
    pub bad_hellos: AddressList,
    /// Checks that need other machines.
    pub outside: super::Outside,
    /// WARNMAIL: what every message is marked with, printable.
    pub warnings: Vec<String>,
    /// signatures and bodycheck.
    pub content: Option<Arc<Content>>,
    /// BATV: only bounces of our own mail come in.
    pub batv: Option<super::Batv>,
    /// SRS: bounces of mail that was forwarded here go back.
    pub srs: Option<srs::Srs>,
    /// CUGMAIL: only members write, and only to members.
    pub closed_group: bool,
    /// BADHELOCHECK: nobody but us may call himself by our name.
    pub hello_is_not_ours: bool,
    /// Passwords may cross the wire unencrypted from anywhere.
    pub plaintext_auth: bool,
    /// `OLD_CLIENT`: the AUTH line is repeated as old clients want it.
    pub old_client: bool,
    /// REQUIREAUTH.
    pub require_auth: bool,
    /// FORCE_TLS.
    pub require_tls: bool,
    /// AUTH_ALL: rcpthosts grants nothing.
    pub auth_for_all: bool,
    /// ANTISPOOFING.
    pub antispoofing: bool,
    /// MASQUERADE.
    pub masquerade: Masquerade,
    /// BOUNCEMAIL.
    pub bounce_mail: Option<Vec<u8>>,
    /// ENFORCE_FQDN_HELO.
    pub hello_needs_dot: bool,
    /// Senders without a domain are refused.
    pub sender_needs_domain: bool,
    /// Missing `Date` and `Message-ID` are added (submission, RFC 6409 §8).
    pub complete_headers: bool,
    /// HELP is not answered.
    pub disable_help: bool,
    /// VRFY is not answered.
    pub disable_vrfy: bool,
}

impl Config {
    /// Most recipients of one message.
    pub(super) fn recipients_most(&self) -> usize {
        match self.recipients_max {
            0 => RECIPIENTS_MAX,
            max => max.min(RECIPIENTS_MAX),
        }
    }
}

/// Which senders an authenticated user may use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Masquerade {
    /// Only the own address.
    #[default]
    Refused,
    /// This one, and the own.
    As(Vec<u8>),
    /// Any.
    Anyone,
}

/// Which commands a port has (smtp-receiving.md §6).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Commands {
    /// Port 25.
    #[default]
    Relay,
    /// Port 587: no ETRN.
    Submission,
    /// Port 366: mail is fetched, not sent.
    OnDemand,
}

/// The client, and what holds for it alone.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address as text.
    pub ip: String,
    /// Its name, `None` when unknown.
    pub host: Option<String>,
    /// What IDENT said.
    pub info: Option<String>,
    /// Our address on this connection, as text.
    pub local_ip: String,
    /// A reply in place of the greeting: nothing but QUIT works then.
    pub refusal: Option<String>,
    /// TLS can be started.
    pub starttls: bool,
    /// Mechanisms users can log in with; empty is no AUTH.
    pub mechanisms: Vec<Mechanism>,
    /// What the port has.
    pub commands: Commands,
    /// RELAYCLIENT: what is appended to recipients of a relay client.
    pub relay_suffix: Option<Vec<u8>>,
}

impl Peer {
    /// Says whether the client is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.ip
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }
}

/// An established TLS session, in words for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// `TLSv1.3`.
    pub version: String,
    /// Name of the cipher suite.
    pub cipher: String,
}

/// Now, and bytes nobody can guess; new ones for each call.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time.
    pub unix_seconds: i64,
    /// Random.
    pub random: [u8; 16],
}

impl Moment {
    pub(super) fn trace(&self) -> wire::trace::TraceId {
        let (random, _) = self.random.split_at(8);
        let random = u64::from_ne_bytes(random.try_into().expect("half of sixteen bytes"));
        wire::trace::TraceId::new(self.unix_seconds.unsigned_abs(), random)
    }
}
