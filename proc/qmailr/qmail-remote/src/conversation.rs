//! Drives one session over one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use smtp::client::{Outcome, Session, Step, TextEncoder};
use tls::HandshakeError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::stored::Stored;

/// How long saying goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;

/// Bytes both ways, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Settings of TLS for one host.
pub struct Tls<'a> {
    /// rustls' settings.
    pub config: Arc<tls::rustls::ClientConfig>,
    /// The host we mean.
    pub host: &'a str,
    /// Whether the handshake comes first.
    pub implicit: bool,
}

/// Talks until the session is done; every reply must be there, and every
/// piece of the message taken, within `limit`.
pub async fn hold(
    stream: TcpStream,
    mut session: Session,
    message: &Stored,
    tls: Tls<'_>,
    limit: Duration,
) -> Result<Outcome, HandshakeError> {
    let mut wire: Box<dyn Stream> = Box::new(stream);
    if tls.implicit {
        wire = encrypt(wire, &tls, limit).await?;
    }
    let mut buffer = [0; READ_BYTES];
    // A reply that comes byte by byte must not hold us for ever.
    let mut deadline = None;
    loop {
        let step = session.step();
        if step != Step::Wait {
            deadline = None;
        }
        let done = match step {
            Step::Send(bytes) => write(&mut wire, &bytes, limit).await,
            Step::StartTls => {
                wire = encrypt(wire, &tls, limit).await?;
                session.secured();
                Ok(())
            }
            Step::Text => {
                let sent = send_text(&mut wire, message, limit).await;
                if sent.is_ok() {
                    session.text_sent();
                } else {
                    hear_why(&mut wire, &mut session).await;
                }
                sent
            }
            Step::Wait => {
                let until = *deadline.get_or_insert_with(|| Instant::now() + limit);
                match timeout_at(until, wire.read(&mut buffer)).await {
                    Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(Ok(length)) => {
                        session.receive(&buffer[..length]);
                        Ok(())
                    }
                    Ok(Err(error)) => Err(error),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                }
            }
            Step::Done => {
                let _ = timeout(GOODBYE_TIMEOUT, wire.shutdown()).await;
                return Ok(session.outcome());
            }
        };
        if done.is_err() {
            session.broken();
        }
    }
}

async fn encrypt(
    wire: Box<dyn Stream>,
    tls: &Tls<'_>,
    limit: Duration,
) -> Result<Box<dyn Stream>, HandshakeError> {
    let handshake = tls::connect(tls.config.clone(), tls.host, wire);
    match timeout(limit, handshake).await {
        Ok(result) => Ok(Box::new(result?)),
        Err(_) => Err(HandshakeError::Failed(io::ErrorKind::TimedOut.into())),
    }
}

async fn send_text(
    wire: &mut Box<dyn Stream>,
    message: &Stored,
    limit: Duration,
) -> io::Result<()> {
    let mut encoder = TextEncoder::default();
    let mut pieces = message.pieces();
    let mut out = Vec::new();
    while let Some(piece) = pieces.next()? {
        encoder.encode(piece, &mut out);
        write(wire, &out, limit).await?;
        out.clear();
    }
    encoder.finish(&mut out);
    write(wire, &out, limit).await
}

/// A server that cuts the message short may have said why.
async fn hear_why(wire: &mut Box<dyn Stream>, session: &mut Session) {
    let mut buffer = [0; READ_BYTES];
    if let Ok(Ok(length)) = timeout(GOODBYE_TIMEOUT, wire.read(&mut buffer)).await {
        session.receive(&buffer[..length]);
    }
}

async fn write(wire: &mut Box<dyn Stream>, bytes: &[u8], limit: Duration) -> io::Result<()> {
    let written = async {
        wire.write_all(bytes).await?;
        wire.flush().await
    };
    timeout(limit, written)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
