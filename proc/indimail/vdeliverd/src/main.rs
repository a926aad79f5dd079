//! vdeliverd: delivers to virtual users without a process for each.
//!
//! Serves the socket `deliver`: does for qmail-lspawn what qmail-local does, in
//! threads. Starts as root (then it becomes `--user`, normally `indimail`) or
//! as the owner of the virtual mail itself. After start-up it may write only
//! below `mail`, `domains`, `db` and the directory for temporary files, and
//! may start no program. Program lines are run by a companion: this program
//! again, same user, started before the sandbox closed, on descriptor 0.
//!
//! Exits 0 after SIGTERM, when the deliveries under way are done or have had
//! their time; who asked for the rest sees the connection end and tries
//! again. Exits 111 when the companion ends, so that supervise starts both
//! anew.

mod connection;
mod pool;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use delivery::{Site, VirtualUsers, outside};
use os::account::{Account, Identity};
use os::group_sync::GroupSync;
use os::signal::{Interest, Signal, Signals};
use run::{Exit, Home, sandboxes};

use crate::pool::Pool;

const NAME: &str = "vdeliverd";
const USAGE: &str = "usage: vdeliverd [--user NAME] [--threads N] [--mail DIRECTORY]...

Delivers to virtual users for qmail-lspawn, which it hears on ROOT/run/deliver.
  --user NAME       become this user when started as root (indimail)
  --threads N       deliveries at the same time (100)
  --mail DIRECTORY  further directory with homes of users, beside ROOT/mail

Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start or go on.";
/// Deliveries at once unless `--threads` says otherwise.
const THREADS: usize = 100;
/// Most that `--threads` may say.
const THREADS_MAX: usize = 1024;
/// How long what a control file says holds without another look.
const CONTROLS_FRESH: Duration = Duration::from_secs(1);
/// How long deliveries may go on after SIGTERM.
const LAST_SECONDS: Duration = Duration::from_secs(8);
/// Argument of the companion.
const COMPANION: &str = "--companion";

fn main() -> ExitCode {
    run::process(NAME, || {
        os::account::set_umask(0o077);
        let options = Options::parse(std::env::args().skip(1))?;
        match options {
            Options::Help => {
                println!("{USAGE}");
                Ok(())
            }
            Options::Companion => companion(),
            Options::Serve(serve) => serve.run(),
        }
    })
}

/// What the arguments say.
enum Options {
    Help,
    Companion,
    Serve(Serve),
}

struct Serve {
    user: String,
    threads: usize,
    mail: Vec<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Exit> {
        let wrong = |text: String| Exit::new(run::PERMANENT, format!("{text}; see --help"));
        let mut serve = Serve {
            user: "indimail".to_owned(),
            threads: THREADS,
            mail: Vec::new(),
        };
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| wrong(format!("{name} needs a value")))
            };
            match &name[..] {
                "--help" => return Ok(Self::Help),
                COMPANION => return Ok(Self::Companion),
                "--user" => serve.user = value()?,
                "--mail" => serve.mail.push(value()?.into()),
                "--threads" => {
                    let number = value()?.parse().ok();
                    let valid = number.filter(|n| (1..=THREADS_MAX).contains(n));
                    serve.threads = valid.ok_or_else(|| {
                        wrong(format!("--threads takes a number from 1 to {THREADS_MAX}"))
                    })?;
                }
                _ => return Err(wrong(format!("unknown argument {name}"))),
            }
        }
        Ok(Self::Serve(serve))
    }
}

/// Runs programs for the sandboxed process on the other end of descriptor 0.
fn companion() -> Result<(), Exit> {
    let socket = os::fd::inherit(0).ok_or_else(|| Exit::new(run::TEMPORARY, "no socket on 0"))?;
    // Programs must not find it where their message belongs.
    os::fd::set_close_on_exec(&socket, true).map_err(|error| trouble(&error))?;
    outside::serve(UnixStream::from(socket)).map_err(|error| trouble(&error))
}

fn trouble(error: &dyn std::error::Error) -> Exit {
    Exit::new(run::TEMPORARY, run::chain(error))
}

impl Serve {
    fn run(self) -> Result<(), Exit> {
        let home = Home::find();
        let path = home.socket("deliver");
        let listener = os::socket::listen(&path, 0o600).map_err(|error| {
            let text = format!("cannot listen on {}: {error}", path.display());
            Exit::new(run::TEMPORARY, text)
        })?;
        if os::account::is_root() {
            let account = Account::by_name(&self.user).map_err(|error| trouble(&error))?;
            account.identity.assume().map_err(|error| trouble(&error))?;
        }
        let mut signals = Signals::collect(&[
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGCHLD,
        ])
        .map_err(|error| trouble(&error))?;
        let mut site = Site::open(NAME, home).map_err(|error| trouble(&error))?;
        site.settings = site.settings.remembering(CONTROLS_FRESH);
        site.virtual_users = VirtualUsers::InProcess;
        // Without it every delivery syncs for itself.
        site.group = GroupSync::on(&site.home.mail()).ok();
        site.programs = Box::new(outside::Outside::new(start_companion(&site)?));
        sandboxes::close(sandboxes::vdeliverd(&site.home, &self.mail), NAME);
        let pool = Arc::new(Pool::new(site, self.threads));
        run::info(NAME, &format!("listening on {}", path.display()));
        accept(&listener, &mut signals, &pool)?;
        pool.finish(LAST_SECONDS);
        Ok(())
    }
}

fn start_companion(site: &Site) -> Result<UnixStream, Exit> {
    let (here, there) = UnixStream::pair().map_err(|error| trouble(&error))?;
    let program = std::env::current_exe().map_err(|error| trouble(&error))?;
    let mut command = Command::new(program);
    command
        .arg(COMPANION)
        .current_dir(site.home.root())
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::null());
    // It ends when our end of the socket is closed, whatever happens to us; a
    // session of its own keeps a terminal's signals from ending it earlier.
    let setup = os::child::Setup {
        new_session: true,
        ..os::child::Setup::default()
    };
    os::child::prepare(&mut command, setup);
    command.spawn().map_err(|error| trouble(&error))?;
    Ok(here)
}

/// Takes connections until a signal says that it is enough.
fn accept(listener: &UnixListener, signals: &mut Signals, pool: &Arc<Pool>) -> Result<(), Exit> {
    listener
        .set_nonblocking(true)
        .map_err(|error| trouble(&error))?;
    let own = Identity::of_this_process().uid;
    loop {
        while let Some(signal) = signals.take() {
            match signal {
                Signal::SIGHUP => {}
                // The only child: without it no program line can be carried
                // out, and the sandbox does not let us start another.
                Signal::SIGCHLD => {
                    let text = "the companion that runs programs has ended";
                    return Err(Exit::new(run::TEMPORARY, text));
                }
                _ => return Ok(()),
            }
        }
        let waits = [
            (listener.as_fd(), Interest::Read),
            (signals.as_fd(), Interest::Read),
        ];
        os::signal::poll(&waits, None).map_err(|error| trouble(&error))?;
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        match os::socket::peer(&stream) {
            Ok(peer) if peer.uid == 0 || peer.uid == own => {
                connection::start(stream, Arc::clone(pool));
            }
            Ok(peer) => run::warn(NAME, &format!("refused a connection of user {}", peer.uid)),
            Err(error) => run::warn(NAME, &format!("refused a connection: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parse = |text: &str| Options::parse(text.split_ascii_whitespace().map(str::to_owned));
        let Ok(Options::Serve(serve)) = parse("--user joe --threads 3 --mail /a --mail /b") else {
            panic!("these are arguments to serve");
        };
        assert_eq!(
            (&serve.user[..], serve.threads, serve.mail.len()),
            ("joe", 3, 2)
        );
        for wrong in [
            "--threads 0",
            "--threads x",
            "--user",
            "--what",
            "--threads 9999",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
