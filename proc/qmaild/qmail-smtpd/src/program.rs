//! QMAILQUEUE: a program that takes messages (smtp-receiving.md §5.1).

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use smtp::server::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use wire::trace::{TraceId, VARIABLE};

/// How long the program may take after the message is complete.
const FINISH_MAX: Duration = Duration::from_secs(24 * 3600);
/// As much as is kept of what it prints.
const PRINTED_BYTES_MAX: u64 = 1023;
/// Exit code for a program that was killed.
const CRASHED: u8 = 123;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<OsString>,
    directory: PathBuf,
    variables: Vec<(String, Option<Vec<u8>>)>,
}

/// A program that is taking a message.
#[derive(Debug)]
pub struct Running {
    child: Child,
    message: Option<ChildStdin>,
    envelope: OwnedFd,
    printed: JoinHandle<Vec<u8>>,
    failed: bool,
}

impl Program {
    /// Reads the command, without a shell; see [`text::words`].
    /// `variables` are what differs from our own environment.
    pub fn parse(
        command: &[u8],
        directory: PathBuf,
        variables: Vec<(String, Option<Vec<u8>>)>,
    ) -> Option<Self> {
        let value = |name: &str| Some(variable(&variables, name).into_encoded_bytes());
        let words = text::words::split(command, value).ok()?;
        Some(Self {
            words: words.into_iter().map(OsString::from_vec).collect(),
            directory,
            variables,
        })
    }

    /// Starts it; message on 0, envelope on 1, errors on 2.
    pub fn start(&self, trace: TraceId) -> io::Result<Running> {
        let (read, envelope) = os::fd::pipe()?;
        let mut command = Command::new(self.directory.join(&self.words[0]));
        command
            .args(&self.words[1..])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(read))
            .stderr(Stdio::piped())
            .env(VARIABLE, trace.to_string())
            .kill_on_drop(true);
        for (name, value) in &self.variables {
            use std::os::unix::ffi::OsStrExt;
            match value {
                Some(value) => command.env(name, std::ffi::OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn()?;
        let (message, stderr) = (child.stdin.take(), child.stderr.take());
        let printed = tokio::spawn(async move {
            let mut kept = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr)
                    .take(PRINTED_BYTES_MAX)
                    .read_to_end(&mut kept)
                    .await;
                // The rest is read, so that nobody has to wait for us.
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            kept
        });
        Ok(Running {
            child,
            message,
            envelope,
            printed,
            failed: false,
        })
    }
}

fn variable(variables: &[(String, Option<Vec<u8>>)], name: &str) -> OsString {
    let own = variables.iter().rev().find(|(known, _)| known == name);
    match own {
        Some((_, value)) => OsString::from_vec(value.clone().unwrap_or_default()),
        None => std::env::var_os(name).unwrap_or_default(),
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
        let mut envelope = [b"F", sender, b"\0"].concat();
        for recipient in recipients {
            envelope.push(b'T');
            envelope.extend_from_slice(recipient);
            envelope.push(0);
        }
        envelope.push(0);
        let qp = self.child.id().unwrap_or(0);
        let written = async {
            let mut pipe = pipe::Sender::from_owned_fd(self.envelope)?;
            pipe.write_all(&envelope).await
        };
        let failed = self.failed || written.await.is_err();
        let status = match tokio::time::timeout(FINISH_MAX, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                return Answer::Refused {
                    code: 122,
                    text: error.to_string(),
                };
            }
            Err(_) => {
                return Answer::Refused {
                    code: 52,
                    text: "QMAILQUEUE does not end".to_owned(),
                };
            }
        };
        let printed = self.printed.await.unwrap_or_default();
        match status.code() {
            Some(0) if !failed => Answer::Queued { qp },
            // It says yes without having read everything.
            Some(0) => Answer::Refused {
                code: 53,
                text: "QMAILQUEUE stopped reading".to_owned(),
            },
            code => {
                let code = code.and_then(|code| u8::try_from(code).ok());
                Answer::Refused {
                    code: code.unwrap_or(CRASHED),
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

/// The last line that begins with D or Z, else all of it.
fn last_words(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let custom = text.lines().rev().find(|line| line.starts_with(['D', 'Z']));
    custom.map_or_else(|| text.trim().to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_without_a_shell() {
        let variables = vec![("NAME".to_owned(), Some(b"a b; rm".to_vec()))];
        let program =
            Program::parse(b" bin/x 'one two'  $NAME \"$NAME\" ", "/".into(), variables).unwrap();
        assert_eq!(program.words, ["bin/x", "one two", "a b; rm", "a b; rm"]);
        assert!(Program::parse(b"  ", "/".into(), Vec::new()).is_none());
        assert!(Program::parse(b"x 'open", "/".into(), Vec::new()).is_none());
    }

    #[test]
    fn the_last_verdict_counts() {
        assert_eq!(last_words(b"noise\nDno\nmore noise\n"), "Dno");
        assert_eq!(last_words(b"noise\n"), "noise");
    }
}
