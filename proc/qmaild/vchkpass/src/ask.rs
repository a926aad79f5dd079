//! The question to inlookup.

use std::time::Duration;

use checker::{Attempt, Proof};
use run::{Home, Link};
use wire::lookup::{Login, Reply, Request, Service, VERSION};

/// Checking a password is slow on purpose, and others may be before us.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks inlookup; an error is why there is no answer now.
pub fn login(home: &Home, attempt: &Attempt<'_>) -> Result<Login, String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let remote_ip = variable("TCPREMOTEIP");
    let service = match variable("SERVICE").as_str() {
        "imap" => Service::Imap,
        "pop3" => Service::Pop3,
        _ => Service::Smtp,
    };
    let user = attempt.login.to_vec();
    let request = match attempt.proof {
        Proof::Password(password) => Request::Password {
            service,
            user,
            password: password.to_vec(),
            remote_ip,
        },
        Proof::CramMd5 { challenge, digest } => Request::CramMd5 {
            service,
            user,
            challenge: challenge.to_vec(),
            digest: digest.to_vec(),
            remote_ip,
        },
    };
    let unanswered = |error: run::LinkError| run::chain(&error);
    let mut link = Link::connect(&home.socket("inlookup"), VERSION, TIMEOUT).map_err(unanswered)?;
    match link.ask(&request).map_err(unanswered)? {
        Reply::Login(login) => Ok(login),
        Reply::Temporary(why) => Err(why),
        other => Err(format!("inlookup answers {other:?}")),
    }
}
