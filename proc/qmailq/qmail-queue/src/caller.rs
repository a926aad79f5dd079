//! Who calls, and what of its environment counts.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;

use message::{Client, Origin};
use queue::{Additions, Durability, Error, Layout, Origins, Queues};
use run::{Home, Settings};
use settings::injecting::DOMAINQUEUE;
use settings::queue::{
    DEATH, HIDE_HOST, LOGHEADERFD, ORIGINIPFIELD, QQEH, QUEUE_BASE, QUEUE_COUNT, QUEUE_START,
    QUEUEDIR,
};

/// Permission bit of a directory that everybody may write to.
const WRITABLE_BY_ALL: u32 = 0o002;
/// The last of the descriptors that every program has.
const STDERR: RawFd = 2;

/// Everything taken from the caller and the control files, before the first
/// byte of the message.
#[derive(Debug)]
pub struct Caller {
    /// Its real user.
    pub uid: u32,
    /// What the `Received` line calls it.
    pub origin: Origin,
    /// Where it says the message came from.
    pub client: Option<Client>,
    /// Says that the message is to tell where it came from.
    pub tells_origin: bool,
    /// Where it wants the logged fields, if not in the log.
    pub log: Option<File>,
    /// The queue.
    pub layout: Layout,
    /// What is synced.
    pub durability: Durability,
    /// Space that must be free.
    pub bytes_free_min: u64,
    /// What the site adds.
    pub additions: Additions,
    /// Header lines for the `e` record.
    pub extra_headers: Vec<u8>,
    /// What the sender wants to be told (RFC 3461).
    pub wishes: Vec<u8>,
    /// It may name a program that looks for viruses.
    pub may_scan: bool,
    /// How long we may live.
    pub seconds_max: u32,
}

impl Caller {
    /// Looks at the process as it was started; `log` is what
    /// [`log_descriptor`] took.
    pub fn find(home: &Home, log: Option<File>) -> Result<Self, Error> {
        let uid = os::account::real_uid();
        let of_process = Settings::of_process(home);
        let of_files = Settings::of_files(home);
        refuse_foreign_home(home)?;
        // Who is trusted is decided without the environment.
        let configured = Queues::configured(home, &of_files)?;
        let origins = Origins::find(home, &Layout::detect(configured.first())?)?;
        let trusted = !os::account::is_set_uid() || origins.trusts(uid);
        let settings = match trusted {
            true => &of_process,
            false => &of_the_site(&of_process, &of_files)?,
        };

        let queues = Queues::configured(home, settings)?;
        let layout = Layout::detect(queues.choose(os::clock::random()))?;
        let integer = |setting| {
            settings
                .integer(setting)
                .map(|value| value.max(0).unsigned_abs())
        };
        let is_fast = queue::is_fast(settings);
        Ok(Self {
            uid,
            origin: origins.of(uid),
            client: if trusted { client(settings) } else { None },
            tells_origin: trusted && !is_fast && tells_origin(settings)?,
            log: log.filter(|_| trusted),
            layout,
            durability: Durability::configured(settings)?,
            bytes_free_min: queue::bytes_free_min(settings)?,
            additions: Additions::configured(settings)?,
            extra_headers: of_process
                .variable(QQEH.variable)
                .filter(|_| !is_fast)
                .unwrap_or_default()
                .to_vec(),
            wishes: of_process
                .variable(wire::dsn::VARIABLE)
                .unwrap_or_default()
                .to_vec(),
            may_scan: trusted && !is_fast,
            seconds_max: u32::try_from(integer(&DEATH)?).unwrap_or(u32::MAX).max(1),
        })
    }
}

/// What chooses a queue, as far as the site itself says so: a variable of
/// whoever calls counts when a rule of `domainqueue` sets it to that very
/// value. So mail goes where those rules send it, whoever obeys them.
fn of_the_site(of_process: &Settings, of_files: &Settings) -> Result<Settings, Error> {
    let names =
        [&QUEUEDIR, &QUEUE_BASE, &QUEUE_START, &QUEUE_COUNT].map(|setting| setting.variable);
    let said = names.map(|name| (name, of_process.variable(name)));
    if said.iter().all(|(_, value)| value.is_none()) {
        return Ok(of_files.clone());
    }
    let rules = of_files.list(&DOMAINQUEUE)?.unwrap_or_default();
    let lines = rules.iter().map(Vec::as_slice);
    // Rules with a mistake choose nothing; who injects is told of it.
    let all = text::envrules::changes_by(lines, b"", |_, _| Some(true)).unwrap_or_default();
    let is_chosen = |name: &str, value: Option<&[u8]>| {
        all.iter()
            .any(|(of_rule, to)| of_rule == name && to.is_some() && to.as_deref() == value)
    };
    let chosen = said
        .into_iter()
        .filter(|(name, value)| is_chosen(name, *value));
    Ok(of_files.overlaid(chosen))
}

/// A set-uid program may have been linked into a directory of the caller's:
/// what it then finds beside itself says nothing about whom to trust. The
/// installation belongs to root or to us, and not everybody may write there.
fn refuse_foreign_home(home: &Home) -> Result<(), Error> {
    if !os::account::is_set_uid() {
        return Ok(());
    }
    let error = |source| Error::Owner {
        path: home.root().to_owned(),
        source,
    };
    let metadata = std::fs::metadata(home.root()).map_err(error)?;
    let ours = [0, os::account::Identity::of_this_process().uid].contains(&metadata.uid());
    if ours && metadata.mode() & WRITABLE_BY_ALL == 0 {
        Ok(())
    } else {
        Err(error(std::io::ErrorKind::PermissionDenied.into()))
    }
}

/// Closes what the caller left open but the descriptor it wants logged fields
/// on. To be called once, before anything is opened.
pub fn log_descriptor() -> Option<File> {
    let said = std::env::var(LOGHEADERFD.variable).ok();
    let number = said.and_then(|said| said.parse().ok());
    let number = number.filter(|number| STDERR < *number);
    os::fd::close_from_except(3, number);
    number.and_then(os::fd::inherit_file)
}

/// A session that relays: its client is known by address or by name.
fn tells_origin(settings: &Settings) -> Result<bool, Error> {
    let relays = ["RELAYCLIENT", "TCPREMOTEINFO"];
    let relays = relays.iter().any(|name| settings.variable(name).is_some());
    Ok(relays && settings.integer(&ORIGINIPFIELD)? != 0)
}

fn client(settings: &Settings) -> Option<Client> {
    if settings.variable(HIDE_HOST.variable).is_some() {
        return None;
    }
    let text = |name| {
        settings
            .variable(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    let said = text("TCPREMOTEIP").and_then(|ip| ip.parse::<IpAddr>().ok());
    let ip = said.or_else(|| (0..=2).find_map(os::socket::peer_ip))?;
    let host = text("HOSTNAME").map_or_else(os::account::host_name, str::to_owned);
    Some(Client::new(ip, &host))
}
