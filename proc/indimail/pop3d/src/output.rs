//! Bytes to and from one client, counted, with limits on time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a client may take to accept one piece.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Sends bytes.
pub async fn send(stream: &mut impl Stream, bytes: &[u8], sent: &mut u64) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let write = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    timeout(WRITE_TIMEOUT, write)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    *sent += bytes.len() as u64;
    Ok(())
}

/// Reads what is there; 0 bytes at the end.
pub async fn receive(
    stream: &mut impl Stream,
    buffer: &mut [u8],
    wait: Duration,
) -> io::Result<usize> {
    timeout(wait, stream.read(buffer))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
