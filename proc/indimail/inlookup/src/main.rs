//! inlookup: answers questions about users and checks their passwords.
//!
//! Starts as root or as `indimail` (single-user: as anybody), binds
//! `run/inlookup`, becomes `indimail`, closes its sandbox: it reads `control`,
//! `users`, `domains` and `mail`, writes `db`, and starts no program. It opens
//! no network socket, unless the users are on a database server: then only to
//! that port. It is the only process that reads the user database for
//! daemons, and no answer contains a secret.
//!
//! No descriptors. HUP drops what it remembers and reads
//! settings again; TERM and INT end it with 0. Log lines go to stderr.
//!
//! Unlike the original it listens on a socket; with -f it also serves FIFOs,
//! for clients of other systems. The threads of -i take the place of
//! processes.

mod administrator;
mod arrival;
mod books;
mod delivery;
mod failures;
mod fifo;
mod login;
mod pool;
mod recipient;
mod relay;
mod service;
mod verified;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use directory::Location;
use os::account::{self, Account, Identity};
use os::signal::{Signal, Signals};
use run::{Exit, Home, Settings, sandboxes};

const PROGRAM: &str = "inlookup";
const USAGE: &str = "usage: inlookup [-f FIFO] [-i N] [-c SECONDS] [-v]

Serves ROOT/run/inlookup: recipients and logins of virtual users.
-f FIFO    also serve run/inlookup/FIFO (N above 1: FIFO.1 to FIFO.N) for other
           systems; its readers get password hashes, so its mode (FIFO_MODE,
           0660) decides who asks; answers go to FIFOs below FIFOTMPDIR, else
           run/inlookup/replies
-i N       FIFOs and threads for them (1)
-c, -v     accepted and ignored
HUP forgets what is cached, TERM ends it. Settings: cram_md5, hash_method,
authfailures_account, authfailures_address, authfailures_pause,
DEFAULT_DOMAIN, NOLASTAUTH, REAL_DOMAINS, ALIAS_DOMAINS.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.";
/// Any local process may connect; who may ask is decided by its user.
const SOCKET_MODE: u32 = 0o666;
/// User of the daemon that asks, besides root and our own.
const CLIENT: &str = "qmaild";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        let fifos = fifo::Options::parse(&arguments).ok_or_else(|| run::usage::misused(USAGE))?;
        let home = Home::find();
        let signals = Signals::collect(&[Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT])
            .map_err(|error| temporary("cannot collect signals", &error))?;
        let socket = home.socket("inlookup");
        let listener = os::socket::listen(&socket, SOCKET_MODE).map_err(|error| {
            temporary(&format!("cannot listen on {}", socket.display()), &error)
        })?;
        let is_separated = account::is_root();
        let (identity, clients) = users()?;
        let location = Location::of(&home, &Settings::of_process(&home))
            .map_err(|error| temporary("cannot find the user database", &error))?;
        let fifos = fifo::prepare(&home, &fifos, identity)
            .map_err(|error| temporary("cannot make FIFOs", &error))?;
        identity
            .assume()
            .map_err(|error| temporary("cannot become indimail", &error))?;
        account::set_umask(0o077);
        let sandbox = sandboxes::inlookup(&home, &reach(&location));
        sandboxes::close(fifos.allow(sandbox), PROGRAM);
        let owners = vec![0, identity.uid];
        // Where users are apart, imapd and pop3d are owners of mail, too.
        let operators = match is_separated {
            true => vec![0],
            false => owners.clone(),
        };
        let world = world::World::new(home, owners, operators)
            .map_err(|error| temporary("cannot start", &error))?;
        let world = Arc::new(world);
        fifo::serve(fifos, &world).map_err(|error| temporary("cannot serve FIFOs", &error))?;
        service::serve(&listener, signals, &world, &clients)
            .map_err(|error| temporary("cannot go on serving", &error))
    })
}

/// Who we become, and who may ask. Accounts are looked up here because the
/// sandbox hides the system's user database.
fn users() -> Result<(Identity, Vec<u32>), Exit> {
    let me = Identity::of_this_process();
    if !account::is_root() {
        return Ok((me, vec![0, me.uid]));
    }
    let indimail = Account::by_name("indimail")
        .map_err(|error| temporary("cannot find my own user", &error))?;
    let mut clients = vec![0, indimail.identity.uid];
    clients.extend(Account::by_name(CLIENT).map(|account| account.identity.uid));
    Ok((indimail.identity, clients))
}

/// Which server the sandbox has to leave open.
fn reach(location: &Location) -> sandboxes::Reach {
    let Location::Server(server) = location else {
        return sandboxes::Reach::Nothing;
    };
    match server.tcp_port() {
        None => sandboxes::Reach::Nothing,
        Some(port) if server.host.parse::<std::net::IpAddr>().is_ok() => {
            sandboxes::Reach::Address(port)
        }
        Some(port) => sandboxes::Reach::Name(port),
    }
}

fn temporary(what: &str, error: &dyn std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, format!("{what}: {}", run::chain(error)))
}
