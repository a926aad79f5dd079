//! The FIFOs for clients of other systems (virtual-domains.md §10).
//!
//! They get password hashes, so who may ask is decided by the mode of the
//! FIFO. An answer goes to a FIFO directly in one directory, that one of our
//! own users made, and nowhere else.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use directory::{Limits, User};
use nix::fcntl::OFlag;
use os::account::Identity;
use os::sandbox::Sandbox;
use run::Home;
use wire::fifo::{self, Entry, Kind, QUESTION_BYTES_MAX, Question};
use wire::lookup::Mailbox;

use crate::recipient;
use crate::world::{Trouble, World};

/// FIFOs at most.
const FIFOS_MAX: usize = 64;
/// Questions that are answered at once.
const ANSWERS_MAX: usize = 64;
/// How long a client may take to listen, and between two looks.
const PATIENCE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(2);
const STACK_BYTES: usize = 512 * 1024;
const MODE: u32 = 0o660;
const REPLIES_MODE: u32 = 0o770;
/// A minute of a relay row.
const MINUTE: i64 = 60;

/// What the command line says.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Options {
    name: Option<String>,
    count: usize,
}

impl Options {
    /// Reads the arguments; `None` when they are wrong.
    pub fn parse(arguments: &[OsString]) -> Option<Self> {
        let mut options = Self {
            name: None,
            count: 1,
        };
        let mut words = arguments.iter().map(|word| word.to_str());
        while let Some(word) = words.next() {
            let word = word?;
            if word == "-v" {
                continue;
            }
            let option = word.get(..2)?;
            let value = match word.get(2..)? {
                "" => words.next()??,
                value => value,
            };
            match option {
                "-f" if is_name(value) => options.name = Some(value.to_owned()),
                "-i" => options.count = value.parse().ok()?,
                "-c" => {
                    value.parse::<u32>().ok()?;
                }
                _ => return None,
            }
        }
        (1..=FIFOS_MAX).contains(&options.count).then_some(options)
    }
}

/// One component of a path.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// FIFOs that are there, and where answers may go.
#[derive(Debug, Default)]
pub struct Fifos {
    paths: Vec<PathBuf>,
    replies: PathBuf,
}

impl Fifos {
    /// Lets the sandbox open them.
    pub fn allow(&self, sandbox: Sandbox) -> Sandbox {
        if self.paths.is_empty() {
            return sandbox;
        }
        let paths = self.paths.iter().chain([&self.replies]);
        paths.fold(sandbox, Sandbox::write)
    }
}

/// Makes the FIFOs, as whoever started us, for our user.
pub fn prepare(home: &Home, options: &Options, identity: Identity) -> io::Result<Fifos> {
    let Some(name) = &options.name else {
        return Ok(Fifos::default());
    };
    let socket = home.socket("inlookup");
    let directory = socket.parent().unwrap_or(home.root());
    let mode = std::env::var("FIFO_MODE").ok();
    let mode = mode.and_then(|text| u32::from_str_radix(&text, 8).ok());
    let replies = match std::env::var_os("FIFOTMPDIR") {
        Some(path) => PathBuf::from(path),
        None => {
            let path = directory.join("replies");
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            own(&path, REPLIES_MODE, identity)?;
            path
        }
    };
    let names = match options.count {
        1 => vec![name.clone(), format!("{name}.1")],
        count => (1..=count)
            .map(|number| format!("{name}.{number}"))
            .collect(),
    };
    let mut paths = Vec::new();
    for name in names {
        let path = directory.join(name);
        os::file::make_fifo(&path, mode.unwrap_or(MODE) & 0o777)?;
        own(&path, mode.unwrap_or(MODE) & 0o777, identity)?;
        paths.push(path);
    }
    Ok(Fifos { paths, replies })
}

/// Through a descriptor: the directory is not root's.
fn own(path: &Path, mode: u32, identity: Identity) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_dir() && !metadata.file_type().is_fifo() {
        return Err(io::Error::other(format!("{}: not a FIFO", path.display())));
    }
    if os::account::is_root() {
        std::os::unix::fs::fchown(&file, Some(identity.uid), Some(identity.gid))?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Starts a thread for each FIFO.
pub fn serve(fifos: Fifos, world: &Arc<World>) -> io::Result<()> {
    let busy = Arc::new(AtomicUsize::new(0));
    let replies = Arc::new(fifos.replies);
    for path in fifos.paths {
        // Both ends are ours, so that it never comes to an end.
        let open = move || OpenOptions::new().read(true).write(true).open(&path);
        let mut fifo = open()?;
        let world = Arc::clone(world);
        let (busy, replies) = (Arc::clone(&busy), Arc::clone(&replies));
        std::thread::Builder::new()
            .name("fifo".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                loop {
                    match read(&mut fifo) {
                        Ok(question) => take(question, &world, &replies, &busy),
                        Err(error) => {
                            // What follows cannot be understood either.
                            run::warn(crate::PROGRAM, &format!("a FIFO begins anew: {error}"));
                            match drain(&mut fifo).and_then(|()| open()) {
                                Ok(new) => fifo = new,
                                Err(_) => std::thread::sleep(Duration::from_secs(1)),
                            }
                        }
                    }
                }
            })?;
    }
    Ok(())
}

fn read(fifo: &mut File) -> io::Result<Question> {
    let mut length = [0; 4];
    fifo.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_ne_bytes(length)).unwrap_or(usize::MAX);
    if !(2..QUESTION_BYTES_MAX).contains(&length) {
        return Err(io::Error::other("a question of no possible length"));
    }
    let mut body = vec![0; length];
    fifo.read_exact(&mut body)?;
    Question::parse(&body).map_err(io::Error::other)
}

/// Drops what has been written.
fn drain(fifo: &mut File) -> io::Result<()> {
    os::fd::set_nonblocking(&*fifo, true)?;
    let mut rest = [0; QUESTION_BYTES_MAX];
    loop {
        match fifo.read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Answers beside the next question: a client may be slow to listen.
fn take(question: Question, world: &Arc<World>, replies: &Arc<PathBuf>, busy: &Arc<AtomicUsize>) {
    while ANSWERS_MAX <= busy.load(Ordering::Acquire) {
        std::thread::sleep(PAUSE);
    }
    busy.fetch_add(1, Ordering::AcqRel);
    let (world, replies) = (Arc::clone(world), Arc::clone(replies));
    let ended = Ended(Arc::clone(busy));
    let started = std::thread::Builder::new()
        .name("answer".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _ended = ended;
            let reply = answer(&world, &question).unwrap_or_else(|trouble| {
                run::warn(crate::PROGRAM, &run::chain(&trouble));
                fifo::number(-1)
            });
            if let Err(error) = send(&replies, &question.reply, &world.owners, &reply) {
                run::warn(crate::PROGRAM, &format!("no answer to a FIFO: {error}"));
            }
        });
    if let Err(error) = started {
        run::warn(crate::PROGRAM, &format!("no thread for an answer: {error}"));
    }
}

/// One answer less.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Writes an answer where the client said, if it may be there.
fn send(replies: &Path, path: &[u8], owners: &[u32], reply: &[u8]) -> io::Result<()> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| is_name(name));
    let (Some(name), true) = (name, path.parent() == Some(replies)) else {
        return Err(io::Error::other("a path outside the directory of answers"));
    };
    let place = replies.join(name);
    let until = Instant::now() + PATIENCE;
    let mut file = loop {
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&place);
        match opened {
            // It opens its end after it has asked.
            Err(error)
                if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32)
                    && Instant::now() < until =>
            {
                std::thread::sleep(PAUSE);
            }
            opened => break opened?,
        }
    };
    let metadata = file.metadata()?;
    if !metadata.file_type().is_fifo() || !owners.contains(&metadata.uid()) {
        return Err(io::Error::other("not a FIFO of one of our users"));
    }
    // Larger than the pipe only for an alias of many lines.
    let mut rest = reply;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Answers one question.
pub fn answer(world: &World, question: &Question) -> Result<Vec<u8>, Trouble> {
    let name = question.name.as_slice();
    Ok(match question.kind {
        Kind::User => fifo::number(match recipient::find(world, name)? {
            Mailbox::Fine => 0,
            Mailbox::Absent | Mailbox::NotVirtual => 1,
            Mailbox::Inactive => 2,
            Mailbox::OverQuota => 3,
            Mailbox::Alias => 4,
        }),
        Kind::Relay => fifo::number(relay(world, name, &question.ip)?),
        Kind::Password => {
            let text = match world.user(name)? {
                Some(user) => entry(&user).to_string(),
                None => format!("No such user {}", world.address(name)),
            };
            terminated(text.as_bytes())
        }
        Kind::Host => match domain_of(world, name)? {
            Some((given, _)) => terminated(format!("{given}:127.0.0.1:25").as_bytes()),
            None => fifo::number(0),
        },
        Kind::Alias => match domain_of(world, name)? {
            Some((_, real)) => {
                let address = world.address(name);
                let local = address.split('@').next().unwrap_or_default();
                let lines = world.directory()?.aliases(local, &real)?;
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                terminated(text.as_bytes())
            }
            None => terminated(b""),
        },
        Kind::Limit => limit(world, name)?,
        Kind::Domain => match real_domain(world, name)? {
            Some(real) => terminated(real.as_bytes()),
            None => fifo::number(0),
        },
    })
}

fn terminated(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    text.push(0);
    fifo::bytes(&text)
}

fn entry(user: &User) -> Entry {
    let password = match &user.scram {
        Some(scram) => format!("{scram},{}", user.password_hash),
        None => user.password_hash.clone(),
    };
    Entry {
        address: user.address(),
        password,
        uid: user.uid_state.into(),
        gid: user.gid_flags.into(),
        gecos: user.gecos.clone(),
        dir: user.dir.display().to_string(),
        quota: user.quota.clone(),
        is_inactive: !user.active,
    }
}

fn real_domain(world: &World, domain: &[u8]) -> Result<Option<String>, Trouble> {
    match std::str::from_utf8(domain) {
        Ok(domain) => Ok(world.rules().domains.real(domain)?),
        Err(_) => Ok(None),
    }
}

/// The domain of an address, as written and as it is; `None` when it is none
/// of ours.
fn domain_of(world: &World, address: &[u8]) -> Result<Option<(String, String)>, Trouble> {
    let address = world.address(address);
    let Some((_, given)) = address.rsplit_once('@') else {
        return Ok(None);
    };
    let real = real_domain(world, given.as_bytes())?;
    Ok(real.map(|real| (given.to_owned(), real)))
}

/// 1 yes, 0 no, -2 where reading mail lets nobody relay.
pub fn relay(world: &World, name: &[u8], ip: &[u8]) -> Result<i32, Trouble> {
    let rules = world.rules();
    let Some(minutes) = rules.relay_minutes else {
        return Ok(-2);
    };
    let ip = String::from_utf8_lossy(ip).into_owned();
    let wanted = [
        ("email", directory::Cell::from(world.address(name))),
        ("ipaddr", ip.into()),
    ];
    let rows = world.directory()?.rows(&directory::list::RELAY, &wanted)?;
    let after = os::clock::unix_seconds() - i64::from(minutes) * MINUTE;
    let is_young = |row: &Vec<directory::Cell>| matches!(row[2], directory::Cell::Integer(time) if after < time);
    Ok(i32::from(rows.iter().any(is_young)))
}

fn limit(world: &World, name: &[u8]) -> Result<Vec<u8>, Trouble> {
    let text = String::from_utf8_lossy(name).to_lowercase();
    let limits = match text.rsplit_once('@') {
        Some((local, domain)) => match real_domain(world, domain.as_bytes())? {
            Some(real) => world.directory()?.limits_of(local, &real)?,
            None => None,
        },
        None => match real_domain(world, text.as_bytes())? {
            Some(real) => world.directory()?.limits(&real)?,
            None => None,
        },
    };
    let is_user = text.contains('@');
    Ok(match limits {
        Some(limits) => fifo::bytes(&record(&limits, if is_user { 2 } else { 1 })),
        None => fifo::number(0),
    })
}

/// The record as C lays it out where `long` has eight bytes.
fn record(limits: &Limits, kind: i16) -> Vec<u8> {
    let longs = [
        limits.domain_expiry,
        limits.password_expiry,
        limits.accounts,
        limits.aliases,
        limits.forwards,
        limits.autoresponders,
        limits.mailing_lists,
        limits.disk_quota,
        limits.messages,
        limits.default_quota,
        limits.default_messages,
    ];
    let mut shorts: Vec<i16> = limits.disabled.iter().map(|set| i16::from(*set)).collect();
    let right = |column: usize, shift: u32| (limits.permissions[column] >> shift & 7) as i16;
    shorts.extend([0, 1, 2, 3].map(|column| right(column, 0)));
    shorts.extend([0, 3, 6].map(|shift| right(4, shift)));
    shorts.extend([right(5, 0), right(6, 0), kind]);
    let mut bytes: Vec<u8> = longs.iter().flat_map(|long| long.to_ne_bytes()).collect();
    bytes.extend(shorts.iter().flat_map(|short| short.to_ne_bytes()));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}
