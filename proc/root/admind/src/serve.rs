//! Connections: one thread each, few.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use os::account::Identity;
use os::signal::{Interest, Signal, Signals};
use run::{Home, Link, LinkError, Settings};
use settings::receiving::QREGEX;
use wire::admin::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, INPUT_BYTES_MAX, Reply, Request, VERSION};
use wire::lookup::{self, Administrator, Rights};

use crate::PROGRAM;
use crate::child::Order;
use crate::commands::{self, As};
use crate::rights::{self, Patterns};

/// Administrators at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a listener may take to fetch what we say.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Checking a password is slow on purpose, and others may be before us.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections share.
pub struct Site {
    /// The installation.
    pub home: Home,
    /// Owner of virtual mail.
    pub owner: Identity,
    /// Who may connect.
    pub listeners: Vec<u32>,
}

/// Serves until SIGTERM.
pub fn forever(listener: &UnixListener, site: Site) -> io::Result<()> {
    let mut signals = Signals::collect(&[Signal::SIGTERM, Signal::SIGINT])?;
    listener.set_nonblocking(true)?;
    let (site, open) = (Arc::new(site), Arc::new(AtomicUsize::new(0)));
    run::info(PROGRAM, "ready");
    loop {
        let waits = [
            (signals.as_fd(), Interest::Read),
            (listener.as_fd(), Interest::Read),
        ];
        os::signal::poll(&waits, None)?;
        if signals.take().is_some() {
            return Ok(());
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = admit(stream, &site, &open) {
                    run::warn(PROGRAM, &format!("connection dropped: {error}"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                run::warn(PROGRAM, &format!("cannot accept: {error}"));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn admit(stream: UnixStream, site: &Arc<Site>, open: &Arc<AtomicUsize>) -> io::Result<()> {
    let uid = os::socket::peer(&stream)?.uid;
    if !site.listeners.contains(&uid) {
        return Err(io::Error::other(format!("user {uid} may not ask")));
    }
    let place = Place::take(open).ok_or_else(|| io::Error::other("too many connections"))?;
    os::fd::set_nonblocking(&stream, false)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let site = Arc::clone(site);
    std::thread::Builder::new().spawn(move || {
        let _place = place;
        let mut link = Link::accepted(stream, Path::new("listener"), VERSION);
        if let Err(error) = converse(&site, &mut link) {
            run::warn(PROGRAM, &run::chain(&error));
        }
    })?;
    Ok(())
}

struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        let before = open.fetch_add(1, Ordering::AcqRel);
        (before < CONNECTIONS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who is on a connection.
struct Session {
    name: String,
    rights: Rights,
    remote_ip: String,
}

fn converse(site: &Site, link: &mut Link) -> Result<(), LinkError> {
    let Some(first) = link.receive()? else {
        return Ok(());
    };
    let session = match log_in(site, first) {
        Ok(session) => session,
        Err(reply) => return link.send(&reply),
    };
    link.send(&Reply::Welcome {
        name: session.name.clone(),
    })?;
    while let Some(request) = link.receive()? {
        let Request::Run {
            program,
            arguments,
            input,
            merged,
        } = request
        else {
            return Ok(());
        };
        let code = match session.order(site, &program, &arguments, &input) {
            Ok(order) => Order { merged, ..order }.run(link)?,
            Err(reply) => {
                link.send(&reply)?;
                continue;
            }
        };
        session.log(&program, &arguments, &format!("ended with {code}"));
        link.send(&Reply::Ended(code))?;
    }
    Ok(())
}

/// Asks inlookup; the reply when nobody comes in.
fn log_in(site: &Site, first: Request) -> Result<Session, Reply> {
    let (question, remote_ip) = match first {
        Request::Password {
            user,
            password,
            remote_ip,
        } => {
            let question = lookup::Request::Administrator {
                user,
                password,
                remote_ip: remote_ip.clone(),
            };
            (question, remote_ip)
        }
        Request::Token { token, remote_ip } => {
            let question = lookup::Request::AdministratorToken {
                token,
                remote_ip: remote_ip.clone(),
            };
            (question, remote_ip)
        }
        Request::Run { .. } => return Err(Reply::Refused),
    };
    let unanswered = |error: LinkError| Reply::Temporary(run::chain(&error));
    let socket = site.home.socket("inlookup");
    let mut inlookup =
        Link::connect(&socket, lookup::VERSION, LOOKUP_TIMEOUT).map_err(unanswered)?;
    match inlookup.ask(&question).map_err(unanswered)? {
        lookup::Reply::Administrator(Administrator::Granted { name, rights }) => Ok(Session {
            name,
            rights,
            remote_ip,
        }),
        lookup::Reply::Administrator(Administrator::Disabled) => Err(Reply::Disabled),
        lookup::Reply::Administrator(Administrator::Refused) => Err(Reply::Refused),
        lookup::Reply::Temporary(why) => Err(Reply::Temporary(why)),
        _ => Err(Reply::Temporary("inlookup answers nonsense".to_owned())),
    }
}

impl Session {
    /// A command this administrator may run; the reply when it may not.
    fn order<'a>(
        &'a self,
        site: &'a Site,
        program: &'a str,
        arguments: &'a [String],
        input: &'a [u8],
    ) -> Result<Order<'a>, Reply> {
        let is_clean = |argument: &String| {
            argument.len() <= ARGUMENT_BYTES_MAX && !argument.chars().any(char::is_control)
        };
        let fits = arguments.len() <= ARGUMENTS_MAX
            && arguments.iter().all(is_clean)
            && input.len() <= INPUT_BYTES_MAX;
        let refused = || {
            self.log(program, arguments, "permission denied");
            Err(Reply::Forbidden)
        };
        let Some(as_whom) = commands::find(program).filter(|_| fits) else {
            return refused();
        };
        let patterns = patterns(&site.home).map_err(Reply::Temporary)?;
        if !rights::allow(&self.rights, patterns, program, arguments) {
            return refused();
        }
        let identity = match as_whom {
            As::Owner => Some(site.owner),
            As::Root if commands::is_harmless(arguments) => None,
            As::Root => return refused(),
        };
        Ok(Order {
            home: &site.home,
            program,
            arguments,
            input,
            merged: true,
            identity,
            remote_ip: &self.remote_ip,
        })
    }

    /// Logs what became of a command, without anything that may be a secret.
    fn log(&self, program: &str, arguments: &[String], what: &str) {
        let program = text::log::printable(program.as_bytes(), 64);
        let name = text::log::safe(self.name.as_bytes());
        let ip = text::log::safe(self.remote_ip.as_bytes());
        let shown = shown(arguments);
        run::info(
            PROGRAM,
            &format!("{name} from {ip}: {program} args [{shown}]: {what}"),
        );
    }
}

/// Arguments as the log may have them: letters of options, and the first word
/// with an `@` unless it may be an option's value. All else may be a password.
fn shown(arguments: &[String]) -> String {
    let is_option = |word: &str| word.len() == 2 && word.starts_with('-');
    let mut address_seen = false;
    let mut before = "";
    let shown: Vec<String> = arguments
        .iter()
        .map(|word| {
            let is_value = is_option(before);
            before = word;
            let is_address = !address_seen && !is_value && word.contains('@');
            address_seen |= word.contains('@');
            match is_address || is_option(word) {
                true => text::log::printable(word.as_bytes(), 100),
                false => "?".to_owned(),
            }
        })
        .collect();
    shown.join(" ")
}

fn patterns(home: &Home) -> Result<Patterns, String> {
    let settings = Settings::of_process(home);
    match settings.integer(&QREGEX) {
        Ok(0) => Ok(Patterns::Wildcards),
        Ok(_) => Ok(Patterns::Regexes),
        Err(error) => Err(run::chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_no_passwords() {
        let shown = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            shown(&words)
        };
        assert_eq!(shown("-v joe@a.example p@ss.word"), "-v ? ?");
        assert_eq!(shown("joe@a.example p@ss.word"), "joe@a.example ?");
        assert_eq!(shown("-P p@ss.word joe@a.example"), "-P ? ?");
        assert_eq!(shown("-P secret joe@a.example"), "-P ? joe@a.example");
    }
}
