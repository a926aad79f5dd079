//! The control files as sessions use them: read when they have changed.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use policy::content::Content;
use policy::{AccessList, AddressList, EnvRules, HostAccess, Hosts, Mode};
use reception::{Domains, Level, ListError, Lists, Recipients};
use run::{Home, SettingError, Settings};
use settings::{Setting, injecting, receiving, site};
use smtp::server::{Batv, Config, Masquerade, Outside, SpfPolicy};

use crate::changes::Changes;
use crate::lists::List;

/// How long files that a variable names are believed unchanged.
const AGE_MAX: Duration = Duration::from_secs(5);
/// Longest text of `WARNMAIL`.
const WARNING_BYTES_MAX: usize = 900;
/// Most different sets of rule variables kept.
const KEPT_MAX: usize = 64;
/// Files of others that matter here, too.
const OTHER_FILES: [&str; 6] = [
    "me",
    "locals",
    "virtualdomains",
    "morercpthosts.cdb",
    "srs_domain",
    "srs_secrets",
];

/// Why a session cannot be served now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A line is no pattern.
    #[error("control/{file}: {source}")]
    Pattern {
        /// Which file.
        file: &'static str,
        /// Which line.
        source: policy::BadPattern,
    },
    /// Neither is one of an address list.
    #[error(transparent)]
    List(#[from] ListError),
    /// GREYIP is no address.
    #[error("GREYIP is {0:?}; it must be IP, IP@PORT or @")]
    Greylist(String),
    /// rcpthosts has gone.
    #[error("control/rcpthosts is gone; without it everybody could relay")]
    NoRcpthosts,
}

/// What the files say.
#[derive(Debug)]
pub struct Policy {
    /// For the session.
    pub config: Arc<Config>,
    /// Which domains are whose.
    pub domains: Domains,
    /// Which recipients must exist, and who says so.
    pub recipients: Recipients,
    /// relayclients, relaydomains.
    pub relay_clients: Vec<Vec<u8>>,
    /// relaydomains.
    pub relay_domains: Vec<Vec<u8>>,
    /// dnsbl.
    pub lists: Vec<List>,
    /// timeoutsmtpd.
    pub timeout: Duration,
}

/// Policies by the variables that a rule sets.
#[derive(Debug, Default)]
pub struct Policies(Mutex<HashMap<Vec<u8>, Kept>>);

#[derive(Debug)]
struct Kept {
    state: State,
    since: Instant,
    policy: Arc<Policy>,
}

/// Tells two states of the control files apart.
#[derive(Debug, Eq, PartialEq)]
enum State {
    /// As [`Changes`] counts them.
    Generation(u64),
    /// By each file.
    Files(Vec<Stamp>),
}

/// Tells two states of a file apart; `None` when it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Policies {
    /// The policy for a client with these settings; `key` is what differs
    /// between clients.
    pub fn of(
        &self,
        home: &Home,
        changes: &Changes,
        settings: &Settings,
        key: Vec<u8>,
        submission: bool,
    ) -> Result<Arc<Policy>, Error> {
        // Looked at before the files are read, so that what changes meanwhile
        // is read again.
        let state = match changes.generation() {
            Some(generation) => State::Generation(generation),
            None => State::Files(stamps(home)),
        };
        let mut kept = self.0.lock().unwrap_or_else(|dead| dead.into_inner());
        if let Some(kept) = kept.get(&key)
            && kept.state == state
            && kept.since.elapsed() < AGE_MAX
        {
            return Ok(Arc::clone(&kept.policy));
        }
        let policy = Arc::new(read(home, settings, submission)?);
        if KEPT_MAX <= kept.len() {
            kept.clear();
        }
        let new = Kept {
            state,
            since: Instant::now(),
            policy: Arc::clone(&policy),
        };
        kept.insert(key, new);
        Ok(policy)
    }
}

fn stamps(home: &Home) -> Vec<Stamp> {
    let names = receiving::ALL.iter().map(|setting| setting.file);
    names
        .filter(|name| !name.is_empty())
        .chain(OTHER_FILES)
        .map(|name| {
            let metadata = fs::metadata(home.control().join(name)).ok()?;
            Some((
                metadata.ino(),
                metadata.size(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            ))
        })
        .collect()
}

fn read(home: &Home, settings: &Settings, submission: bool) -> Result<Policy, Error> {
    let number = |setting: &Setting| settings.integer(setting);
    let unsigned = |setting: &Setting| number(setting).map(|n| u64::try_from(n).unwrap_or(0));
    let set = |setting: &Setting| settings.variable(setting.variable).is_some();
    let line = |setting: &Setting| settings.line(setting).map(Option::unwrap_or_default);
    let text = |bytes: Vec<u8>| text::log::printable(&bytes, 255);
    let lists = Lists::new(settings)?;
    let rcpthosts = settings
        .list(&receiving::RCPTHOSTS)?
        .ok_or(Error::NoRcpthosts)?;
    let host = text(line(&site::ME)?);
    let greeting = settings.list(&receiving::SMTPGREETING)?;
    let greeting = greeting.filter(|lines| !lines.is_empty());
    let host_access = settings.list(&receiving::HOSTACCESS)?.unwrap_or_default();
    let mut host_access = HostAccess::new(&host_access);
    host_access.paranoid = set(&receiving::PARANOID);
    host_access.masquerade = set(&receiving::DOMAIN_MASQUERADE);
    let access_list = settings.list(&receiving::ACCESSLIST)?.unwrap_or_default();
    let sender_rules = match settings.variable("ENVRULES") {
        // The older name of the variable.
        Some(file) if settings.variable(injecting::FROMRULES.variable).is_none() => {
            let change = [(injecting::FROMRULES.variable, Some(file))];
            settings.overlaid(change).list(&injecting::FROMRULES)?
        }
        _ => settings.list(&injecting::FROMRULES)?,
    };
    let sender_rules = sender_rules.unwrap_or_default();
    let config = Config {
        sender_rules: EnvRules::new(&sender_rules, lists.mode).map_err(|source| {
            Error::Pattern {
                file: injecting::FROMRULES.file,
                source,
            }
        })?,
        host_access,
        access_list: AccessList::new(&access_list, lists.mode).map_err(|source| {
            Error::Pattern {
                file: receiving::ACCESSLIST.file,
                source,
            }
        })?,
        greeting: greeting.unwrap_or_else(|| vec![host.clone().into_bytes()]),
        software: concat!("IndiMail ", env!("CARGO_PKG_VERSION")).to_owned(),
        local_ip_host: text(line(&receiving::LOCALIPHOST)?),
        host,
        message_bytes_max: unsigned(&receiving::DATABYTES)?,
        recipients_max: usize::try_from(unsigned(&receiving::MAXRECIPIENTS)?).unwrap_or(0),
        hops_max: u32::try_from(unsigned(&receiving::MAXHOPS)?.max(1)).unwrap_or(u32::MAX),
        greet_delay: Duration::from_secs(number(&receiving::GREETDELAY)?.unsigned_abs().min(60)),
        tarpit_count: usize::try_from(unsigned(&receiving::TARPITCOUNT)?).unwrap_or(0),
        tarpit_delay: Duration::from_secs(unsigned(&receiving::TARPITDELAY)?.min(60)),
        rcpthosts: Hosts::new(rcpthosts, settings.file("morercpthosts.cdb")?),
        bad_senders: lists.read(&receiving::BADMAILFROM, Some(&receiving::BADMAILPATTERNS))?,
        bad_recipients: lists.read(&receiving::BADRCPTTO, Some(&receiving::BADRCPTPATTERNS))?,
        good_recipients: lists.read(&receiving::GOODRCPTTO, Some(&receiving::GOODRCPTPATTERNS))?,
        blackholed_senders: lists.read(
            &receiving::BLACKHOLEDSENDER,
            Some(&receiving::BLACKHOLEDPATTERNS),
        )?,
        blackholed_recipients: lists.read(
            &receiving::BLACKHOLEDRCPT,
            Some(&receiving::BLACKHOLEDRCPTPATTERNS),
        )?,
        relay_senders: lists.read(&receiving::RELAYMAILFROM, None)?,
        auth_senders: lists.read(&receiving::AUTHDOMAINS, None)?,
        check_relay: set(&receiving::CHECKRELAY),
        etrn_hosts: Hosts::new(
            settings.list(&receiving::ETRNHOSTS)?.unwrap_or_default(),
            None,
        ),
        fetchers: fetchers(settings.list(&receiving::ATRNACCESS)?.unwrap_or_default()),
        bad_hellos: lists.read(&receiving::BADHELO, None)?,
        outside: outside(settings, &lists)?,
        content: content(settings)?,
        warnings: warnings(settings),
        batv: batv(settings)?,
        srs: inject::srs::configured(settings)?,
        closed_group: set(&receiving::CUGMAIL),
        hello_is_not_ours: set(&receiving::BADHELOCHECK),
        plaintext_auth: set(&receiving::PLAINTEXT_AUTH),
        old_client: set(&receiving::OLD_CLIENT),
        require_auth: submission || set(&receiving::REQUIREAUTH),
        require_tls: set(&receiving::FORCE_TLS),
        auth_for_all: set(&receiving::AUTH_ALL),
        antispoofing: set(&receiving::ANTISPOOFING),
        masquerade: match settings.variable(receiving::MASQUERADE.variable) {
            None => Masquerade::Refused,
            Some(b"") => Masquerade::Anyone,
            Some(address) => Masquerade::As(address.to_vec()),
        },
        bounce_mail: settings
            .variable(receiving::BOUNCEMAIL.variable)
            .map(<[u8]>::to_vec),
        hello_needs_dot: set(&receiving::ENFORCE_FQDN_HELO),
        sender_needs_domain: !set(&receiving::NODNSCHECK),
        complete_headers: submission,
        disable_help: set(&receiving::DISABLE_HELP),
        disable_vrfy: set(&receiving::DISABLE_VRFY),
    };
    Ok(Policy {
        config: Arc::new(config),
        domains: Domains::read(home, settings)?,
        recipients: Recipients {
            level: Level::parse(settings.variable(receiving::CHECKRECIPIENT.variable)),
            domains: match settings.list(&receiving::CHKRCPTDOMAINS)? {
                Some(_) => Some(lists.read(&receiving::CHKRCPTDOMAINS, None)?),
                None => None,
            },
        },
        lists: {
            let lines = settings.list(&receiving::DNSBL)?.unwrap_or_default();
            lines.iter().filter_map(|line| List::parse(line)).collect()
        },
        relay_clients: settings.list(&receiving::RELAYCLIENTS)?.unwrap_or_default(),
        relay_domains: settings.list(&receiving::RELAYDOMAINS)?.unwrap_or_default(),
        timeout: Duration::from_secs(unsigned(&receiving::TIMEOUTSMTPD)?.max(1)),
    })
}

/// atrnaccess: `user:dom1, dom2`.
fn fetchers(lines: Vec<Vec<u8>>) -> Vec<(String, Vec<Vec<u8>>)> {
    let parsed = lines.iter().filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?.to_ascii_lowercase();
        let (user, domains) = line.split_once(':')?;
        let domains = domains.split([',', ' ']).filter(|name| !name.is_empty());
        let domains = domains.map(|name| name.as_bytes().to_vec()).collect();
        Some((user.trim().to_owned(), domains))
    });
    parsed.collect()
}

/// Checks that need other machines.
fn outside(settings: &Settings, lists: &Lists<'_>) -> Result<Outside, Error> {
    let dmarc_refuses = settings.integer(&receiving::DMARCREJECT)? != 0;
    let set = |setting: &Setting| settings.variable(setting.variable).is_some();
    let text = |setting: &Setting| -> Result<Option<String>, SettingError> {
        let line = settings.line(setting)?.filter(|line| !line.is_empty());
        Ok(line.map(|line| String::from_utf8_lossy(&line).into_owned()))
    };
    // The newer spelling of the variable.
    let level = settings
        .variable("SPFBEHAVIOR")
        .and_then(text::control::integer);
    let level = match level {
        Some(level) => level,
        None => settings.integer(&receiving::SPFBEHAVIOUR)?,
    };
    Ok(Outside {
        sender_exists: !set(&receiving::NODNSCHECK),
        hello_exists: set(&receiving::BADHELOCHECK),
        exempt: lists.read(&receiving::NODNSCHECK_LIST, None)?,
        spf: SpfPolicy {
            level: u8::try_from(level.clamp(0, 6)).unwrap_or(0),
            rules: text(&receiving::SPFRULES)?,
            guess: text(&receiving::SPFGUESS)?,
            explanation: text(&receiving::SPFEXP)?,
        },
        greylist: match text(&receiving::GREYIP)? {
            Some(text) => Some(greylist_server(&text).ok_or(Error::Greylist(text))?),
            None => None,
        },
        greylist_fails_closed: set(&receiving::GREYCLOSED),
        examines: dmarc_refuses || settings.integer(&receiving::AUTHRESULTS)? != 0,
        dmarc_refuses,
    })
}

/// What is looked for in messages; `None` when nothing is.
fn content(settings: &Settings) -> Result<Option<Arc<Content>>, Error> {
    // Presence switches bodycheck on, a value names its file.
    let bodies = match settings.variable(receiving::BODYCHECK.variable) {
        Some(_) => settings.list(&receiving::BODYCHECK)?,
        None => None,
    };
    let signatures =
        match policy::Engines::of(settings.variable(receiving::VIRUSCHECK.variable)).internal {
            true => settings.list(&receiving::SIGNATURES)?,
            false => None,
        };
    let content = Content::new(&signatures.unwrap_or_default(), &bodies.unwrap_or_default());
    let content = content.map_err(|source| Error::Pattern {
        file: receiving::BODYCHECK.file,
        source,
    })?;
    Ok((!content.is_empty()).then(|| Arc::new(content)))
}

/// `WARNMAIL`, and `WARNMAIL0` to `WARNMAIL9`.
fn warnings(settings: &Settings) -> Vec<String> {
    let numbered = (0..10).map(|number| format!("{}{number}", receiving::WARNMAIL.variable));
    let names = [receiving::WARNMAIL.variable.to_owned()];
    let values = names.into_iter().chain(numbered);
    let values = values.filter_map(|name| settings.variable(&name).map(<[u8]>::to_vec));
    values
        .map(|value| text::log::printable(&value, WARNING_BYTES_MAX))
        .collect()
}

/// BATV, under both names each file has had.
fn batv(settings: &Settings) -> Result<Option<Batv>, Error> {
    let line = |new: &'static Setting, old: &'static Setting| {
        let found = settings.line(new)?.filter(|line| !line.is_empty());
        match found {
            Some(line) => Ok(Some(line)),
            None => settings.line(old),
        }
    };
    let list = |new: &'static Setting, old: &'static Setting| -> Result<AddressList, Error> {
        let lines = match settings.list(new)? {
            Some(lines) => lines,
            None => settings.list(old)?.unwrap_or_default(),
        };
        let lines = lines.into_iter().map(|line| [b"@", &line[..]].concat());
        let list = AddressList::new(lines.collect(), Vec::new(), None, Mode::Wildcard);
        list.map_err(|source| Error::Pattern {
            file: new.file,
            source,
        })
    };
    let Some(key) = line(&receiving::BATVKEY, &receiving::SIGNKEY)? else {
        return Ok(None);
    };
    let days = line(&receiving::BATVKEYSTALE, &receiving::SIGNKEYSTALE)?;
    let days = days
        .as_deref()
        .and_then(text::control::integer)
        .unwrap_or(7);
    Ok(Some(Batv {
        keys: vec![key],
        days_max: u16::try_from(days.clamp(0, 499)).unwrap_or(7),
        free_hosts: list(&receiving::BATVNOSIGNREMOTE, &receiving::NOSIGNHOSTS)?,
        free_domains: list(&receiving::BATVNOSIGNLOCALS, &receiving::NOSIGNMYDOMS)?,
    }))
}

/// `IP`, `IP@PORT`, or `@` for a server on this machine.
fn greylist_server(text: &str) -> Option<SocketAddr> {
    /// Where greylisting servers listen.
    const PORT: u16 = 1999;
    let (ip, port) = text.split_once('@').unwrap_or((text, ""));
    let ip = match ip {
        "" => IpAddr::from([127, 0, 0, 1]),
        ip => ip.parse().ok()?,
    };
    let port = match port {
        "" => PORT,
        port => port.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}
