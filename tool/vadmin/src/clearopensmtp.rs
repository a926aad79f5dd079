//! clearopensmtp: ends relaying for clients that read mail long ago
//! (virtual-domains.md §11.9).

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use os::child::Setup;
use run::Exit;
use settings::users;

use crate::site::{Site, file, permanent, refused, temporary};

/// Hidden name of the part that runs as the mail's owner.
pub const NAME: &str = "clearopensmtp-as-owner";
const MINUTE: i64 = 60;
const MODE: u32 = 0o644;

/// Ends relaying for the addresses of clients that read their mail too long
/// ago, and makes etc/tcp.smtp.cdb from the other ones and etc/tcp.smtp.
///
/// POP before SMTP lets everybody behind an address relay; SMTP AUTH is
/// better. Exit codes: 0 done, 100 refused, 111 temporary failure, or it runs
/// already.
#[derive(Debug, Parser)]
#[command(name = "clearopensmtp", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Only the table
    #[arg(short = 's', conflicts_with = "rules")]
    table: bool,
    /// Only the rules
    #[arg(short = 't')]
    rules: bool,
}

/// Makes etc/tcp.smtp.cdb from etc/tcp.smtp and the addresses of clients that
/// read their mail not long ago.
///
/// Exit codes: 0 done, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "updaterules", disable_help_flag = true)]
struct Rules {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Runs clearopensmtp.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    run(!arguments.rules, !arguments.table, arguments.verbose)
}

/// Runs updaterules.
pub fn rules_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let _: Rules = crate::parse(arguments)?;
    run(false, true, false)
}

fn run(table: bool, rules: bool, verbose: bool) -> Result<(), Exit> {
    let site = Site::find()?;
    let etc = site.home.etc();
    let path = etc.join("open-smtp.lock");
    let lock = OpenOptions::new()
        .read(true)
        .custom_flags((nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_NOFOLLOW).bits())
        .mode(MODE)
        .open(&path);
    let lock = lock
        .and_then(os::file::try_lock)
        .map_err(|error| file(&path, &error))?;
    let Some(_lock) = lock else {
        return Err(Exit::new(run::TEMPORARY, "clearopensmtp runs already"));
    };
    let addresses = match os::account::is_root() {
        true => ask_owner(&site, table)?,
        false => addresses(&site, table)?,
    };
    if rules {
        write_rules(&etc, &addresses)?;
    }
    if verbose {
        println!("{} addresses may relay", addresses.len());
    }
    Ok(())
}

/// Entry of the hidden command.
pub fn as_owner_main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let table = arguments.get(1).is_some_and(|word| word == "clear");
    for address in addresses(&Site::find()?, table)? {
        println!("{address}");
    }
    Ok(())
}

/// Deletes what is too old, and says which addresses are not.
fn addresses(site: &Site, clear: bool) -> Result<Vec<IpAddr>, Exit> {
    let minutes = site.settings.integer(&users::RELAY_CLEAR_MINUTES);
    let minutes = minutes.map_err(|error| temporary(&error))?.max(0);
    let before = os::clock::unix_seconds().saturating_sub(minutes.saturating_mul(MINUTE));
    let directory = site.directory()?;
    if clear {
        directory
            .clear_relay(before)
            .map_err(|error| refused(&error))?;
    }
    if !site.is_on(&users::OPEN_SMTP)? {
        return Ok(Vec::new());
    }
    let rows = directory
        .relay_addresses(before)
        .map_err(|error| refused(&error))?;
    Ok(rows.iter().filter_map(|ip| ip.parse().ok()).collect())
}

/// The same, by this program as the owner of the mail.
fn ask_owner(site: &Site, clear: bool) -> Result<Vec<IpAddr>, Exit> {
    let program = std::env::current_exe().map_err(|error| temporary(&error))?;
    let mut command = Command::new(&program);
    command
        .arg(NAME)
        .arg(if clear { "clear" } else { "" })
        .env("QMAILDIR", site.home.root())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let setup = Setup {
        identity: Some(site.owner),
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let ended = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| file(&program, &error))?;
    if !ended.status.success() {
        // It has said itself what is wrong.
        let code = ended.status.code().and_then(|code| u8::try_from(code).ok());
        return Err(Exit::new(code.unwrap_or(run::TEMPORARY), ""));
    }
    // Only addresses get into a file of root's.
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn write_rules(etc: &Path, addresses: &[IpAddr]) -> Result<(), Exit> {
    let source = etc.join("tcp.smtp");
    let own = match std::fs::read(&source) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(file(&source, &error)),
    };
    let mut rules = Vec::new();
    for address in addresses {
        rules.extend(format!("{}:allow,RELAYCLIENT=\"\"\n", pattern(*address)).bytes());
    }
    rules.extend(own);
    let records = policy::tcprules::compile(&rules).map_err(|error| {
        let line = error.number.saturating_sub(addresses.len());
        permanent(format!("{}: line {line}: {error}", source.display()))
    })?;
    let mut builder = cdb::Builder::default();
    for (key, data) in records {
        builder
            .add(&key, &data)
            .map_err(|error| permanent(error.to_string()))?;
    }
    let content = builder
        .finish()
        .map_err(|error| permanent(error.to_string()))?;
    let path = etc.join("tcp.smtp.cdb");
    os::file::replace(&path, &content, MODE).map_err(|error| file(&path, &error))
}

/// An address as rules have it.
fn pattern(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => address.to_string(),
        },
    }
}
