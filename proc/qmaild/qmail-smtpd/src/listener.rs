//! Many clients: accept, apply the connection rules, keep to the limits.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use listen::{Announced, Full, Guest, House, Places};
use policy::access;
use policy::tcprules::{self, Client, Rule};
use settings::receiving;
use tokio::net::TcpStream;

use crate::PROGRAM;
use crate::service::{Caller, Service, commands};

/// How long running sessions are waited for at the end.
const LAST_SESSIONS_MAX: Duration = Duration::from_secs(8);

/// How long rules are believed unchanged that a link leads to.
const RULES_AGE_MAX: Duration = Duration::from_secs(5);

/// What the sessions of all listeners share.
struct Door {
    service: Arc<Service>,
    places_max: usize,
    last_number: AtomicU64,
    /// The rules as they were last read.
    rules: Mutex<Option<KeptRules>>,
    /// proxyhosts, likewise.
    balancers: Mutex<Option<KeptBalancers>>,
}

struct KeptRules {
    generation: u64,
    since: Instant,
    file: Arc<[u8]>,
}

struct KeptBalancers {
    generation: u64,
    since: Instant,
    patterns: Arc<[String]>,
}

/// Serves until SIGTERM.
pub async fn serve(service: &Arc<Service>, listeners: Vec<TcpListener>) -> Result<u8, String> {
    service.ask_for_certificate().await?;
    let configured = service
        .settings
        .integer(&receiving::CONCURRENCYINCOMING)
        .map_err(|error| error.to_string())?;
    let configured = usize::try_from(configured).unwrap_or(0).max(1);
    let places = Places::new(service.sessions.unwrap_or(configured));
    let door = Arc::new(Door {
        service: Arc::clone(service),
        places_max: places.max(),
        last_number: AtomicU64::new(0),
        rules: Mutex::default(),
        balancers: Mutex::default(),
    });
    for listener in &listeners {
        if let Ok(bound) = listener.local_addr() {
            run::info(PROGRAM, &format!("listening on {bound}"));
        }
    }
    let house = House {
        program: PROGRAM,
        places,
        full: Full::Wait,
        stop: service.stop.clone(),
        farewell: LAST_SESSIONS_MAX,
    };
    house
        .serve(listeners, move |guest| Arc::clone(&door).receive(guest))
        .await
        .map_err(|error| format!("cannot start: {error}"))?;
    service.journal.finish();
    Ok(0)
}

impl Door {
    async fn receive(self: Arc<Self>, guest: Guest) {
        let Guest {
            mut stream,
            mut peer,
            mut place,
            ..
        } = guest;
        let journal = &self.service.journal;
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let Ok(mut local) = stream.local_addr() else {
            return;
        };
        match self.announced(peer.ip(), &mut stream).await {
            Ok(None) => {}
            Ok(Some(ends)) => (peer, local) = (ends.client, ends.local),
            Err(error) => {
                let ip = peer.ip();
                journal.line(&format!(
                    "tcpserver: warning: dropping connection, PROXY header of {ip}: {error}"
                ));
                return;
            }
        }
        let remote = peer.ip();
        let ip = remote.to_string();
        let local_ip = local.ip().to_canonical().to_string();
        let ends = format!("[{local_ip}]{} [{ip}]:{}", local.port(), peer.port());
        let host = self.service.client_name(remote).await;
        let rule = match self.rule(&ip, host.as_deref()) {
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
        let Some(count) = place.count(remote, max) else {
            journal.line(&format!("tcpserver: end {ip} perIPlimit {max}"));
            return;
        };
        journal.line(&format!(
            "tcpserver: ok {number} {ends}:maxperip={max} ({count})"
        ));
        let _ = stream.set_nodelay(true);
        let caller = Caller {
            number,
            ip,
            host: variable(&changes, "TCPREMOTEHOST").or(host),
            info: variable(&changes, "TCPREMOTEINFO"),
            local_ip,
            commands: commands(
                &self.service.settings,
                Some(local.port()),
                self.service.submission,
            ),
            changes,
        };
        let tls = self.service.tls;
        self.service.serve(Box::new(stream), caller, tls).await;
        let used = place.places().used().saturating_sub(1);
        journal.line(&format!(
            "tcpserver: status: {used}/{} end {number} status 0",
            self.places_max
        ));
        drop(place);
    }

    /// The rule for a client, from the file as it is now. Without a file
    /// everybody is welcome; a broken one lets nobody in.
    fn rule(&self, ip: &str, host: Option<&str>) -> Result<Rule, String> {
        match self.rules() {
            Ok(file) => rule_in(&file, ip, host),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Rule::default()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Who connects in truth, when the client is one of our balancers.
    async fn announced(
        &self,
        ip: IpAddr,
        stream: &mut TcpStream,
    ) -> std::io::Result<Option<Announced>> {
        let balancers = self.balancers().map_err(std::io::Error::other)?;
        if balancers.is_empty() {
            return Ok(None);
        }
        let ip = ip.to_string();
        match balancers.iter().any(|pattern| access::fits(pattern, &ip)) {
            true => listen::announced(stream).await,
            false => Ok(None),
        }
    }

    fn balancers(&self) -> Result<Arc<[String]>, run::SettingError> {
        let generation = self.service.changes.generation();
        let mut kept = self
            .balancers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && Some(kept.generation) == generation
            && kept.since.elapsed() < RULES_AGE_MAX
        {
            return Ok(Arc::clone(&kept.patterns));
        }
        let lines = self.service.settings.list(&receiving::PROXYHOSTS)?;
        let lines = lines.unwrap_or_default().into_iter();
        let patterns: Arc<[String]> = lines
            .filter_map(|line| String::from_utf8(line).ok())
            .collect();
        *kept = generation.map(|generation| KeptBalancers {
            generation,
            since: Instant::now(),
            patterns: Arc::clone(&patterns),
        });
        Ok(patterns)
    }

    fn rules(&self) -> std::io::Result<Arc<[u8]>> {
        let generation = self.service.changes.generation();
        let mut kept = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && Some(kept.generation) == generation
            && kept.since.elapsed() < RULES_AGE_MAX
        {
            return Ok(Arc::clone(&kept.file));
        }
        let file: Arc<[u8]> = std::fs::read(&self.service.rules)?.into();
        *kept = generation.map(|generation| KeptRules {
            generation,
            since: Instant::now(),
            file: Arc::clone(&file),
        });
        Ok(file)
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
}

/// The rule for a client.
pub fn rule_in(file: &[u8], ip: &str, host: Option<&str>) -> Result<Rule, String> {
    let client = Client {
        ip,
        host,
        info: None,
    };
    cdb::Reader::new(file)
        .and_then(|rules| tcprules::lookup(&rules, client))
        .map_err(|error| error.to_string())
}

/// What a rule says about a variable.
pub fn variable(changes: &[(String, Option<Vec<u8>>)], name: &str) -> Option<String> {
    let (_, value) = changes.iter().rev().find(|(known, _)| known == name)?;
    let text = text::log::printable(value.as_deref()?, 255);
    Some(text).filter(|text| !text.is_empty())
}
