//! The answers that need no message.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns::{Domain, Listing};
use mailauth::Authenticator;
use policy::greylist;
use tokio::net::UdpSocket;
use wire::verify::{Existence, Grey, Greylist, Reply, Request};

/// How long a greylisting server may take (smtp-receiving.md §2.13).
const GREYLIST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a list may take: its client waits for the greeting.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a question.
pub async fn answer(authenticator: &Authenticator, question: Request) -> Reply {
    match question {
        Request::Domain(name) => Reply::Domain(existence(authenticator, &name).await),
        Request::Name(ip) => name(authenticator, ip).await,
        Request::Sender(sender) => Reply::Sender(authenticator.spf(&sender).await),
        Request::Greylist(question) => match greylist(&question).await {
            Ok(grey) => Reply::Greylist(grey),
            Err(error) => Reply::Temporary(format!("greylisting by {}: {error}", question.server)),
        },
        Request::Listed {
            ip,
            list,
            by_address,
        } => listed(authenticator, ip, &list, by_address).await,
        Request::Message(_) | Request::Data(_) | Request::End => {
            Reply::Temporary("a message is no question".to_owned())
        }
    }
}

/// A bracketed address needs no DNS (RFC 5321 §4.1.3).
async fn existence(authenticator: &Authenticator, name: &str) -> Existence {
    if let Some(literal) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let number = literal.strip_prefix("IPv6:").unwrap_or(literal);
        return match number.parse::<IpAddr>() {
            Ok(_) => Existence::Exists,
            Err(_) => Existence::Absent,
        };
    }
    let Ok(domain) = Domain::parse(name) else {
        return Existence::Absent;
    };
    match authenticator.resolver().takes_mail(&domain).await {
        Ok(()) => Existence::Exists,
        Err(error) if error.is_temporary() => Existence::Unknown,
        Err(_) => Existence::Absent,
    }
}

async fn name(authenticator: &Authenticator, ip: IpAddr) -> Reply {
    match authenticator.resolver().confirmed_name(ip).await {
        Ok(name) => Reply::Name(name.map(|name| name.as_str().to_owned())),
        // A name nobody can find out is no name.
        Err(_) => Reply::Name(None),
    }
}

/// Whether an address is on a list.
async fn listed(authenticator: &Authenticator, ip: IpAddr, list: &str, by_address: bool) -> Reply {
    let Ok(name) = Domain::parse(&format!("{}.{list}", dns::reversed(ip))) else {
        return Reply::Temporary(format!("{list} is no name of a list"));
    };
    let by = match by_address {
        true => Listing::Address,
        false => Listing::Text,
    };
    let asked = authenticator.resolver().listed(&name, by);
    match tokio::time::timeout(LIST_TIMEOUT, asked).await {
        Ok(Ok(said)) => Reply::Listed(said),
        Ok(Err(error)) => Reply::Temporary(format!("cannot ask {list}: {error}")),
        Err(_) => Reply::Temporary(format!("{list} does not answer")),
    }
}

/// Asks once for each part of the recipients that fits a datagram; all must
/// be accepted.
async fn greylist(question: &Greylist) -> std::io::Result<Grey> {
    let any: SocketAddr = match question.server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    // A connected socket hears nobody else.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(question.server).await?;
    let ip = question.ip.to_canonical();
    let mut verdict = Grey::Accept;
    for datagram in greylist::requests(ip, &question.sender, &question.recipients) {
        socket.send(&datagram).await?;
        let mut reply = [0; 2];
        let heard = tokio::time::timeout(GREYLIST_TIMEOUT, socket.recv(&mut reply)).await;
        match heard {
            Ok(Ok(2)) if reply[0] == 0 => verdict = Grey::Defer,
            Ok(Ok(2)) => {}
            Ok(Ok(_)) => return Err(std::io::Error::other("a reply of another length")),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Ok(Grey::Silent);
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(Grey::Silent),
        }
    }
    Ok(verdict)
}
