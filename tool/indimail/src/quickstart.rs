//! `indimail quickstart`: from nothing to a running mail server.
//!
//! Every step can be repeated; what exists is kept. The services run below
//! the project's own svscan, in the foreground, until SIGTERM or SIGINT.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use address::Domain;
use os::signal::{Interest, Signal, Signals};
use run::Home;

use crate::install::{InstallError, accounts, controls, file_error, keys, programs, reach, tree};
use crate::services::{self, SERVICES};
use crate::site::{self, Mode, Site};
use crate::{Outcome, first_steps, ready, running, status};

/// How long services may take to accept connections.
const READY_WAIT: Duration = Duration::from_secs(30);
/// How long services may take to stop before they are killed.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// How often the ports are tried while waiting.
const POLL: Duration = Duration::from_millis(50);
/// Shortest password that is taken from a file.
const GIVEN_CHARACTERS_MIN: usize = 8;
/// Where a generated password is until it was printed.
pub const PASSWORD_FILE: &str = ".postmaster.password";
/// Length of a generated password.
const PASSWORD_CHARACTERS: usize = 20;

/// Arguments of `indimail quickstart`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The domain to take mail for, like example.org
    domain: String,
    /// Where to install [default: /var/indimail for root, ./indimail-data for
    /// others]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Added to every standard port [default: 0 for root, 10000 for others]
    #[arg(long, value_name = "N")]
    port_base: Option<u16>,
    /// The name of this host [default: mx.DOMAIN]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// File with postmaster's password, one line [default: one is generated
    /// and printed once]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Install only; do not run the services
    #[arg(long)]
    no_start: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let site = site(arguments)?;
    let given = given_password(arguments)?;
    programs::are_built()?;
    let _lock = lock(&site)?;
    reach::check(&site)?;
    if !arguments.no_start {
        running::wait_for_end(&site.home.service(), STOP_WAIT)?;
        ports_are_free(&site)?;
    }
    let (keys, password) = install(&site, given)?;
    let page = first_steps::page(&site, &keys);
    let path = site.home.root().join("doc/first-steps.txt");
    os::file::replace(&path, page.as_bytes(), 0o644).map_err(file_error("write", &path))?;
    println!("{page}");
    if let Some(password) = password {
        println!(
            "Password of postmaster@{} (shown once): {password}",
            site.domain
        );
        std::io::stdout().flush()?;
    }
    // Whoever was to see it has seen it.
    forget_password(&site)?;
    if arguments.no_start {
        return Ok(ExitCode::SUCCESS);
    }
    serve(&site)
}

fn site(arguments: &Arguments) -> Result<Site, Box<dyn std::error::Error>> {
    let name = |text: &str| {
        Domain::parse(text).map_err(|error| {
            format!("{text:?} is no domain name: {error}; write one like example.org")
        })
    };
    let domain = name(&arguments.domain)?;
    let hostname = match &arguments.hostname {
        Some(hostname) => name(hostname)?,
        None => name(&format!("mx.{domain}"))?,
    };
    let root = match &arguments.root {
        Some(root) => std::path::absolute(root)?,
        None => site::default_root()?,
    };
    let port_base = arguments.port_base.unwrap_or_else(site::default_port_base);
    if 65_535 - 4_143 < port_base {
        return Err(format!(
            "--port-base {port_base} leaves no room for the ports above it; choose one up to {}",
            65_535 - 4_143
        )
        .into());
    }
    let mode = Mode::of_this_process();
    Ok(Site {
        home: Home::at(root),
        domain,
        hostname,
        port_base,
        mode,
    })
}

/// Two quickstarts on one root would fight; the second one says so.
fn lock(site: &Site) -> Result<os::file::Lock, Box<dyn std::error::Error>> {
    let root = site.home.root();
    let elsewhere =
        |error: InstallError| format!("{error}; choose another place with --root, or run as root");
    fs::create_dir_all(root)
        .map_err(file_error("create directory", root))
        .map_err(elsewhere)?;
    let path = root.join(".quickstart.lock");
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(file_error("open", &path))
        .map_err(elsewhere)?;
    os::file::try_lock(file)?.ok_or_else(|| {
        format!(
            "an indimail quickstart is already running on {}; stop it first",
            root.display()
        )
        .into()
    })
}

fn ports_are_free(site: &Site) -> Result<(), Box<dyn std::error::Error>> {
    for port in SERVICES.iter().filter_map(services::Service::standard_port) {
        let port = site.port(port);
        let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop);
        let both = four.and_then(|()| match services::has_ipv6() {
            true => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).map(drop),
            false => Ok(()),
        });
        both.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another program uses it; stop that, or choose other ports with --port-base"
                }
                _ => "use --port-base 10000, or run as root",
            };
            format!("cannot listen on port {port}: {error}; {hint}")
        })?;
    }
    Ok(())
}

/// Does every step; the password when one was generated.
fn install(
    site: &Site,
    given: Option<String>,
) -> Result<(keys::PublicKeys, Option<String>), InstallError> {
    accounts::create(site)?;
    tree::create(site)?;
    programs::install(site)?;
    crate::pages::install(site)?;
    create_queues(site)?;
    controls::create(site)?;
    let keys = keys::create(site)?;
    let password = create_domain(site, given)?;
    services::create(site)?;
    Ok((keys, password))
}

fn create_queues(site: &Site) -> Result<(), InstallError> {
    let root = site.home.queues().join("queue1");
    if root.join("lock/trigger").exists() {
        return Ok(());
    }
    let owners = match site.mode {
        Mode::SingleUser => None,
        Mode::Separated => Some(queue::Owners {
            qmailq: accounts::identity(site.mode, "qmailq", "qmail")?,
            qmails: accounts::identity(site.mode, "qmails", "qmail")?,
            qmailr: accounts::identity(site.mode, "qmailr", "qmail")?,
        }),
    };
    queue::create(&root, owners.as_ref()).map_err(file_error("create queue", &root))
}

/// The password of `--password-file`, before anything is changed.
fn given_password(arguments: &Arguments) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let Some(path) = &arguments.password_file else {
        return Ok(None);
    };
    let content = fs::read_to_string(path).map_err(file_error("read", path))?;
    let password = content.lines().next().unwrap_or_default();
    let problem = if password.is_empty() {
        "is empty"
    } else if password.chars().count() < GIVEN_CHARACTERS_MIN {
        "is too short to be a password"
    } else {
        return Ok(Some(password.to_owned()));
    };
    let (path, least) = (path.display(), GIVEN_CHARACTERS_MIN);
    Err(format!(
        "the first line of {path} {problem}; write postmaster's password there, {least} \
         characters or more"
    )
    .into())
}

/// Adds the domain with its postmaster, unless it is there; the password when
/// it was generated and nobody has seen it yet.
fn create_domain(site: &Site, given: Option<String>) -> Result<Option<String>, InstallError> {
    let path = site.home.root().join(PASSWORD_FILE);
    // A quickstart that was interrupted has generated one already.
    let left = fs::read_to_string(&path).ok();
    let left = left.and_then(|text| Some(text.strip_suffix('\n')?.to_owned()));
    let generated = match (&given, is_listed(site)?) {
        (_, true) => return Ok(left),
        (Some(_), false) => None,
        (None, false) => Some(left.unwrap_or_else(generate_password)),
    };
    // Kept until it is printed, when it is ours.
    let secret = match (&generated, &given) {
        (Some(password), _) => Secret::keep(path, password)?,
        (None, given) => Secret::lend(path, given.as_deref().unwrap_or_default())?,
    };
    programs::run(
        Command::new(site.home.bin().join("vadddomain"))
            .env("QMAILDIR", site.home.root())
            .arg("--password-file")
            .arg(&secret.path)
            .arg(site.domain.as_str()),
    )?;
    Ok(generated)
}

fn is_listed(site: &Site) -> Result<bool, InstallError> {
    let path = site.home.control().join("virtualdomains");
    let listed = fs::read(&path).map_err(file_error("read", &path))?;
    Ok(text::control::lookup(&listed, site.domain.as_str().as_bytes()).is_some())
}

fn forget_password(site: &Site) -> Result<(), InstallError> {
    let path = site.home.root().join(PASSWORD_FILE);
    for path in [path.with_extension("given"), path] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A password on disk for as long as another program needs it.
struct Secret {
    path: PathBuf,
    is_lent: bool,
}

impl Secret {
    /// The file stays.
    fn keep(path: PathBuf, password: &str) -> Result<Self, InstallError> {
        os::file::replace(&path, format!("{password}\n").as_bytes(), 0o600)
            .map_err(file_error("write", &path))?;
        Ok(Self {
            path,
            is_lent: false,
        })
    }

    /// The file goes with this value. It has a name of its own: what an
    /// administrator gave is never printed.
    fn lend(path: PathBuf, password: &str) -> Result<Self, InstallError> {
        let mut secret = Self::keep(path.with_extension("given"), password)?;
        secret.is_lent = true;
        Ok(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        if self.is_lent {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Letters and digits that nobody confuses.
fn generate_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; PASSWORD_CHARACTERS];
    os::clock::fill_random(&mut bytes);
    bytes
        .iter()
        .map(|b| char::from(ALPHABET[usize::from(b % 32)]))
        .collect()
}

/// Runs the services until a signal says stop.
fn serve(site: &Site) -> Outcome {
    let mut signals = Signals::collect(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])?;
    let mut svscan = start_svscan(&site.home)?;
    let started = Instant::now();
    let mut waiting = true;
    loop {
        if waiting {
            let pending = ready::pending(site);
            if pending.is_empty() {
                waiting = false;
                println!("indimail: ready");
                std::io::stdout().flush()?;
            } else if READY_WAIT < started.elapsed() {
                waiting = false;
                for service in pending {
                    let (name, log) = (service.name, site.home.log().join(service.log));
                    eprintln!(
                        "indimail: warn: {name} does not work yet; see indimail status and {}",
                        log.join("current").display()
                    );
                }
            }
        }
        let wait = waiting.then_some(POLL);
        os::signal::poll(&[(signals.as_fd(), Interest::Read)], wait)?;
        while let Some(signal) = signals.take() {
            if signal == Signal::SIGCHLD {
                if let Some(status) = svscan.try_wait()? {
                    // Its supervises go on without it, and nobody would know.
                    running::wait_for_end(&site.home.service(), STOP_WAIT)?;
                    return Err(format!(
                        "svscan ended by itself: {status}; its services were stopped. Run \
                         indimail quickstart again; {} may say why",
                        site.home.log().join(status::SUPERVISION_LOG).display()
                    )
                    .into());
                }
            } else {
                return stop(svscan);
            }
        }
    }
}

fn start_svscan(home: &Home) -> std::io::Result<Child> {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", home.bin().display());
    let mut command = Command::new(home.bin().join("svscan"));
    // Services start from a clean environment (operations.md §7.4).
    command
        .arg(home.service())
        .env_clear()
        .env("PATH", path)
        .env("QMAILDIR", home.root());
    // A Ctrl-C on the terminal reaches this process, which stops the services
    // in order; svscan must not get it too. When this process is killed it
    // stops them itself: nothing runs that nobody watches.
    os::child::prepare(
        &mut command,
        os::child::Setup {
            new_session: true,
            signal_when_parent_ends: Some(Signal::SIGTERM),
            ..Default::default()
        },
    );
    command.spawn()
}

fn stop(mut svscan: Child) -> Outcome {
    os::signal::send(svscan.id(), Signal::SIGTERM)?;
    let deadline = Instant::now() + STOP_WAIT;
    while Instant::now() < deadline {
        if svscan.try_wait()?.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(POLL);
    }
    svscan.kill()?;
    Err("the services did not stop in time and were killed".into())
}

/// Says whether a path is inside an installation that was made here.
pub fn is_installation(root: &Path) -> bool {
    root.join("control").is_dir() && root.join("service").is_dir()
}
