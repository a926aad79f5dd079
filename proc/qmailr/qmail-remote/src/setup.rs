//! Everything a delivery reads before it talks to anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use run::{Home, Settings};
use settings::remote;
use smtp::client::{Credentials, Mechanism, MechanismChoice};
use tls::Verify;

use crate::bind::Bindings;
use crate::failure::Failure;
use crate::job::Job;
use crate::own::Own;
use crate::routes::Route;
use crate::security::Security;
use crate::tcpto::Tcpto;

/// Longest timeout a control file can ask for.
const TIMEOUT_SECONDS_MAX: i64 = 86_400;

/// What the control files and the environment say for one job.
#[derive(Debug)]
pub struct Setup {
    pub helo: String,
    pub route: Route,
    /// Or why there is none; mail with a route by number needs none.
    resolver: Result<dns::Resolver, dns::Error>,
    pub own: Own,
    pub bindings: Bindings,
    pub security: Security,
    pub credentials: Option<(Credentials, MechanismChoice)>,
    pub connect_timeout: Duration,
    pub remote_timeout: Duration,
    pub tcpto: Tcpto,
    /// For messages that need TLS: who proves the names of hosts.
    pub strict: Option<Arc<tls::rustls::ClientConfig>>,
    /// Mail of this site gets a DKIM signature.
    pub signs: bool,
}

impl Setup {
    /// Reads it all.
    pub fn read(home: &Home, settings: &Settings, job: &Job) -> Result<Self, Failure> {
        let route = Route::find(settings, job)?;
        let bindings = Bindings::read(settings, &job.sender)?;
        let helo = match &bindings.helo {
            Some(domain) => domain.clone(),
            None => settings
                .line(&remote::HELOHOST)?
                .ok_or_else(|| Failure::Control("neither helohost nor me is set".to_owned()))?,
        };
        let number = |setting| -> Result<u32, Failure> {
            let value = settings.integer(setting)?.max(0);
            Ok(u32::try_from(value).unwrap_or(u32::MAX / 4))
        };
        // The route is more special than the environment.
        let penalty = match route.penalty {
            Some(penalty) => penalty,
            None => number(&remote::MIN_PENALTY)?,
        };
        let tolerance = match route.tolerance {
            Some(tolerance) => tolerance,
            None => number(&remote::MAX_TOLERANCE)?,
        };
        Ok(Self {
            helo: String::from_utf8_lossy(&helo).into_owned(),
            resolver: dns::Resolver::from_settings(settings),
            own: Own::read(settings)?,
            security: Security::read(home, settings, job, route.port)?,
            credentials: credentials(settings, &route)?,
            connect_timeout: timeout(settings, &remote::TIMEOUTCONNECT)?,
            remote_timeout: timeout(settings, &remote::TIMEOUTREMOTE)?,
            tcpto: Tcpto::open(&queue(home, settings), penalty, tolerance),
            // Behind the sandbox the system's authorities are out of sight.
            strict: match job.dsn.require_tls {
                true => Some(
                    tls::client_config(Verify::WebPki { bundle: None })
                        .map_err(|error| Failure::Tls(error.to_string()))?,
                ),
                false => None,
            },
            signs: settings.integer(&remote::DKIMSIGN)? != 0,
            bindings,
            route,
        })
    }

    /// Who to ask for names.
    pub fn resolver(&self) -> Result<&dns::Resolver, Failure> {
        self.resolver
            .as_ref()
            .map_err(|error| Failure::Dns(error.to_string()))
    }
}

/// After this nothing can be read but certificates, nothing written,
/// nothing started.
pub fn close_sandbox(home: &Home) {
    // What a kernel cannot enforce is not worth losing mail for, and there
    // is nowhere to say so.
    let _ = run::sandboxes::remote(home).enter();
}

fn credentials(
    settings: &Settings,
    route: &Route,
) -> Result<Option<(Credentials, MechanismChoice)>, Failure> {
    let (Some(wanted), Some((user, password))) =
        (settings.variable(remote::AUTH_SMTP.variable), &route.login)
    else {
        return Ok(None);
    };
    let choice = match wanted {
        b"" => MechanismChoice::Strongest,
        name => MechanismChoice::Only(
            Mechanism::parse(name)
                .ok_or_else(|| Failure::Control("AUTH_SMTP names no mechanism".to_owned()))?,
        ),
    };
    let credentials = Credentials {
        user: user.clone(),
        password: password.clone(),
        nonce: format!("{:016x}{:016x}", os::clock::random(), os::clock::random()),
    };
    Ok(Some((credentials, choice)))
}

fn timeout(settings: &Settings, setting: &settings::Setting) -> Result<Duration, Failure> {
    let seconds = settings.integer(setting)?.clamp(1, TIMEOUT_SECONDS_MAX);
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// The queue whose table of dead hosts is used.
fn queue(home: &Home, settings: &Settings) -> PathBuf {
    let variable = settings.variable("QUEUEDIR").filter(|dir| !dir.is_empty());
    match variable.and_then(|dir| std::str::from_utf8(dir).ok()) {
        Some(directory) => home.root().join(directory),
        None => home.queues().join("queue1"),
    }
}
