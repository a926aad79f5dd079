//! One message to one host: address after address, until one answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smtp::client::{Encryption, End, Outcome, Plan, Reply, Session, Stage};
use tls::{HandshakeError, Verify};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::conversation::{self, Tls};
use crate::failure::Failure;
use crate::hosts::{self, Candidate};
use crate::job::Job;
use crate::report;
use crate::security::Demand;
use crate::setup::Setup;
use crate::stored::Stored;

/// What came of one address.
enum Attempt {
    /// This is the answer.
    Report(Vec<u8>),
    /// Another address may do better; what the server said, if anything.
    Next(Option<Reply>),
}

/// Delivers; the report.
pub async fn deliver(job: &Job, setup: &Setup, message: &Stored) -> Result<Vec<u8>, Failure> {
    let candidates = hosts::find(job, setup).await?;
    let spread = std::process::id();
    let mut last_reply = None;
    for candidate in &candidates {
        let now = now();
        if setup.tcpto.skips(candidate.ip, now, spread) {
            continue;
        }
        match attempt(job, setup, message, candidate).await? {
            Attempt::Report(report) => return Ok(report),
            Attempt::Next(reply) => {
                setup.tcpto.failed(candidate.ip, self::now());
                last_reply = reply.or(last_reply);
            }
        }
    }
    let failure = Failure::NoConnection(tried(job, setup, &candidates));
    Ok(match last_reply {
        None => failure.report(),
        Some(reply) => {
            let text = failure.to_string();
            let mut report = report::with_reply(text.trim_end_matches('.'), &reply);
            report.push(0);
            report
        }
    })
}

async fn attempt(
    job: &Job,
    setup: &Setup,
    message: &Stored,
    candidate: &Candidate,
) -> Result<Attempt, Failure> {
    let Some(stream) = connect(setup, candidate.ip).await? else {
        return Ok(Attempt::Next(None));
    };
    let demand = setup.security.demand(&candidate.name);
    let demand = match job.dsn.require_tls {
        true => demand.with_tls_required(),
        false => demand,
    };
    let optional = demand.encryption == Encryption::IfOffered;
    let outcome = match talk(job, setup, message, candidate, stream, &demand).await? {
        // Opportunistic: a server whose TLS is broken gets the mail in clear,
        // over a connection on which nothing was said.
        Err(_) if optional => {
            let Some(stream) = connect(setup, candidate.ip).await? else {
                return Ok(Attempt::Next(None));
            };
            let clear = Demand {
                encryption: Encryption::Never,
                authorities: None,
            };
            talk(job, setup, message, candidate, stream, &clear).await?
        }
        result => result,
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            return Ok(Attempt::Report(handshake_failed(
                candidate, &demand, &error,
            )));
        }
    };
    match outcome.end {
        End::Rejected(Stage::Greeting, reply) if !reply.is_permanent() => {
            return Ok(Attempt::Next(Some(reply)));
        }
        End::Died(Stage::Greeting) => return Ok(Attempt::Next(None)),
        _ => setup.tcpto.reached(candidate.ip),
    }
    let authorities = demand.authorities.as_deref();
    Ok(Attempt::Report(report::of_outcome(
        job,
        candidate.ip,
        authorities,
        &outcome,
    )))
}

async fn talk(
    job: &Job,
    setup: &Setup,
    message: &Stored,
    candidate: &Candidate,
    stream: TcpStream,
    demand: &Demand,
) -> Result<Result<Outcome, HandshakeError>, Failure> {
    let config =
        |verify| tls::client_config(verify).map_err(|error| Failure::Tls(error.to_string()));
    let tls = Tls {
        config: match (&demand.authorities, &setup.strict) {
            (Some(path), _) => config(Verify::WebPki {
                bundle: Some(path.clone()),
            })?,
            (None, Some(strict)) => Arc::clone(strict),
            (None, None) => config(Verify::None)?,
        },
        host: &candidate.name,
        implicit: demand.encryption == Encryption::Established,
    };
    let session = Session::new(Plan {
        helo: setup.helo.clone(),
        sender: job.sender_path.clone(),
        recipients: job
            .recipients
            .iter()
            .map(|(_, path)| path.clone())
            .collect(),
        size: job.size + job.extra_headers.len() as u64,
        eight_bit: message.eight_bit,
        encryption: demand.encryption,
        credentials: setup.credentials.clone(),
        dsn: job.dsn.clone(),
        wishes: job.wishes(),
    });
    Ok(conversation::hold(stream, session, message, tls, setup.remote_timeout).await)
}

/// Connects; `None` when nobody is there.
async fn connect(setup: &Setup, ip: IpAddr) -> Result<Option<TcpStream>, Failure> {
    let socket = if ip.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let Ok(socket) = socket else { return Ok(None) };
    if let Some(local) = setup.bindings.local(ip)? {
        socket
            .bind(SocketAddr::new(local, 0))
            .map_err(|_| Failure::LocalAddress("control/outgoingip".into()))?;
    }
    let connecting = socket.connect(SocketAddr::new(ip, setup.route.port));
    let stream = timeout(setup.connect_timeout, connecting).await;
    let stream = stream.ok().and_then(Result::ok);
    // Commands wait for replies; there is nothing to be collected.
    Ok(stream.inspect(|stream| {
        let _ = stream.set_nodelay(true);
    }))
}

fn handshake_failed(candidate: &Candidate, demand: &Demand, error: &HandshakeError) -> Vec<u8> {
    let text = match (error, &demand.authorities) {
        (HandshakeError::Certificate(reason), Some(path)) => format!(
            "ZTLS unable to verify server with {}: {reason}. (#4.7.5)",
            path.display()
        ),
        _ => format!("ZTLS connect failed to {}: {error}. (#4.7.5)", candidate.ip),
    };
    let mut report = text::log::printable(text.as_bytes(), 1000).into_bytes();
    report.extend_from_slice(b"\n\0");
    report
}

/// ` for HOST to IP,IP port N`
fn tried(job: &Job, setup: &Setup, candidates: &[Candidate]) -> String {
    let ips: Vec<String> = candidates.iter().map(|c| c.ip.to_string()).collect();
    format!(
        " for {} to {} port {}",
        job.host_text,
        ips.join(","),
        setup.route.port
    )
}

fn now() -> u32 {
    os::clock::unix_seconds() as u32
}
