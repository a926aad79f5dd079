//! The client's bytes, encrypted or not.

use std::sync::Arc;

use listen::Handshakes;
use smtp::server::Tls;
use tls::rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Does the handshake as the server.
pub async fn secure(
    handshakes: &Handshakes,
    transport: Box<dyn Transport>,
    config: Arc<ServerConfig>,
) -> Result<(Box<dyn Transport>, Tls), String> {
    let stream = handshakes
        .accept(config, transport)
        .await
        .map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let cipher = session.negotiated_cipher_suite();
    let tls = Tls {
        version: version.to_owned(),
        cipher: cipher.map_or(String::new(), |suite| format!("{:?}", suite.suite())),
    };
    Ok((Box::new(stream), tls))
}
