//! svscan: starts and watches one supervise for each service directory
//! (operations.md §1.2).
//!
//! `svscan [DIRECTORY]`, without argument the current one. Runs as root, or
//! as the user of a single-user installation. Every subdirectory is a
//! service; its `log` subdirectory is its logger. The pipe between them is
//! ours, so neither loses lines when the other is restarted. With a
//! `.svscan/log` our own messages, and those of the supervises, go there.
//!
//! What a killed svscan leaves goes on. The next one takes the place of its
//! logger, and that of every supervise that ends; the supervise of a logger
//! ends by itself when nobody is left to write to it.
//!
//! `SCANINTERVAL`: seconds between scans, 5 when it is not set; with 0 only
//! HUP makes a scan. HUP always does.
//!
//! TERM stops the services, then the loggers once they have written
//! everything, and exits 0; what does not stop in time is killed. (The
//! original dies and leaves everything running.)

mod orphan;
mod scan;
mod service;
mod stop;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use os::signal::{Interest, Signal, Signals};
use run::Exit;
use settings::supervision::SCANINTERVAL;

use scan::Services;

const PROGRAM: &str = "svscan";
/// How soon a supervise that died is started again when there are no
/// periodic scans.
const REVIVAL: Duration = Duration::from_secs(5);
const HELP: &str = "usage: svscan [DIRECTORY]\n\nStarts a supervise for each subdirectory. SCANINTERVAL: seconds between scans\n(5; 0: only on HUP). TERM stops everything.\nExit codes: 0 after TERM, 100 wrong use, 111 it cannot work there.\n";

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let mut arguments = std::env::args_os().skip(1);
        let directory = match (arguments.next(), arguments.next()) {
            (Some(help), None) if help == "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            (directory, None) => directory.unwrap_or_else(|| OsString::from(".")),
            _ => return Err(run::usage::misused(HELP)),
        };
        run::usage::no_options(PROGRAM, &[&directory])?;
        let fatal = |text: String| Exit::new(run::TEMPORARY, text);
        os::fd::fill_standard().map_err(|e| fatal(format!("unable to open /dev/null: {e}")))?;
        let supervise = supervise_program();
        let interval = interval()?;
        std::env::set_current_dir(&directory).map_err(|error| {
            fatal(format!(
                "unable to chdir to {}: {error}",
                Path::new(&directory).display()
            ))
        })?;
        let caught = [
            Signal::SIGCHLD,
            Signal::SIGHUP,
            Signal::SIGTERM,
            Signal::SIGINT,
        ];
        let mut signals = Signals::collect(&caught)
            .map_err(|e| fatal(format!("unable to collect signals: {e}")))?;
        let mut services = Services::new(supervise);
        services.start_own_log();
        watch(&mut services, &mut signals, interval);
        stop::stop_all(&mut services, &mut signals);
        Ok(())
    })
}

/// The supervise beside us, so that several installations do not mix; else
/// the one in `PATH`.
fn supervise_program() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|svscan| svscan.with_file_name("supervise"));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| "supervise".into())
}

fn interval() -> Result<Option<Duration>, Exit> {
    let home = run::Home::find();
    let seconds = run::Settings::of_process(&home)
        .integer(&SCANINTERVAL)
        .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Ok((0 < seconds).then(|| Duration::from_secs(seconds)))
}

/// Scans until TERM.
fn watch(services: &mut Services, signals: &mut Signals, interval: Option<Duration>) {
    services.scan();
    let mut next = interval.map(|interval| Instant::now() + interval);
    loop {
        let revive = services
            .lacks_a_supervise()
            .then(|| Instant::now() + REVIVAL);
        let due = next.or(revive);
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        if let Err(error) = os::signal::poll(&[(signals.as_fd(), Interest::Read)], wait) {
            warn(&format!("unable to wait: {error}"));
            std::thread::sleep(Duration::from_secs(1));
        }
        let mut scan = next.is_some_and(|next| next <= Instant::now());
        while let Some(signal) = signals.take() {
            match signal {
                Signal::SIGHUP => scan = true,
                Signal::SIGCHLD => {}
                _ => return,
            }
        }
        services.collect();
        if scan {
            services.scan();
            next = interval.map(|interval| Instant::now() + interval);
        } else if next.is_none() && revive.is_some_and(|at| at <= Instant::now()) {
            services.start_missing();
        }
    }
}

/// Says that something went wrong and will be tried again; with the word of
/// the guide, which log readers know.
fn warn(text: &str) {
    use std::io::Write;
    let mut line = format!("{PROGRAM}: warning: ");
    line.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
    line.push('\n');
    let _ = std::io::stderr().write_all(line.as_bytes());
}
