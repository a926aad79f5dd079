//! qmail-tcpto and qmail-tcpok: hosts that could not be reached lately
//! (queue-and-delivery.md §9.4).

use std::net::IpAddr;

use queue::{Layout, Tcpto};
use run::{Exit, Home};
use serde_json::json;

use crate::{output, queues};

pub const TCPTO_USAGE: &str = "usage: qmail-tcpto [--json]
Lists hosts that could not be reached lately. Needs root or qmailr.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";
pub const TCPOK_USAGE: &str = "usage: qmail-tcpok
Forgets which hosts could not be reached lately. Needs root or qmailr.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

fn fatal(verb: &str, layout: &Layout, error: &std::io::Error) -> Exit {
    let path = layout.lock("tcpto");
    let text = format!(
        "unable to {verb} {}: {error}; this needs root or qmailr",
        path.display()
    );
    Exit::new(run::TEMPORARY, text)
}

pub fn tcpto(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let is_json = crate::options::is_json(&arguments, TCPTO_USAGE)?;
    let now = os::clock::unix_seconds();
    let layouts = queues::all(home)?;
    let read = |layout: &Layout| Tcpto::read(layout).map_err(|error| fatal("read", layout, &error));
    if is_json {
        let mut all = Vec::new();
        for layout in &layouts {
            all.extend(read(layout)?.records.iter().map(|host| {
                json!({
                    "queue": layout.name(),
                    "ip": host.ip,
                    "seconds": (now - i64::from(host.time)).max(0),
                    "timeouts": host.count,
                })
            }));
        }
        return output::print_json(&all);
    }
    let text = queues::each(&layouts, |layout| Ok(lines(&read(layout)?, now)))?;
    output::print(text.as_bytes())
}

fn lines(table: &Tcpto, now: i64) -> String {
    let line = |host: &queue::DownHost| {
        let family = match (table.has_families, host.ip) {
            (false, _) => "",
            (true, IpAddr::V4(_)) => " ipv4",
            (true, IpAddr::V6(_)) => " ipv6",
        };
        let seconds = (now - i64::from(host.time)).max(0);
        format!(
            "{}{family} timed out {seconds} seconds ago; # recent timeouts: {}\n",
            host.ip, host.count
        )
    };
    table.records.iter().map(line).collect()
}

pub fn tcpok(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    if !arguments.is_empty() {
        return Err(run::usage::misused(TCPOK_USAGE));
    }
    let layouts = queues::all(home)?;
    // Root works here in directories of others.
    let roots: Vec<_> = layouts.iter().map(|l| l.root().to_owned()).collect();
    run::sandboxes::close(run::sandboxes::queued(&roots), "qmail-tcpok");
    for layout in layouts {
        Tcpto::clear(&layout).map_err(|error| fatal("clear", &layout, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use queue::DownHost;

    #[test]
    fn the_family_is_said_where_the_table_knows_it() {
        let host = |ip: &str| DownHost {
            ip: ip.parse().unwrap(),
            count: 2,
            time: 1000,
        };
        let mut table = Tcpto {
            records: vec![host("192.0.2.1"), host("2001:db8::1")],
            has_families: true,
        };
        assert_eq!(
            lines(&table, 1060),
            "192.0.2.1 ipv4 timed out 60 seconds ago; # recent timeouts: 2\n\
             2001:db8::1 ipv6 timed out 60 seconds ago; # recent timeouts: 2\n"
        );
        table.has_families = false;
        table.records.pop();
        assert_eq!(
            lines(&table, 0),
            "192.0.2.1 timed out 0 seconds ago; # recent timeouts: 2\n"
        );
    }
}
