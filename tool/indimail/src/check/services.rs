//! Services that are down, and ports that others hold.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use run::Home;

use super::Findings;
use crate::services::SERVICES;
use crate::status::{self, ServiceStatus};

/// Checks them all.
pub fn check(home: &Home, findings: &mut Findings) {
    let Ok(found) = status::services_with_reasons(home) else {
        return findings.add(
            home.service().display(),
            "cannot be read",
            "run this command as root",
        );
    };
    let running = found.iter().any(|service| !service.unsupervised);
    for service in SERVICES {
        let directory = home.service().join(service.name);
        let Ok(script) = fs::metadata(directory.join("run")) else {
            findings.add(
                directory.display(),
                "is missing",
                "run indimail quickstart again",
            );
            continue;
        };
        if script.permissions().mode() & 0o111 == 0 {
            let run = directory.join("run");
            findings.add(
                run.display(),
                "cannot be executed",
                format!("chmod 755 {}", run.display()),
            );
        }
        let status = found.iter().find(|found| found.name == service.name);
        let up = status.is_some_and(|status| status.up);
        if running && let Some(status) = status {
            down(status, &home.log().join(service.log), &directory, findings);
        }
        if !up {
            port(service.name, &directory, findings);
        }
    }
}

fn down(status: &ServiceStatus, log: &Path, directory: &Path, findings: &mut Findings) {
    let log = log.join("current");
    let (log, directory) = (log.display(), directory.display());
    match &status.reason {
        _ if status.unsupervised => findings.add(
            &status.name,
            "is down and nobody supervises it",
            format!("read the log of svscan; is {directory} readable?"),
        ),
        Some(reason) => findings.add(
            &status.name,
            format!("is down, or always starting again: {reason}"),
            format!("mend what it says; it starts again by itself. More is in {log}"),
        ),
        None if status.wanted_down && !status.up => findings.add(
            &status.name,
            "is down, as it was told",
            format!("svc -u {directory}"),
        ),
        None if !status.up => {
            findings.add(&status.name, "is down", format!("read the end of {log}"))
        }
        None => {}
    }
}

fn port(service: &str, directory: &Path, findings: &mut Findings) {
    let port = fs::read_to_string(directory.join("variables/PORT")).unwrap_or_default();
    if let Ok(port) = port.trim().parse::<u16>()
        && let Err(error) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
    {
        findings.add(
            format!("port {port}"),
            format!("{service} cannot have it: {error}"),
            format!(
                "ss -ltnp 'sport = :{port}' shows who has it: stop that, or choose --port-base"
            ),
        );
    }
}
