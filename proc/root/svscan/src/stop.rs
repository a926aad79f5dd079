//! The end of everything: services first, loggers last.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use os::signal::{Interest, Signals};

use crate::scan::Services;
use crate::service::Half;

/// How long services may take after TERM.
const SERVICES_MAX: Duration = Duration::from_secs(60);
/// How long loggers may take to write what is left.
const LOGGERS_MAX: Duration = Duration::from_secs(10);
/// How long the kernel may take to end what was killed.
const KILLED_MAX: Duration = Duration::from_secs(5);

/// Stops all services, then all loggers, then our own.
pub fn stop_all(services: &mut Services, signals: &mut Signals) {
    services
        .iter_mut()
        .for_each(|service| service.control(Half::Main, b"dx"));
    let stopped = |services: &Services| !services.any_runs(Half::Main);
    if !wait(services, signals, SERVICES_MAX, stopped) {
        kill(services, Half::Main);
        wait(services, signals, KILLED_MAX, stopped);
    }

    // A logger that sees the end of its input has written everything; TERM
    // would leave the rest of the pipe unread.
    for service in services.iter_mut() {
        service.control(Half::Log, b"ox");
        service.close_pipe();
    }
    let stopped = |services: &Services| !services.any_runs(Half::Log);
    if !wait(services, signals, LOGGERS_MAX, stopped) {
        services
            .iter_mut()
            .for_each(|service| service.control(Half::Log, b"dx"));
        if !wait(services, signals, KILLED_MAX, stopped) {
            kill(services, Half::Log);
            wait(services, signals, KILLED_MAX, stopped);
        }
    }

    if let Some(own) = services.own_log() {
        own.control(Half::Log, b"ox");
        own.close_pipe();
        if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(&null);
            let _ = nix::unistd::dup2_stderr(&null);
        }
        // One whose supervise was started again has the pipe as its own output,
        // and never sees its end.
        if !wait(services, signals, LOGGERS_MAX, Services::own_log_is_gone) {
            if let Some(own) = services.own_log() {
                own.control(Half::Log, b"kdx");
            }
            wait(services, signals, KILLED_MAX, Services::own_log_is_gone);
        }
    }
}

/// Kills services, then the supervises that did not end with them.
fn kill(services: &mut Services, half: Half) {
    for service in services.iter_mut().filter(|service| service.pid(half) != 0) {
        let name = service.name.display();
        crate::warn(&format!("{name} does not stop, killing it"));
        service.control(half, b"kdx");
    }
}

/// Waits until something holds; says whether it does.
fn wait(
    services: &mut Services,
    signals: &mut Signals,
    wait_max: Duration,
    holds: impl Fn(&Services) -> bool,
) -> bool {
    let deadline = Instant::now() + wait_max;
    loop {
        services.collect();
        if holds(services) {
            return true;
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return false;
        }
        // A child's end wakes us; the step is for what is not a child's end.
        let step = rest.min(Duration::from_millis(200));
        let _ = os::signal::poll(&[(signals.as_fd(), Interest::Read)], Some(step));
        while signals.take().is_some() {}
    }
}
