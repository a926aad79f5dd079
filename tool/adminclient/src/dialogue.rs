//! The dialogue with an indisrvr.

use std::io::{self, Write};
use std::time::Duration;

use run::Exit;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::options::Options;

/// How the last line begins.
const STATUS: &[u8] = b"RETURNSTATUS";
/// Most bytes before the login is over.
const GREETING_BYTES_MAX: usize = 4096;
/// What may be the last line is held back: so long can it be.
const STATUS_BYTES_MAX: usize = STATUS.len() + 4;

/// Logs in, runs the command and prints what it says; its exit code.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    options: &Options,
) -> Result<u8, Exit> {
    let mut server = Server {
        stream,
        silence: options.silence,
    };
    server.log_in(&options.user, &options.password).await?;
    server.send(&options.line).await?;
    // Nothing more will come: so the server can say when it is done.
    let _ = server.stream.shutdown().await;
    server.print().await
}

struct Server<S> {
    stream: S,
    silence: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), Exit> {
        self.expect(b"Login: ").await?;
        self.send(user).await?;
        self.expect(b"Password: ").await?;
        self.send(password).await?;
        self.expect(b"OK\n").await
    }

    /// Reads until these bytes came; anything else at the end is why not.
    async fn expect(&mut self, wanted: &[u8]) -> Result<(), Exit> {
        let mut seen = Vec::new();
        while !seen.ends_with(wanted) {
            let mut byte = [0];
            let read = self.read(&mut byte).await?;
            if read == 0 || GREETING_BYTES_MAX < seen.len() {
                let said = String::from_utf8_lossy(&seen);
                let said: String = said.chars().filter(|c| !c.is_control()).collect();
                let text = format!("the server says: {}", said.trim());
                return Err(Exit::new(run::PERMANENT, text));
            }
            seen.push(byte[0]);
        }
        Ok(())
    }

    async fn send(&mut self, line: &str) -> Result<(), Exit> {
        let sent = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.write_all(b"\n").await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.silence, sent).await {
            Ok(sent) => sent.map_err(|error| lost(&error)),
            Err(_) => Err(lost(&io::ErrorKind::TimedOut.into())),
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Exit> {
        match tokio::time::timeout(self.silence, self.stream.read(buffer)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Ok(read) => read.map_err(|error| lost(&error)),
            Err(_) => Err(lost(&io::ErrorKind::TimedOut.into())),
        }
    }

    /// Prints everything but the last line, which says how it ended.
    async fn print(&mut self) -> Result<u8, Exit> {
        let mut held: Vec<u8> = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let mut out = io::stdout().lock();
        loop {
            let read = self.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            held.extend_from_slice(&buffer[..read]);
            // A newline before the status may have been added; it stays.
            let certain = held.len().saturating_sub(STATUS_BYTES_MAX);
            out.write_all(&held[..certain])
                .map_err(|error| lost(&error))?;
            held.drain(..certain);
        }
        let start = held.windows(STATUS.len()).rposition(|part| part == STATUS);
        let code = start.and_then(|start| status(&held[start..]));
        let shown = start.filter(|_| code.is_some()).unwrap_or(held.len());
        out.write_all(&held[..shown])
            .and_then(|()| out.flush())
            .map_err(|error| lost(&error))?;
        code.ok_or_else(|| Exit::new(run::TEMPORARY, "the server left before the command ended"))
    }
}

fn status(line: &[u8]) -> Option<u8> {
    let number = line.strip_prefix(STATUS)?.trim_ascii();
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn lost(error: &io::Error) -> Exit {
    Exit::new(run::TEMPORARY, format!("lost the server: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_a_status() {
        assert_eq!(status(b"RETURNSTATUS0"), Some(0));
        assert_eq!(status(b"RETURNSTATUS111\n"), Some(111));
        for wrong in [
            &b"RETURNSTATUS"[..],
            b"RETURNSTATUS-1",
            b"RETURNSTATUS0 x",
            b"x",
        ] {
            assert_eq!(status(wrong), None);
        }
    }
}
