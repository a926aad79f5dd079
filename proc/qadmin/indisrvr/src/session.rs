//! One administrator: the dialogue of virtual-domains.md §15.1.

use std::io;
use std::path::Path;
use std::time::Duration;

use listen::Pipe;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use wire::admin::{Reply, Request, VERSION};
use zeroize::Zeroizing;

use crate::PROGRAM;
use crate::line::{Command, Mismatch};
use crate::options::Options;

/// Longest name and password.
const WORD_BYTES_MAX: u64 = 256;
/// Longest command.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// How long the answer to a wrong password is held back.
const FAILURE_DELAY: Duration = Duration::from_secs(3);

/// One administrator's connection.
pub struct Session<S> {
    stream: BufReader<S>,
    silence: Duration,
    login: Duration,
    remote_ip: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Begins.
    pub fn new(stream: S, options: &Options, remote_ip: String) -> Self {
        Self {
            stream: BufReader::new(stream),
            silence: options.silence,
            login: options.login,
            remote_ip,
        }
    }

    /// The connection, to be closed.
    pub fn into_stream(self) -> S {
        self.stream.into_inner()
    }

    /// Serves until the client leaves, or has to.
    pub async fn serve(&mut self, admind: &Path) -> io::Result<()> {
        let Some(mut pipe) = self.log_in(admind).await? else {
            return Ok(());
        };
        loop {
            let limit = self.silence;
            let line = tokio::time::timeout(limit, self.line(LINE_BYTES_MAX)).await;
            let Some(line) = line?? else {
                return Ok(());
            };
            // What a client says when it has read everything.
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Command::parse(&line) {
                Ok(command) => self.run(&mut pipe, command).await?,
                Err(Mismatch::Index) => self.refuse("command mismatch").await?,
                Err(Mismatch::Malformed) => self.refuse("malformed command").await?,
            }
        }
    }

    /// Asks for name and password; `None` when that was all.
    async fn log_in(&mut self, admind: &Path) -> io::Result<Option<Pipe>> {
        let limit = self.login;
        let asked = async {
            self.say(b"Login: ").await?;
            let user = self.line(WORD_BYTES_MAX).await?;
            self.say(b"Password: ").await?;
            let password = self.line(WORD_BYTES_MAX).await?;
            Ok::<_, io::Error>(user.zip(password))
        };
        let Some((user, password)) = tokio::time::timeout(limit, asked).await?? else {
            return Ok(None);
        };
        let request = Request::Password {
            user: String::from_utf8_lossy(&user).into_owned(),
            password: password.to_vec(),
            remote_ip: self.remote_ip.clone(),
        };
        let answer = async {
            let mut pipe = Pipe::connect(admind, VERSION).await?;
            pipe.send(&request).await?;
            let reply = pipe.receive().await?;
            Ok::<_, io::Error>((pipe, reply))
        };
        let text = match answer.await {
            Ok((pipe, Reply::Welcome { .. })) => {
                self.say(b"OK\n").await?;
                return Ok(Some(pipe));
            }
            Ok((_, Reply::Disabled)) => "You are disabled",
            Ok((_, Reply::Refused)) => "Password incorrect",
            Ok((_, other)) => {
                run::warn(PROGRAM, &format!("cannot ask who somebody is: {other:?}"));
                "Temporary failure, try later"
            }
            Err(error) => {
                let path = admind.display();
                run::warn(
                    PROGRAM,
                    &format!("cannot ask {path}: {error}; is admind up?"),
                );
                "Temporary failure, try later"
            }
        };
        tokio::time::sleep(FAILURE_DELAY).await;
        self.say(text.as_bytes()).await?;
        Ok(None)
    }

    /// Runs a command and passes on what it says.
    async fn run(&mut self, pipe: &mut Pipe, command: Command) -> io::Result<()> {
        let Command { program, arguments } = command;
        pipe.send(&Request::Run {
            program: program.to_owned(),
            arguments,
            input: Vec::new(),
            merged: true,
        })
        .await?;
        let mut at_line_start = true;
        loop {
            match pipe.receive().await? {
                Reply::Output(bytes) | Reply::Complaint(bytes) => {
                    at_line_start = bytes.last().map_or(at_line_start, |&last| last == b'\n');
                    self.say(&bytes).await?;
                }
                Reply::Ended(code) => {
                    let line = if at_line_start { "" } else { "\n" };
                    let end = format!("{line}RETURNSTATUS{code}");
                    return self.say(end.as_bytes()).await;
                }
                Reply::Forbidden => {
                    run::line(&format!(
                        "{}: {program} args [...]: permission denied",
                        std::process::id()
                    ));
                    return self.refuse("permission denied").await;
                }
                Reply::Temporary(why) => {
                    run::warn(PROGRAM, &why);
                    return self.refuse("Temporary failure, try later").await;
                }
                Reply::Welcome { .. } | Reply::Refused | Reply::Disabled => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
    }

    /// Says why nothing was run.
    async fn refuse(&mut self, why: &str) -> io::Result<()> {
        let text = format!("{why}\nRETURNSTATUS{}", run::PERMANENT);
        self.say(text.as_bytes()).await
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = self.silence;
        let said = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(limit, said).await?
    }

    /// A line without its end; `None` at the end of the connection. A longer
    /// one is an error.
    async fn line(&mut self, bytes_max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut line = Zeroizing::new(Vec::new());
        let mut limited = (&mut self.stream).take(bytes_max);
        limited.read_until(b'\n', &mut line).await?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return match line.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::InvalidData.into()),
            };
        }
        line.pop_if(|last| *last == b'\r');
        Ok(Some(line))
    }
}
