//! Connections and their bounds. HTTP itself is hyper's.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use listen::{Certificates, Guest, Handshakes, House, Places, TlsMode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::answer::{self, Problem};
use crate::call::Caller;
use crate::{GRACE, PROGRAM, route};

/// Connections at once, in all and from one address.
const CONNECTIONS_MAX: usize = 64;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// Longest head of a request, and most fields in it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;
/// Longest body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a head, and then a body, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection lives, whatever it does.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// What all connections share.
pub struct Server {
    pub admind: PathBuf,
    pub certificates: Arc<Certificates>,
    pub handshakes: Handshakes,
    pub mode: TlsMode,
}

impl Server {
    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let house = House {
            program: PROGRAM,
            places: Places::new(CONNECTIONS_MAX),
            full: listen::Full::Refuse(b""),
            stop: watch::channel(false).0,
            farewell: GRACE,
        };
        let server = Arc::new(self);
        house
            .serve(listeners, move |guest| receive(Arc::clone(&server), guest))
            .await
    }
}

async fn receive(server: Arc<Server>, mut guest: Guest) {
    let ip = guest.peer.ip();
    if guest.place.count(ip, CONNECTIONS_PER_ADDRESS_MAX).is_none() {
        return;
    }
    let mut stop = guest.stop.clone();
    let (stream, _place) = (guest.stream, guest.place);
    let _ = stream.set_nodelay(true);
    let served = async {
        match server.mode {
            TlsMode::None => converse(&server, ip.to_string(), stream).await,
            TlsMode::Implicit | TlsMode::Starttls => {
                let Some(config) = server.certificates.config().await else {
                    return;
                };
                if let Ok(stream) = server.handshakes.accept(config, stream).await {
                    converse(&server, ip.to_string(), stream).await;
                }
            }
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(LIFE_MAX, served) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn converse(
    server: &Server,
    remote_ip: String,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) {
    let service = service_fn(|request| {
        let remote_ip = remote_ip.clone();
        async {
            let response = respond(server, remote_ip, request).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|problem| problem.response()))
        }
    });
    // What is wrong with a connection is the client's business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    server: &Server,
    remote_ip: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.method == Method::GET && path == "/v1/openapi.json" {
        return Ok(answer::description());
    }
    let token = head
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| bearer(value.as_bytes()));
    let token = token.ok_or_else(Problem::unauthorized)?;
    let caller = Caller::of(&server.admind, token, remote_ip).await?;
    let read = Limited::new(body, BODY_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let text = format!("a body has at most {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, &text));
        }
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "no body in time")),
    };
    if head.method == Method::GET && path == "/v1/status" {
        return Ok(answer::value(StatusCode::OK, &caller.status()));
    }
    let command = route::find(&head.method, path, &body)?;
    let (status, body) = caller.run(command).await?;
    Ok(answer::value(status, &body))
}

/// The token behind the scheme, whose name has no case (RFC 6750 §2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}
