//! inquerytest: asks inlookup over its FIFO and shows the answer.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use run::Exit;
use wire::fifo::{Entry, Kind, Question};

use crate::site::{Site, file, permanent};

/// How long an answer may take, and between two looks.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
const MODE: u32 = 0o600;
/// Longest answer.
const ANSWER_BYTES_MAX: i32 = 1024 * 1024;

/// Asks inlookup -f, as clients of other systems do, and shows the answer.
///
/// Types: 1 user, 2 relay, 3 password, 4 host, 5 alias, 6 limit, 7 domain.
/// Exit codes: 0 done, 1 not found, or no, 100 wrong use, 111 no answer.
#[derive(Debug, Parser)]
#[command(name = "inquerytest", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what is asked
    #[arg(short = 'v')]
    verbose: bool,
    /// Type of the question
    #[arg(short = 'q', value_name = "TYPE", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=7))]
    kind: u8,
    /// The FIFO: a name below run/inlookup, or a path
    #[arg(short = 'i', value_name = "FIFO")]
    fifo: Option<String>,
    /// Address, or domain
    name: String,
    /// Address of a client
    ip: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let kind = Kind::of(arguments.kind).ok_or_else(|| permanent("-q: 1 to 7"))?;
    let socket = site.home.socket("inlookup");
    let directory = socket.parent().unwrap_or(site.home.root()).to_owned();
    let fifo = find(&directory, arguments.fifo.as_deref());
    let replies =
        std::env::var_os("FIFOTMPDIR").map_or_else(|| directory.join("replies"), PathBuf::from);
    site.become_owner()?;
    if arguments.verbose {
        println!("asking {}", fifo.display());
    }
    let answer = ask(&fifo, &replies, kind, &arguments)?;
    show(kind, &arguments, &answer)
}

/// A path as it is; a name is below the directory, alone or with a number.
fn find(directory: &Path, wanted: Option<&str>) -> PathBuf {
    let variable = std::env::var("INFIFO").ok();
    let name = wanted.or(variable.as_deref()).unwrap_or("infifo");
    if name.starts_with(['/', '.']) {
        return PathBuf::from(name);
    }
    let numbered = |number: usize| directory.join(format!("{name}.{number}"));
    let count = (1..)
        .take_while(|number| numbered(*number).exists())
        .count();
    let time = usize::try_from(os::clock::unix_seconds()).unwrap_or(0);
    match time.checked_rem(count) {
        Some(rest) => numbered(rest + 1),
        None => directory.join(name),
    }
}

/// The FIFO for the answer; it goes with this.
struct Reply(PathBuf);

impl Drop for Reply {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ask(fifo: &Path, replies: &Path, kind: Kind, arguments: &Arguments) -> Result<Vec<u8>, Exit> {
    let reply = Reply(replies.join(format!("{:016x}", os::clock::random())));
    let question = Question {
        kind,
        name: arguments.name.as_bytes().to_vec(),
        reply: reply.0.as_os_str().as_bytes().to_vec(),
        ip: arguments
            .ip
            .as_deref()
            .unwrap_or_default()
            .as_bytes()
            .to_vec(),
    };
    let question = question
        .bytes()
        .ok_or_else(|| permanent("the question is too long"))?;
    let mut to = os::file::open_fifo_write(fifo).map_err(|error| {
        let text = format!("{}: {error}; does inlookup -f run?", fifo.display());
        Exit::new(run::TEMPORARY, text)
    })?;
    os::file::make_fifo(&reply.0, MODE).map_err(|error| file(&reply.0, &error))?;
    // Both ends, so that nobody has to wait for the other.
    let mut from = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(&reply.0)
        .map_err(|error| file(&reply.0, &error))?;
    to.write_all(&question)
        .map_err(|error| file(fifo, &error))?;
    let until = Instant::now() + PATIENCE;
    let mut number = [0; 4];
    read(&mut from, &mut number, until).map_err(|error| file(fifo, &error))?;
    let length = i32::from_ne_bytes(number);
    let has_body = !matches!(kind, Kind::User | Kind::Relay) && 0 < length;
    if !has_body || ANSWER_BYTES_MAX < length {
        return Ok(number.to_vec());
    }
    let mut answer = vec![0; 4 + length.unsigned_abs() as usize];
    answer[..4].copy_from_slice(&number);
    read(&mut from, &mut answer[4..], until).map_err(|error| file(fifo, &error))?;
    Ok(answer)
}

fn read(from: &mut File, mut into: &mut [u8], until: Instant) -> io::Result<()> {
    while !into.is_empty() {
        match from.read(into) {
            Ok(count) if 0 < count => into = &mut into[count..],
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ if until < Instant::now() => return Err(io::Error::other("no answer")),
            _ => std::thread::sleep(PAUSE),
        }
    }
    Ok(())
}

fn show(kind: Kind, arguments: &Arguments, answer: &[u8]) -> Result<(), Exit> {
    let name = &arguments.name;
    let number = answer
        .first_chunk()
        .map_or(-1, |bytes| i32::from_ne_bytes(*bytes));
    let text = String::from_utf8_lossy(answer.get(4..).unwrap_or_default());
    let text = text.trim_end_matches('\0');
    if number == -1 {
        return Err(Exit::new(run::TEMPORARY, format!("{name}: no answer now")));
    }
    let no = |text: String| {
        println!("{text}");
        Err(Exit::new(1, ""))
    };
    match (kind, number) {
        (Kind::User, 0) => println!("{name} has all services enabled"),
        (Kind::User, 1) => return no(format!("{name} is Absent on this domain (#5.1.1)")),
        (Kind::User, 2) => return no(format!("{name} is Inactive on this domain (#5.2.1)")),
        (Kind::User, 3) => return no(format!("{name} is Overquota on this domain (#5.2.2)")),
        (Kind::User, _) => println!("{name} is an alias"),
        (Kind::Relay, relays) => {
            let ip = arguments.ip.as_deref().unwrap_or_default();
            let word = if relays == 1 {
                "authenticated"
            } else {
                "not authenticated"
            };
            let text = format!("{name} is {word} on {ip}");
            if relays != 1 {
                return no(text);
            }
            println!("{text}");
        }
        (_, 0) => return no(format!("{name}: not found")),
        (Kind::Password, _) => match Entry::parse(text) {
            Some(entry) => print_entry(&entry),
            None => return no(format!("{name}: No such user")),
        },
        (Kind::Host, _) => println!("{name}: SMTPROUTE is {text}"),
        (Kind::Alias, _) => {
            println!("Alias List for {name}");
            text.lines().for_each(|line| println!("{line}"));
        }
        (Kind::Limit, _) => print_limits(answer.get(4..).unwrap_or_default()),
        (Kind::Domain, _) => println!("{name}: Real Domain is {text}"),
    }
    Ok(())
}

fn print_entry(entry: &Entry) {
    println!("pw_name  : {}", entry.address);
    println!("pw_passwd: {}", entry.password);
    println!("pw_uid   : {}", entry.uid);
    println!("pw_gid   : {}", entry.gid);
    println!("pw_gecos : {}", entry.gecos);
    println!("pw_dir   : {}", entry.dir);
    println!("pw_shell : {}", entry.quota);
    println!(
        "Table    : {}",
        if entry.is_inactive {
            "indibak"
        } else {
            "indimail"
        }
    );
}

/// The numbers of the record, in its order.
fn print_limits(record: &[u8]) {
    const NAMES: [&str; 11] = [
        "domain_expiry",
        "passwd_expiry",
        "maxpopaccounts",
        "maxaliases",
        "maxforwards",
        "maxautoresponders",
        "maxmailinglists",
        "diskquota",
        "maxmsgcount",
        "defaultquota",
        "defaultmaxmsgcount",
    ];
    let (longs, _) = record.as_chunks::<8>();
    for (name, long) in NAMES.iter().zip(longs) {
        println!("{name:<19}: {}", i64::from_ne_bytes(*long));
    }
}
