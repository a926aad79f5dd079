//! QMAILQUEUE: a program that takes messages (smtp-receiving.md §5.1), fed
//! without waiting for it.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use filter::FilterLog;
use inject::{CUSTOM_BYTES_MAX, Code, Program};
use os::child::Setup;
use smtp::server::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use wire::trace::TraceId;

/// How long the program may take after the message is complete.
const FINISH_MAX: Duration = Duration::from_secs(24 * 3600);

/// A program that is taking a message.
#[derive(Debug)]
pub struct Running {
    child: Child,
    message: Option<ChildStdin>,
    envelope: OwnedFd,
    printed: JoinHandle<Vec<u8>>,
    failed: bool,
}

/// Starts a program for one message; `log` is open for its filters.
pub fn start(
    program: &Program,
    trace: TraceId,
    wishes: &[u8],
    log: Option<&FilterLog>,
) -> Result<Running, Answer> {
    let no_pipe = |error: std::io::Error| refused(Code::Pipe, error.to_string());
    let (read, envelope) = os::fd::pipe().map_err(no_pipe)?;
    let (errors, errors_write) = os::fd::pipe().map_err(no_pipe)?;
    let errors = pipe::Receiver::from_owned_fd(errors).map_err(no_pipe)?;
    let mut command = program.command(trace, wishes, None, read, errors_write);
    if let Some(log) = log {
        let no_log = |error: filter::Error| refused(Code::TemporaryFile, error.to_string());
        let setup = Setup {
            descriptors: vec![log.descriptor().map_err(no_log)?],
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
    }
    let mut command = Command::from(command);
    let spawned = command.stdin(Stdio::piped()).kill_on_drop(true).spawn();
    // It holds our copies of the program's descriptors.
    drop(command);
    let mut child = spawned.map_err(|error| {
        let text = format!("{}: {error}", program.path().display());
        refused(Code::Exec, text)
    })?;
    Ok(Running {
        message: child.stdin.take(),
        child,
        envelope,
        printed: tokio::spawn(read_all(errors)),
        failed: false,
    })
}

/// The start of what the program prints. The rest is read, so that nobody has
/// to wait for us.
async fn read_all(mut errors: pipe::Receiver) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = (&mut errors)
        .take(CUSTOM_BYTES_MAX as u64)
        .read_to_end(&mut kept)
        .await;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
    kept
}

fn refused(code: Code, text: String) -> Answer {
    Answer::Refused {
        code: code as u8,
        text,
    }
}

impl Running {
    /// Writes bytes of the message; when the program no longer reads, its
    /// exit code will say why.
    pub async fn write(&mut self, bytes: &[u8]) {
        if let Some(message) = &mut self.message
            && message.write_all(bytes).await.is_err()
        {
            self.message = None;
            self.failed = true;
        }
    }

    /// Writes the envelope and waits for the verdict.
    pub async fn finish(mut self, sender: &[u8], recipients: &[Vec<u8>]) -> Answer {
        drop(self.message.take());
        let envelope = inject::records(sender, recipients);
        let qp = self.child.id().unwrap_or(0);
        let written = async {
            let mut pipe = pipe::Sender::from_owned_fd(self.envelope)?;
            pipe.write_all(&envelope).await
        };
        let failed = self.failed || written.await.is_err();
        let status = match tokio::time::timeout(FINISH_MAX, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return refused(Code::Wait, error.to_string()),
            Err(_) => return refused(Code::Timeout, "QMAILQUEUE does not end".to_owned()),
        };
        let printed = self.printed.await.unwrap_or_default();
        match status.code() {
            Some(0) if !failed => Answer::Queued { qp },
            // It says yes without having read everything.
            Some(0) => refused(Code::Read, "QMAILQUEUE stopped reading".to_owned()),
            code => {
                let code = code.and_then(|code| u8::try_from(code).ok());
                Answer::Refused {
                    code: code.unwrap_or(Code::Crashed as u8),
                    text: last_words(&printed),
                }
            }
        }
    }

    /// Ends without an envelope: the program queues nothing.
    pub fn abort(self) {
        drop(self);
    }
}

/// The verdict if there is one, else all of it.
fn last_words(printed: &[u8]) -> String {
    let said = inject::verdict(printed).unwrap_or(printed.trim_ascii());
    String::from_utf8_lossy(said).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_verdict_counts() {
        assert_eq!(last_words(b"noise\nDno\nmore noise\n"), "Dno");
        assert_eq!(last_words(b"noise\n"), "noise");
    }
}
