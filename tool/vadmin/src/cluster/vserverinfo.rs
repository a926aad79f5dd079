//! vserverinfo: which database server a domain or user is on.

use std::ffi::OsString;

use clap::Parser;
use directory::Location;
use run::Exit;
use serde_json::json;

use super::mcdinfo::{self, Record};
use crate::site::{Site, permanent, value_domain};

/// Shows the database server of a domain, as `mcdinfo` has it; without a
/// record there, the one of this host.
///
/// Without options everything, with options what they name. Exit codes: 0
/// done, 1 nothing found, 100 wrong use, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vserverinfo", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Account on the server
    #[arg(short = 'u')]
    user: bool,
    /// Password there; only root and the owner of the domain get here
    #[arg(short = 'p')]
    password: bool,
    /// Port or socket
    #[arg(short = 'P')]
    port: bool,
    /// Server
    #[arg(short = 's')]
    server: bool,
    /// Host of the mailboxes
    #[arg(short = 'm')]
    mdahost: bool,
    /// Database
    #[arg(short = 'd')]
    database: bool,
    /// The domain
    #[arg(short = 'D', value_name = "DOMAIN")]
    domain: Option<String>,
    /// Its record for this host of mailboxes
    #[arg(short = 'M', value_name = "HOST", requires = "domain")]
    of_host: Option<String>,
    /// Records of this server
    #[arg(short = 'S', value_name = "SERVER", conflicts_with = "domain")]
    of_server: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of a user
    address: Option<String>,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let domain = match (&arguments.domain, &arguments.address) {
        (Some(domain), _) => Some(domain.clone()),
        (None, Some(address)) => Some(site.address(address)?.1),
        (None, None) => None,
    };
    if let Some(domain) = &domain {
        value_domain(domain)?;
        site.real_domain(domain)?;
    } else if arguments.of_server.is_none() {
        return Err(permanent("which one? -D DOMAIN, -S SERVER or USER@DOMAIN"));
    }
    let mut records = mcdinfo::read(&site)?;
    records.retain(|record| {
        domain
            .as_ref()
            .is_none_or(|domain| record.domain == *domain)
            && arguments
                .of_host
                .as_ref()
                .is_none_or(|host| record.mdahost == *host)
            && arguments
                .of_server
                .as_ref()
                .is_none_or(|server| record.server == *server)
    });
    if let (true, Some(domain), None) = (records.is_empty(), domain, &arguments.of_host) {
        records.push(local(&site, domain)?);
    }
    if arguments.json {
        let shown: Vec<_> = records.iter().map(shown).collect();
        crate::show::json(&shown)?;
    } else {
        records.iter().for_each(|record| arguments.print(record));
    }
    if records.is_empty() {
        Err(Exit::new(1, ""))
    } else {
        Ok(())
    }
}

/// What holds for a domain without a record.
fn local(site: &Site, domain: String) -> Result<Record, Exit> {
    let here = "localhost".to_owned();
    Ok(match site.location()? {
        Location::File(path) => Record {
            domain,
            server: here.clone(),
            mdahost: here,
            port: path.display().to_string(),
            database: "indimail".to_owned(),
            ..Record::default()
        },
        Location::Server(server) => Record {
            domain,
            mdahost: here,
            port: match (&server.socket, server.tcp_port()) {
                (Some(socket), _) => socket.display().to_string(),
                (None, port) => port.unwrap_or_default().to_string(),
            },
            database: server.database.clone(),
            user: server.user.clone(),
            password: server.password.clone().unwrap_or_default(),
            server: server.host.clone(),
            ..Record::default()
        },
    })
}

fn shown(record: &Record) -> serde_json::Value {
    json!({
        "domain": record.domain,
        "distributed": record.distributed,
        "server": record.server,
        "mdahost": record.mdahost,
        "port": record.port,
        "use_ssl": record.use_ssl,
        "database": record.database,
        "user": record.user,
    })
}

impl Arguments {
    fn print(&self, record: &Record) {
        let fields = [
            (self.server, "server  ", &record.server),
            (self.mdahost, "mdahost ", &record.mdahost),
            (self.user, "user    ", &record.user),
            (self.password, "password", &record.password),
            (self.port, "port    ", &record.port),
            (self.database, "database", &record.database),
        ];
        let all = !fields.iter().any(|(wanted, _, _)| *wanted);
        for (wanted, label, value) in fields {
            // A password is shown only to who asks for it.
            if wanted || (all && label != "password") {
                println!("{label}: {value}");
            }
        }
    }
}
