//! A connection with or without TLS.

use std::io;
use std::sync::Arc;

use listen::Handshakes;
use tls::ServerStream;
use tls::rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a client.
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<ServerStream<TcpStream>>),
    /// No more.
    Closed,
}

impl Stream {
    /// Takes the connection into TLS.
    pub async fn into_tls(
        self,
        handshakes: &Handshakes,
        config: Arc<ServerConfig>,
    ) -> io::Result<Self> {
        let Self::Plain(stream) = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let stream = handshakes.accept(config, stream).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Reads what is there; 0 at the end.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
            Self::Closed => Ok(0),
        }
    }

    /// Writes everything.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that nothing more comes.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Closed => Ok(()),
        }
    }
}
