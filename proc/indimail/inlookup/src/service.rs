//! Connections: who may connect, how many, and what each is answered.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use os::signal::{Interest, Signal, Signals};
use run::Link;
use wire::lookup::{Reply, Request, VERSION};

use crate::administrator;
use crate::delivery;
use crate::login::{self, Attempt};
use crate::recipient;
use crate::relay;
use crate::world::{Trouble, World, locked};

/// Connections of one user; another user still gets its own.
const CONNECTIONS_PER_USER_MAX: usize = 256;
/// How long a client may take to fetch its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const STACK_BYTES: usize = 512 * 1024;

/// Open connections of each user.
type Counts = Arc<Mutex<HashMap<u32, usize>>>;

/// Serves until TERM.
pub fn serve(
    listener: &UnixListener,
    mut signals: Signals,
    world: &Arc<World>,
    clients: &[u32],
) -> io::Result<()> {
    os::fd::set_nonblocking(listener, true)?;
    let counts = Counts::default();
    run::info(crate::PROGRAM, "ready");
    loop {
        let waits = [
            (listener.as_fd(), Interest::Read),
            (signals.as_fd(), Interest::Read),
        ];
        os::signal::poll(&waits, None)?;
        while let Some(signal) = signals.take() {
            match signal {
                Signal::SIGHUP => world.reread(),
                _ => return Ok(()),
            }
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = accept(stream, world, clients, &counts) {
                    run::warn(crate::PROGRAM, &format!("connection dropped: {error}"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // No descriptors left: let the others finish first.
                run::warn(crate::PROGRAM, &format!("cannot accept: {error}"));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn accept(
    stream: UnixStream,
    world: &Arc<World>,
    clients: &[u32],
    counts: &Counts,
) -> io::Result<()> {
    let uid = os::socket::peer(&stream)?.uid;
    if !clients.contains(&uid) {
        return Err(io::Error::other(format!("user {uid} may not ask")));
    }
    os::fd::set_nonblocking(&stream, false)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let place = Place::take(counts, uid)
        .ok_or_else(|| io::Error::other(format!("user {uid} has too many connections")))?;
    let world = Arc::clone(world);
    let asker = match uid {
        uid if world.operators.contains(&uid) => Asker::Operator,
        uid if world.owners.contains(&uid) => Asker::Owner,
        _ => Asker::Network,
    };
    std::thread::Builder::new()
        .name("client".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _place = place;
            converse(&world, asker, stream);
        })?;
    Ok(())
}

/// One of the connections a user may have.
struct Place(Counts, u32);

impl Place {
    fn take(counts: &Counts, uid: u32) -> Option<Self> {
        let mut open = locked(counts);
        let count = open.entry(uid).or_default();
        if CONNECTIONS_PER_USER_MAX <= *count {
            return None;
        }
        *count += 1;
        Some(Self(Arc::clone(counts), uid))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = locked(&self.0).get_mut(&self.1) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Answers one question after the other until the client hangs up.
fn converse(world: &World, asker: Asker, stream: UnixStream) {
    let mut link = Link::accepted(stream, Path::new("client"), VERSION);
    while let Ok(Some(request)) = link.receive::<Request>() {
        let reply = answer(world, asker, &request).unwrap_or_else(|trouble| {
            let text = run::chain(&trouble);
            run::warn(crate::PROGRAM, &text);
            Reply::Temporary(text)
        });
        if link.send(&reply).is_err() {
            return;
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asker {
    /// A daemon that parses the network: it gets verdicts.
    Network,
    /// A delivery: it gets rows without secrets, and sets marks.
    Owner,
    /// Root, or the one user of everything: it may also forgive.
    Operator,
}

/// Answers one question.
pub fn answer(world: &World, asker: Asker, request: &Request) -> Result<Reply, Trouble> {
    Ok(match request {
        Request::Recipient { address } => Reply::Recipient(recipient::find(world, address)?),
        Request::Relay { sender, remote_ip } => Reply::Relay(relay::may(world, sender, remote_ip)?),
        Request::Mechanisms => {
            let stored = world.mechanisms()?;
            Reply::Mechanisms {
                cram_md5: stored.cram && world.rules().cram_md5,
                scram_sha_256: stored.scram_sha_256,
            }
        }
        Request::Password {
            service,
            user,
            password,
            remote_ip,
        } => {
            let attempt = Attempt {
                service: *service,
                user,
                remote_ip,
            };
            Reply::Login(login::password(world, &attempt, password)?)
        }
        Request::CramMd5 {
            service,
            user,
            challenge,
            digest,
            remote_ip,
        } => {
            let attempt = Attempt {
                service: *service,
                user,
                remote_ip,
            };
            Reply::Login(login::cram_md5(world, &attempt, challenge, digest)?)
        }
        Request::ScramParameters { user } => login::scram_parameters(world, user)?,
        Request::ScramProof {
            service,
            user,
            auth_message,
            proof,
            remote_ip,
        } => {
            let attempt = Attempt {
                service: *service,
                user,
                remote_ip,
            };
            Reply::Login(login::scram(world, &attempt, auth_message, proof)?)
        }
        Request::User { .. }
        | Request::Aliases { .. }
        | Request::Filters { .. }
        | Request::OverQuota { .. }
        | Request::Delivered { .. } => match asker {
            Asker::Owner | Asker::Operator => delivery::answer(world, request)?,
            Asker::Network => Reply::Temporary("only deliveries may ask that".to_owned()),
        },
        Request::Blocks
        | Request::Forgive { .. }
        | Request::Administrator { .. }
        | Request::AdministratorToken { .. }
            if asker != Asker::Operator =>
        {
            Reply::Temporary("only root may ask that".to_owned())
        }
        Request::Administrator {
            user,
            password,
            remote_ip,
        } => Reply::Administrator(administrator::password(world, user, password, remote_ip)?),
        Request::AdministratorToken { token, remote_ip } => {
            Reply::Administrator(administrator::token(world, token, remote_ip)?)
        }
        Request::Blocks => Reply::Blocks(world.failures.blocks(Instant::now())),
        Request::Forgive { name } => {
            let count = world.failures.forgive(name);
            let shown = text::log::safe(name.as_bytes());
            run::info(
                crate::PROGRAM,
                &format!("forgiven: {shown} ({count} known)"),
            );
            Reply::Forgiven(count)
        }
    })
}

#[cfg(test)]
mod tests;
