//! The rows of users, from where a delivery gets them.
//!
//! A file is read here: it belongs to the same user. A database server is
//! left to inlookup, so that a delivery, beside which programs of users run,
//! has neither a network nor the server's password.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use directory::{Directory, Location};
use run::{Home, Link};
use wire::lookup::{self, Reply, Request};

use crate::users::{User, UsersError};

/// How long inlookup may take, with a server that is slow.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where rows come from.
pub enum Rows {
    /// A file.
    File(Box<Directory>),
    /// inlookup.
    Service(Service),
}

/// A connection to inlookup, made at the first question and after trouble.
pub struct Service {
    socket: PathBuf,
    link: RefCell<Option<Link>>,
}

impl Rows {
    /// Opens the file, when the users are in one.
    pub fn open(home: &Home, location: &Location) -> Result<Self, UsersError> {
        match location {
            Location::File(path) => {
                let directory = Directory::open(path).map_err(error)?;
                Ok(Self::File(Box::new(directory)))
            }
            Location::Server(_) => Ok(Self::Service(Service {
                socket: home.socket("inlookup"),
                link: RefCell::new(None),
            })),
        }
    }

    /// A user of a real domain.
    pub fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError> {
        match self {
            Self::File(directory) => {
                let row = directory.find_user(local, domain).map_err(error)?;
                Ok(row.map(of_row))
            }
            Self::Service(service) => match service.ask(&Request::User {
                local: local.to_owned(),
                domain: domain.to_owned(),
            })? {
                Reply::User(row) => Ok(row.map(|row| of_reply(*row))),
                other => Err(strange(other)),
            },
        }
    }

    /// The lines of an alias.
    pub fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError> {
        match self {
            Self::File(directory) => directory.aliases(local, domain).map_err(error),
            Self::Service(service) => match service.ask(&Request::Aliases {
                local: local.to_owned(),
                domain: domain.to_owned(),
            })? {
                Reply::Aliases(lines) => Ok(lines),
                other => Err(strange(other)),
            },
        }
    }

    /// The filter rules of a name.
    pub fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        match self {
            Self::File(directory) => directory.filters(local, domain).map_err(error),
            Self::Service(service) => match service.ask(&Request::Filters {
                local: local.to_owned(),
                domain: domain.to_owned(),
            })? {
                Reply::Filters(rules) => Ok(rules.into_iter().map(rule_of_reply).collect()),
                other => Err(strange(other)),
            },
        }
    }

    /// Marks a user over quota, or takes the mark away.
    pub fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError> {
        let directory = match self {
            Self::File(directory) => directory,
            Self::Service(service) => {
                return service.tell(&Request::OverQuota {
                    local: user.name.clone(),
                    domain: user.domain.clone(),
                    usage,
                });
            }
        };
        let row = directory.find_user(&user.name, &user.domain);
        let Some(row) = row.map_err(error)? else {
            return Ok(());
        };
        match usage {
            Some(bytes) => directory.mark_over_quota(&row, bytes),
            None => directory.clear_over_quota(&row),
        }
        .map_err(error)
    }

    /// Notes a delivery to a group.
    pub fn record_delivery(&self, user: &User) -> Result<(), UsersError> {
        let directory = match self {
            Self::File(directory) => directory,
            Self::Service(service) => {
                return service.tell(&Request::Delivered {
                    local: user.name.clone(),
                    domain: user.domain.clone(),
                });
            }
        };
        let row = directory.find_user(&user.name, &user.domain);
        match row.map_err(error)? {
            Some(row) => directory.record_auth(&row, "deli", "", 0).map_err(error),
            None => Ok(()),
        }
    }
}

impl Service {
    /// Asks; once more over a new connection when inlookup was started again
    /// since the last question. Asking twice does no harm.
    fn ask(&self, question: &Request) -> Result<Reply, UsersError> {
        let mut kept = self.link.borrow_mut();
        if let Some(link) = kept.as_mut() {
            match link.ask(question) {
                Ok(reply) => return of_link(reply),
                Err(_) => *kept = None,
            }
        }
        let unanswered = |error: run::LinkError| UsersError(run::chain(&error));
        let mut link = Link::connect(&self.socket, lookup::VERSION, TIMEOUT).map_err(unanswered)?;
        let reply = link.ask(question).map_err(unanswered)?;
        *kept = Some(link);
        of_link(reply)
    }

    fn tell(&self, what: &Request) -> Result<(), UsersError> {
        match self.ask(what)? {
            Reply::Done => Ok(()),
            other => Err(strange(other)),
        }
    }
}

fn of_link(reply: Reply) -> Result<Reply, UsersError> {
    match reply {
        Reply::Temporary(text) => Err(UsersError(text)),
        reply => Ok(reply),
    }
}

fn strange(reply: Reply) -> UsersError {
    UsersError(format!("inlookup answers {reply:?}"))
}

fn of_row(row: directory::User) -> User {
    User {
        name: row.name,
        domain: row.domain,
        gid_flags: row.gid_flags,
        gecos: row.gecos,
        dir: row.dir,
        quota: row.quota,
        active: row.active,
    }
}

fn of_reply(row: lookup::User) -> User {
    User {
        name: row.name,
        domain: row.domain,
        gid_flags: row.gid_flags,
        gecos: row.gecos,
        dir: row.dir.into(),
        quota: row.quota,
        active: row.active,
    }
}

fn rule_of_reply(row: lookup::Filter) -> vfilter::Row {
    vfilter::Row {
        number: row.number,
        name: row.name,
        header: row.header,
        comparison: row.comparison,
        keyword: row.keyword,
        destination: row.destination,
        action: row.action,
    }
}

fn error(error: directory::Error) -> UsersError {
    UsersError(run::chain(&error))
}
