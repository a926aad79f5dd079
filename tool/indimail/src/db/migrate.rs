//! `indimail db migrate`: moves all users to a server, or back to a file.
//!
//! 1. Nobody may change users meanwhile: inlookup has to be down.
//! 2. The rows are copied into an empty database, and counted in both.
//! 3. Only then the control file names the new place. The old one stays as
//!    it is, for the way back.

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use directory::copy::{self, CopyError};
use directory::{Directory, Location, Moving, Server};
use os::child::{Ended, Setup};
use run::{Home, Settings};
use serde::{Deserialize, Serialize};
use settings::users::{HOST_MYSQL, MYSQL_CA, MYSQL_DATABASE, MYSQL_PASSWD};

use super::owner;
use crate::{Outcome, site};

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_millis(500);
/// Most bytes of work that are read.
const WORK_BYTES_MAX: u64 = 64 * 1024;
/// Only root and the owner of the mail read the file with the password.
const MODE: u32 = 0o640;

/// Arguments of `indimail db migrate`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Where to: mysql://USER@HOST[:PORT]/DATABASE[?socket=PATH], or sqlite.
    /// The password is taken from MYSQL_PASSWD, where nobody else sees it
    #[arg(long, value_name = "URL|sqlite")]
    to: String,
    /// Empty the new place first, whatever it has
    #[arg(long)]
    replace: bool,
    /// Only say what would be moved
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    root: crate::Root,
}

/// What the owner of the mail has to do.
#[derive(Deserialize, Serialize)]
struct Work {
    /// The server, or none for the file.
    url: Option<String>,
    password: Option<String>,
    replace: bool,
    json: bool,
}

impl Work {
    fn target(&self, home: &Home) -> Result<Location, Box<dyn std::error::Error>> {
        let Some(url) = &self.url else {
            return Ok(Location::File(home.database()));
        };
        let mut server = Server::from_url(url)?;
        server.password = server.password.or_else(|| self.password.clone());
        let authorities = home.control().join(MYSQL_CA.file);
        server.authorities = authorities.exists().then_some(authorities);
        Ok(Location::Server(server))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let home = site::home(arguments.root.root.as_deref())?;
    let settings = Settings::of_process(&home);
    let password = settings.variable(MYSQL_PASSWD.variable);
    let work = Work {
        url: (arguments.to != "sqlite").then(|| arguments.to.clone()),
        password: password.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        replace: arguments.replace,
        json: arguments.root.json,
    };
    let source = Location::of(&home, &settings)?;
    let target = work.target(&home)?;
    if source == target {
        return Err("the users are there already".into());
    }
    if settings.variable(HOST_MYSQL.variable).is_some() {
        return Err("MYSQL_HOST is set and would go before the control file; unset it".into());
    }
    if arguments.dry_run {
        owner()?.assume()?;
        return dry_run(&source, &target);
    }
    if UnixStream::connect(home.socket("inlookup")).is_ok() {
        return Err(format!(
            "inlookup runs: users could change while they are moved; stop it first \
             (svc -d {}/inlookup*), mail waits meanwhile",
            home.service().display()
        )
        .into());
    }
    // Commands that add users wait until the control file names the new place.
    let _alone = Moving::alone(&home)?;
    copy_in_child(&home, &work)?;
    write_place(&home, &target)?;
    if !arguments.root.json {
        println!("users are in {} now; start inlookup again", place(&target));
    }
    Ok(ExitCode::SUCCESS)
}

fn dry_run(source: &Location, target: &Location) -> Outcome {
    let rows = copy::counts(&Directory::open_at(source)?)?;
    println!("from {} to {}:", place(source), place(target));
    for (table, rows) in rows.iter().filter(|(_, rows)| 0 < *rows) {
        println!("{rows:>12}  {table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn place(location: &Location) -> String {
    match location {
        Location::File(path) => path.display().to_string(),
        Location::Server(server) => server.to_string(),
    }
}

/// Does the work as the owner of the mail; it is told on standard input,
/// where nobody sees the password.
fn copy_in_child(home: &Home, work: &Work) -> Result<(), Box<dyn std::error::Error>> {
    let owner = owner()?;
    if !os::account::is_root() {
        return copy_all(home, work);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["db", "copy", "--root"])
        .arg(home.root())
        .current_dir("/")
        .stdin(Stdio::piped());
    let setup = Setup {
        identity: Some(owner),
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(work)?)?;
    }
    match os::child::wait(child)? {
        Ended::Code(0) => Ok(()),
        // It has said itself what is wrong.
        _ => Err("nothing was moved; the users are where they were".into()),
    }
}

/// Entry of the hidden command.
pub fn copy_as_owner(home: &Home) -> Outcome {
    let mut input = Vec::new();
    std::io::stdin()
        .take(WORK_BYTES_MAX)
        .read_to_end(&mut input)?;
    os::account::set_umask(0o077);
    copy_all(home, &serde_json::from_slice(&input)?)?;
    Ok(ExitCode::SUCCESS)
}

fn copy_all(home: &Home, work: &Work) -> Result<(), Box<dyn std::error::Error>> {
    let source = Directory::open_at(&Location::of(home, &Settings::of_process(home))?)?;
    let target = Directory::create_at(&work.target(home)?)?;
    if work.replace {
        copy::empty(&target)?;
    }
    let watched = std::io::stderr().is_terminal();
    let mut next = Instant::now() + PAUSE;
    let copied = copy::copy(&source, &target, |table, done, total| {
        if watched && next <= Instant::now() {
            next = Instant::now() + PAUSE;
            eprint!("\r\x1b[Kcopying {table}: {done} of {total}");
        }
    });
    if watched {
        eprint!("\r\x1b[K");
    }
    let counts = match copied {
        Err(error @ CopyError::NotEmpty { .. }) => {
            return Err(format!("{error}; --replace empties it first").into());
        }
        other => other?,
    };
    if work.json {
        let rows: std::collections::BTreeMap<_, _> = counts
            .iter()
            .map(|count| (count.table.as_str(), count.target))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        for count in counts.iter().filter(|count| 0 < count.target) {
            println!("{:>12}  {}", count.target, count.table);
        }
    }
    Ok(())
}

/// Lets the control file name the new place.
fn write_place(home: &Home, target: &Location) -> Result<(), Box<dyn std::error::Error>> {
    let path = home.control().join(HOST_MYSQL.file);
    let Location::Server(server) = target else {
        // Kept beside its place: it has the password of the way back.
        match fs::rename(&path, home.control().join("host.mysql.old")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", path.display()).into());
            }
            _ => return Ok(os::file::sync_directory(home.control())?),
        }
    };
    let name = home.control().join(MYSQL_DATABASE.file);
    os::file::replace(&name, format!("{}\n", server.database).as_bytes(), 0o644)?;
    os::file::replace(&path, format!("{}\n", server.line()).as_bytes(), 0o600)?;
    if os::account::is_root() {
        std::os::unix::fs::chown(&path, Some(0), Some(owner()?.gid))?;
    }
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(MODE))?;
    Ok(())
}
