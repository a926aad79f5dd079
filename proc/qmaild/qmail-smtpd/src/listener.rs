//! Many clients: accept, apply the connection rules, keep to the limits.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policy::tcprules::{self, Client, Rule};
use settings::receiving;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::PROGRAM;
use crate::connection::{Caller, Service};

/// How long running sessions are waited for at the end.
const LAST_SESSIONS_MAX: Duration = Duration::from_secs(8);
/// Pause after an accept that failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound, not yet served.
pub struct Listener(std::net::TcpListener);

impl Listener {
    /// Binds; done as root, for the low ports.
    pub fn bind(address: &str) -> Result<Self, String> {
        let say = |error: std::io::Error| {
            format!("cannot listen on {address}: {error}; is another mail server running?")
        };
        let listener = std::net::TcpListener::bind(address).map_err(say)?;
        listener.set_nonblocking(true).map_err(say)?;
        if let Ok(bound) = listener.local_addr() {
            run::info(PROGRAM, &format!("listening on {bound}"));
        }
        Ok(Self(listener))
    }
}

/// What the sessions of all listeners share.
struct House {
    service: Arc<Service>,
    places: Arc<Semaphore>,
    places_max: usize,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
    last_number: AtomicU64,
}

/// One of the sessions from an address; counted until it is dropped.
struct Place {
    house: Arc<House>,
    ip: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_ip = self
            .house
            .by_ip
            .lock()
            .unwrap_or_else(|dead| dead.into_inner());
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

/// Serves until SIGTERM.
pub async fn serve(service: &Arc<Service>, listeners: Vec<Listener>) -> Result<u8, String> {
    service.ask_for_certificate().await?;
    let configured = service
        .settings
        .integer(&receiving::CONCURRENCYINCOMING)
        .map_err(|error| error.to_string())?;
    let configured = usize::try_from(configured).unwrap_or(0).max(1);
    let places_max = service.sessions.unwrap_or(configured);
    let house = Arc::new(House {
        service: Arc::clone(service),
        places: Arc::new(Semaphore::new(places_max.min(Semaphore::MAX_PERMITS))),
        places_max,
        by_ip: Mutex::default(),
        last_number: AtomicU64::new(0),
    });
    let say = |error: std::io::Error| format!("cannot start: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(say)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(say)?;
    let mut tasks = Vec::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener.0).map_err(say)?;
        tasks.push(tokio::spawn(accept(Arc::clone(&house), listener)));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    service.stop.send_replace(true);
    let all = u32::try_from(places_max).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LAST_SESSIONS_MAX, house.places.acquire_many(all)).await;
    service.journal.finish();
    Ok(0)
}

async fn accept(house: Arc<House>, listener: TcpListener) {
    loop {
        // A full house does not accept: clients wait in the backlog.
        let Ok(permit) = Arc::clone(&house.places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.receive(stream, address, permit).await });
            }
            Err(error) => {
                run::warn(PROGRAM, &format!("cannot accept: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl House {
    async fn receive(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let journal = &self.service.journal;
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let remote = address.ip().to_canonical();
        let ip = remote.to_string();
        let local = stream.local_addr();
        let Ok(local) = local else { return };
        let local_ip = local.ip().to_canonical().to_string();
        let ends = format!("[{local_ip}]{} [{ip}]:{}", local.port(), address.port());
        let rule = match self.rule(&ip) {
            Ok(rule) => rule,
            Err(error) => {
                journal.line(&format!(
                    "tcpserver: warning: dropping connection, {}: {error}",
                    self.service.rules.display()
                ));
                return;
            }
        };
        if rule.denies() {
            journal.line(&format!("tcpserver: deny {number} {ends}"));
            return;
        }
        let changes: Vec<_> = rule
            .changes()
            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
            .collect();
        let max = self.per_ip_max(remote, &changes);
        let Some(count) = self.count(remote, max) else {
            journal.line(&format!("tcpserver: end {ip} perIPlimit {max}"));
            return;
        };
        let place = Place {
            house: Arc::clone(&self),
            ip: remote,
            _permit: permit,
        };
        journal.line(&format!(
            "tcpserver: ok {number} {ends}:maxperip={max} ({count})"
        ));
        let _ = stream.set_nodelay(true);
        let caller = Caller {
            number,
            ip,
            host: variable(&changes, "TCPREMOTEHOST"),
            info: variable(&changes, "TCPREMOTEINFO"),
            local_ip,
            changes,
        };
        let tls = self.service.tls;
        self.service.serve(Box::new(stream), caller, tls).await;
        let used = self
            .places_max
            .saturating_sub(self.places.available_permits() + 1);
        journal.line(&format!(
            "tcpserver: status: {used}/{} end {number} status 0",
            self.places_max
        ));
        drop(place);
    }

    /// The rule for a client, from the file as it is now. Without a file
    /// everybody is welcome; a broken one lets nobody in.
    fn rule(&self, ip: &str) -> Result<Rule, String> {
        let file = match std::fs::read(&self.service.rules) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Rule::default());
            }
            Err(error) => return Err(error.to_string()),
        };
        let client = Client {
            ip,
            host: None,
            info: None,
        };
        cdb::Reader::new(&file)
            .and_then(|rules| tcprules::lookup(&rules, client))
            .map_err(|error| error.to_string())
    }

    /// MAXPERIP of the rule, else the general one, which does not count the
    /// host's own programs.
    fn per_ip_max(&self, ip: IpAddr, changes: &[(String, Option<Vec<u8>>)]) -> usize {
        let of_rule = variable(changes, receiving::MAXPERIP.variable);
        let number = match of_rule.and_then(|text| text.trim().parse().ok()) {
            Some(number) => number,
            None if ip.is_loopback() => 0,
            None => {
                let general = self.service.settings.integer(&receiving::MAXPERIP);
                usize::try_from(general.unwrap_or(0)).unwrap_or(0)
            }
        };
        match number {
            0 => self.places_max,
            number => number,
        }
    }

    /// Counts a session in; `None` when the address has too many.
    fn count(&self, ip: IpAddr, max: usize) -> Option<usize> {
        let mut by_ip = self.by_ip.lock().unwrap_or_else(|dead| dead.into_inner());
        let count = by_ip.entry(ip).or_insert(0);
        if max <= *count {
            return None;
        }
        *count += 1;
        Some(*count)
    }
}

fn variable(changes: &[(String, Option<Vec<u8>>)], name: &str) -> Option<String> {
    let (_, value) = changes.iter().rev().find(|(known, _)| known == name)?;
    let text = text::log::printable(value.as_deref()?, 255);
    Some(text).filter(|text| !text.is_empty())
}
