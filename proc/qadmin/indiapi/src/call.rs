//! A request on its way through admind.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use listen::Pipe;
use serde_json::{Value, json};
use wire::admin::{Reply, Request, VERSION};

use crate::answer::{self, Problem};
use crate::command::Command;

/// Most that a command may print.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long the answer to an unknown token is held back.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// Whoever showed a token that is known.
pub struct Caller {
    pipe: Pipe,
    name: String,
}

impl Caller {
    /// Asks whose token it is.
    pub async fn of(admind: &Path, token: &[u8], remote_ip: String) -> Result<Self, Problem> {
        let request = Request::Token {
            token: token.to_vec(),
            remote_ip,
        };
        let asked = async {
            let mut pipe = Pipe::connect(admind, VERSION).await?;
            pipe.send(&request).await?;
            let reply = pipe.receive().await?;
            Ok::<_, io::Error>((pipe, reply))
        };
        match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(Ok((pipe, Reply::Welcome { name }))) => Ok(Self { pipe, name }),
            Ok(Ok((_, Reply::Refused | Reply::Disabled))) => {
                tokio::time::sleep(FAILURE_DELAY).await;
                Err(Problem::unauthorized())
            }
            Ok(Ok((_, other))) => Err(trouble(&format!("cannot ask whose token it is: {other:?}"))),
            Ok(Err(error)) => {
                let path = admind.display();
                Err(trouble(&format!(
                    "cannot ask {path}: {error}; is admind up?"
                )))
            }
            Err(_) => Err(trouble("admind does not answer")),
        }
    }

    /// Who that is.
    pub fn status(&self) -> Value {
        json!({
            "administrator": self.name,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// Runs a command to its end.
    pub async fn run(mut self, command: Command) -> Result<(StatusCode, Value), Problem> {
        match tokio::time::timeout(TIMEOUT, self.collect(&command)).await {
            Ok(Ok(Some((code, output, complaint)))) => {
                answer::of_command(&command, code, &output, &complaint)
            }
            Ok(Ok(None)) => {
                let text = format!("{} may not do this", self.name);
                Err(Problem::new(StatusCode::FORBIDDEN, &text))
            }
            Ok(Err(error)) => Err(trouble(&format!("lost admind: {error}"))),
            Err(_) => Err(trouble(&format!("{} takes too long", command.program))),
        }
    }

    /// Code, output and complaints; `None` when it may not be run.
    async fn collect(&mut self, command: &Command) -> io::Result<Option<(u8, Vec<u8>, Vec<u8>)>> {
        let request = Request::Run {
            program: command.program.to_owned(),
            arguments: command.arguments.clone(),
            input: command.input.as_bytes().to_vec(),
            merged: false,
        };
        self.pipe.send(&request).await?;
        let (mut output, mut complaint) = (Vec::new(), Vec::new());
        loop {
            match self.pipe.receive().await? {
                Reply::Output(bytes) => output.extend(bytes),
                Reply::Complaint(bytes) => complaint.extend(bytes),
                Reply::Ended(code) => return Ok(Some((code, output, complaint))),
                Reply::Forbidden => return Ok(None),
                other => return Err(io::Error::other(format!("{other:?}"))),
            }
            if OUTPUT_BYTES_MAX < output.len() + complaint.len() {
                return Err(io::Error::other("a command prints too much"));
            }
        }
    }
}

fn trouble(text: &str) -> Problem {
    run::warn(crate::PROGRAM, text);
    Problem::temporary()
}
