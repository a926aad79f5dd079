//! svc and svok: talking to supervise through its FIFOs.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc::{ENODEV, ENXIO};
use run::Exit;

use crate::exec::{system, usage};

/// The letters supervise knows.
const LETTERS: &[u8] = b"udoxpchaitkq12UrG";
/// Some target had no supervise.
const NOT_RUNNING: u8 = 2;
/// svok: there is no supervise.
const NOT_OK: u8 = 100;

/// Writes the letters of the options, in order, to each service.
pub fn svc(arguments: &[OsString]) -> Result<u8, Exit> {
    let is_option = |argument: &&OsString| {
        argument.as_bytes().starts_with(b"-") && 1 < argument.as_bytes().len()
    };
    let options = arguments.iter().take_while(is_option);
    let letters: Vec<u8> = options
        .clone()
        .flat_map(|o| o.as_bytes()[1..].to_vec())
        .collect();
    let services = &arguments[options.count()..];
    if letters.iter().any(|letter| !LETTERS.contains(letter)) {
        return Err(usage());
    }
    let mut code = 0;
    for service in services {
        let directory = Path::new(service);
        let name = directory.display();
        if let Err(error) = std::fs::metadata(directory) {
            warn(&format!("unable to chdir to {name}: {error}"));
            continue;
        }
        let control = os::file::open_fifo_write(&directory.join("supervise/control"));
        match control.and_then(|mut control| control.write_all(&letters)) {
            Ok(()) => {}
            Err(error) if is_without_reader(&error) => {
                warn(&format!("unable to control {name}: supervise not running"));
                code = NOT_RUNNING;
            }
            Err(error) => {
                warn(&format!("unable to control {name}: {error}"));
                code = NOT_RUNNING;
            }
        }
    }
    Ok(code)
}

/// Says by its exit code whether supervise runs there.
pub fn svok(arguments: &[OsString]) -> Result<u8, Exit> {
    let [service] = arguments else {
        return Err(usage());
    };
    let directory = Path::new(service);
    std::fs::metadata(directory).map_err(system(format!("chdir to {}", directory.display())))?;
    match os::file::open_fifo_write(&directory.join("supervise/ok")) {
        Ok(_) => Ok(0),
        Err(error) if is_without_reader(&error) => Ok(NOT_OK),
        Err(error) => Err(system("open supervise/ok")(error)),
    }
}

/// Nobody has the FIFO open, or there is none.
pub fn is_without_reader(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENXIO | ENODEV))
        || error.kind() == std::io::ErrorKind::NotFound
}

fn warn(text: &str) {
    eprintln!("svc: warning: {text}");
}
