//! The classic form: one session on descriptors 0 and 1, described by the
//! environment (smtp-receiving.md §1.4).

use listen::TlsMode;
use settings::receiving;

use crate::service::{Caller, Service, commands};

/// Exit code of a session that did not end with QUIT.
const CUT_SHORT: u8 = 1;

/// Serves the one client.
pub async fn serve(service: &Service) -> Result<u8, String> {
    let variable = |name: &str| {
        let value = service.settings.variable(name)?;
        Some(text::log::printable(value, 255)).filter(|value| !value.is_empty())
    };
    let caller = Caller {
        number: std::process::id().into(),
        ip: variable("TCPREMOTEIP").map_or_else(|| "unknown".to_owned(), canonical),
        host: variable("TCPREMOTEHOST"),
        info: variable("TCPREMOTEINFO"),
        local_ip: variable("TCPLOCALIP").map(canonical).unwrap_or_default(),
        commands: commands(
            &service.settings,
            variable("TCPLOCALPORT").and_then(|port| port.parse().ok()),
            service.submission,
        ),
        changes: Vec::new(),
    };
    let set = |name: &str| service.settings.variable(name).is_some();
    let tls = match () {
        () if set(settings::remote::SMTPS.variable) => TlsMode::Implicit,
        () if set(receiving::STARTTLS.variable) => TlsMode::Starttls,
        () => TlsMode::None,
    };
    let inherit = |number| {
        os::fd::inherit_file(number)
            .map(tokio::fs::File::from_std)
            .ok_or_else(|| format!("descriptor {number} is closed; start me under tcpserver"))
    };
    // Descriptors of any kind: read and written on threads of their own.
    let descriptors = tokio::io::join(inherit(0)?, inherit(1)?);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| format!("cannot catch SIGTERM: {error}"))?;
    let session = service.serve(Box::new(descriptors), caller, tls);
    tokio::pin!(session);
    let has_quit = tokio::select! {
        has_quit = &mut session => has_quit,
        _ = terminate.recv() => {
            service.stop.send_replace(true);
            session.await
        }
    };
    service.journal.finish();
    Ok(if has_quit { 0 } else { CUT_SHORT })
}

/// An address as rules and logs know it: a mapped IPv4 address is one.
fn canonical(ip: String) -> String {
    match ip.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => ip,
    }
}
