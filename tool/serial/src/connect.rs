//! maildirsmtp and maildirqmtp, and the connection they run clients over.

use std::ffi::OsString;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use os::child::Setup;
use run::{Exit, Home, Settings};
use settings::sending::QUEUELIFETIME;

use crate::maildirserial::{Failed, Options};
use crate::{temporary, usage};

/// Name of the program that connects.
pub const NAME: &str = "serialconnect";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long messages are tried when nothing else is said.
const SECONDS_MAX: i64 = 1_209_600;

pub fn maildirsmtp(arguments: &[OsString]) -> Result<u8, Exit> {
    let [directory, prefix, host, helo] = arguments else {
        return Err(usage("maildirsmtp"));
    };
    let settings = Settings::of_process(&Home::find());
    let trouble = |error: run::SettingError| temporary(run::chain(&error));
    let seconds_max = match settings.is_set(&QUEUELIFETIME).map_err(trouble)? {
        true => settings.integer(&QUEUELIFETIME).map_err(trouble)?,
        false => SECONDS_MAX,
    };
    let client = ["serialsmtp".into(), prefix.clone(), helo.clone()];
    serial(directory, prefix, host, "25", seconds_max, &client)
}

pub fn maildirqmtp(arguments: &[OsString]) -> Result<u8, Exit> {
    let [directory, prefix, host] = arguments else {
        return Err(usage("maildirqmtp"));
    };
    let client = ["serialqmtp".into(), prefix.clone()];
    serial(directory, prefix, host, "209", SECONDS_MAX, &client)
}

/// maildirserial with a client over a connection of its own for each run.
fn serial(
    directory: &OsString,
    prefix: &OsString,
    host: &OsString,
    port: &str,
    seconds_max: i64,
    client: &[OsString],
) -> Result<u8, Exit> {
    use std::os::unix::ffi::OsStrExt;
    let own = std::env::current_exe().map_err(|error| temporary(error.to_string()))?;
    let own = OsString::from(own);
    let port = std::env::var_os("PORT").unwrap_or_else(|| port.into());
    let connection = [own.clone(), NAME.into(), host.clone(), port, own];
    let options = Options {
        failed: Failed::Bounce,
        seconds_max: Some(seconds_max),
        directory: directory.into(),
        prefix: prefix.as_bytes().to_vec(),
        client: [&connection, client].concat(),
    };
    options.run()
}

/// Connects, then becomes the program.
pub fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let [host, port, program, rest @ ..] = arguments else {
        return Err(usage(NAME));
    };
    let text = |word: &OsString| word.to_str().map(str::to_owned).ok_or_else(|| usage(NAME));
    let port = text(port)?.parse().map_err(|_| usage(NAME))?;
    let stream = connect(&text(host)?, port)?;
    let trouble = |error: std::io::Error| temporary(error.to_string());
    let ip = stream.peer_addr().map_err(trouble)?.ip();
    let other = stream.try_clone().map_err(trouble)?;
    let mut command = Command::new(program);
    command.args(rest).env("TCPREMOTEIP", ip.to_string());
    let setup = Setup {
        descriptors: vec![(6, stream.into()), (7, other.into())],
        ..Setup::default()
    };
    os::child::prepare(&mut command, setup);
    let error = command.exec();
    Err(temporary(format!(
        "unable to run {}: {error}",
        program.display()
    )))
}

fn connect(host: &str, port: u16) -> Result<TcpStream, Exit> {
    // 0 is this host, as tcpclient has it.
    let host = if host == "0" { "127.0.0.1" } else { host };
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| temporary(format!("unable to find {host}: {error}")))?;
    let mut last = temporary(format!("{host} has no address"));
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = temporary(format!("unable to connect to {address}: {error}")),
        }
    }
    Err(last)
}
