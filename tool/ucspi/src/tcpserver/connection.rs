//! One connection: names, rules, variables; then PROGRAM.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use policy::tcprules::{self, Client};
use run::{Exit, PERMANENT, TEMPORARY};

use super::options::Options;
use crate::names::{self, clean};
use crate::variables::{self, Ends};

/// Prepares and becomes PROGRAM; what it returns is why not. `count` others
/// from the same address are running.
pub fn run(options: &Options<'_>, count: usize) -> Exit {
    match prepare(options, count) {
        Ok(mut command) => {
            let error = command.exec();
            let program = &options.program[0];
            Exit::new(TEMPORARY, format!("unable to run {program}: {error}"))
        }
        Err(exit) => exit,
    }
}

fn prepare(options: &Options<'_>, count: usize) -> Result<Command, Exit> {
    let dropped =
        |error: std::io::Error| Exit::new(TEMPORARY, format!("dropping connection: {error}"));
    let stream = os::fd::inherit(0)
        .map(TcpStream::from)
        .ok_or_else(|| Exit::new(PERMANENT, "no connection on descriptor 0"))?;
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let remote = canonical(stream.peer_addr().map_err(dropped)?);
    let local = canonical(stream.local_addr().map_err(dropped)?);
    if !options.delays {
        let _ = stream.set_nodelay(true);
    }
    (&stream)
        .write_all(options.banner.as_bytes())
        .map_err(dropped)?;
    // Descriptor 0 is PROGRAM's.
    std::mem::forget(stream);
    let runtime = names::runtime()?;
    let ends = runtime.block_on(async {
        let local_name = match options.local_name {
            Some(name) => Some(name.to_owned()),
            None => names::name(local.ip(), false).await,
        };
        let remote_name = match options.finds_name {
            true => names::name(remote.ip(), options.confirms_name).await,
            false => None,
        };
        let info = match options.ident {
            Some(limit) => names::ident(local, remote, limit).await,
            None => None,
        };
        Ends {
            local,
            remote,
            local_name,
            remote_name,
            info,
        }
    });
    drop(runtime);
    let mut command = Command::new(&options.program[0]);
    command.args(&options.program[1..]);
    variables::set(&mut command, &ends);
    let mut per_ip_max = 20;
    let rule = rule(options, &ends)?;
    for (name, value) in rule.changes() {
        use std::os::unix::ffi::OsStrExt;
        match value {
            Some(value) => {
                if name == "MAXPERIP" {
                    let text = String::from_utf8_lossy(value);
                    per_ip_max = text.trim().parse().unwrap_or(0);
                }
                command.env(name, std::ffi::OsStr::from_bytes(value));
            }
            None => {
                command.env_remove(name);
            }
        }
    }
    // Without a rule the general limit of the parent holds.
    let has_own = rule.changes().any(|(name, _)| name == "MAXPERIP");
    if !has_own {
        per_ip_max = 0;
    }
    let verdict = if rule.denies() { "deny" } else { "ok" };
    let shown = |name: &Option<String>| name.as_deref().map_or(String::new(), clean);
    options.status(&format!(
        "{verdict} {} {}[{}]{} {}[{}]{}:{}:maxperip={per_ip_max}",
        std::process::id(),
        shown(&ends.local_name),
        local.ip(),
        local.port(),
        shown(&ends.remote_name),
        remote.ip(),
        shown(&ends.info),
        remote.port(),
    ));
    if rule.denies() {
        return Err(silent(PERMANENT));
    }
    if per_ip_max != 0 && per_ip_max <= count {
        options.warn(&format!(
            "dropping connection, no ip slots for {}, perIPlimit {count}: limit is {per_ip_max}",
            remote.ip()
        ));
        return Err(silent(TEMPORARY));
    }
    Ok(command)
}

/// Everything has been said already.
fn silent(code: u8) -> Exit {
    std::process::exit(i32::from(code))
}

fn rule(options: &Options<'_>, ends: &Ends) -> Result<tcprules::Rule, Exit> {
    let Some(path) = options.rules else {
        return Ok(tcprules::Rule::default());
    };
    let dropping = |why: String| {
        let text = format!("dropping connection, unable to read {path}: {why}");
        Exit::new(TEMPORARY, text)
    };
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && options.rules_may_be_missing =>
        {
            return Ok(tcprules::Rule::default());
        }
        Err(error) => return Err(dropping(error.to_string())),
    };
    let ip = ends.remote.ip().to_string();
    let client = Client {
        ip: &ip,
        host: ends.remote_name.as_deref(),
        info: ends.info.as_deref(),
    };
    cdb::Reader::new(&file)
        .and_then(|rules| tcprules::lookup(&rules, client))
        .map_err(|error| dropping(error.to_string()))
}
