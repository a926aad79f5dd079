//! CHECKER programs (smtp-receiving.md §3.2): the classic way to check a
//! password, on descriptor 3.
//!
//! `vchkpass` is inlookup, which we ask instead of starting anything; who it
//! does not know goes to the next in the chain. A chain that ends in `false`
//! there needs no program, and keeps the sandbox.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use os::child::Setup;
use sasl::Mechanism;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Command;
use wire::lookup::{Account, Login, Reply, Request};

/// Most bytes on descriptor 3.
const QUESTION_BYTES_MAX: usize = 512;
/// How much of what a checker prints is read.
const PRINTED_BYTES_MAX: u64 = 1024;
/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Checkers of system users, under both their names. Who does not have them
/// has no such users.
const OF_SYSTEM: [&str; 2] = ["systpass", "sys-checkpwd"];

/// Who is asked about a login, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checkers {
    /// inlookup.
    pub built_in: bool,
    /// Then this program, with the further ones as its arguments.
    pub program: Vec<String>,
}

impl Checkers {
    /// Reads what follows HOSTNAME; without it, inlookup alone.
    pub fn parse(mut words: Vec<String>) -> Self {
        let name = |word: &String| {
            let name = Path::new(word).file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let built_in = words.first().is_none_or(|first| name(first) == "vchkpass");
        if built_in && !words.is_empty() {
            words.remove(0);
        }
        let is_missing =
            |word: &String| OF_SYSTEM.contains(&name(word).as_str()) && !is_there(word);
        while words.first().is_some_and(is_missing) {
            words.remove(0);
        }
        if built_in && words.first().is_some_and(|word| name(word) == "false") {
            words.clear();
        }
        Self {
            built_in,
            program: words,
        }
    }

    /// Runs the program. Whatever it does that it should not is trouble of
    /// ours, and temporary.
    pub async fn run(
        &self,
        mechanism: Mechanism,
        request: &Request,
        variables: &[(&str, &str)],
    ) -> Reply {
        let Some((user, question)) = question(mechanism, request) else {
            return Reply::Login(Login::Refused);
        };
        let run = self.ended(&question, variables);
        match tokio::time::timeout(TIMEOUT, run).await {
            Ok(Ok((status, printed))) => verdict(user, status, &printed),
            Ok(Err(error)) => Reply::Temporary(format!("{}: {error}", self.name())),
            Err(_) => Reply::Temporary(format!("{} does not end", self.name())),
        }
    }

    fn name(&self) -> &str {
        self.program.first().map_or("", String::as_str)
    }

    async fn ended(
        &self,
        question: &[u8],
        variables: &[(&str, &str)],
    ) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let (read, write) = os::fd::pipe()?;
        let mut command = std::process::Command::new(self.name());
        command
            .args(&self.program[1..])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let setup = Setup {
            descriptors: vec![(3, read)],
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        let mut command = Command::from(command);
        let mut child = command.kill_on_drop(true).spawn()?;
        // It holds our copy of the program's descriptor.
        drop(command);
        {
            // A program that does not read it may still have an opinion.
            let mut pipe = pipe::Sender::from_owned_fd(write)?;
            let _ = pipe.write_all(question).await;
        }
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = stdout
                .take(PRINTED_BYTES_MAX)
                .read_to_end(&mut printed)
                .await;
        }
        Ok((child.wait().await?, printed))
    }
}

fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// The user, and the bytes on descriptor 3; `None` for what no checker can
/// check, or is too long for it.
fn question(mechanism: Mechanism, request: &Request) -> Option<(&[u8], Vec<u8>)> {
    let nothing: &[u8] = b"";
    let (user, second, third) = match request {
        Request::Password { user, password, .. } => (user, &password[..], nothing),
        Request::CramMd5 {
            user,
            challenge,
            digest,
            ..
        } => (user, &challenge[..], &digest[..]),
        _ => return None,
    };
    let method = match mechanism {
        Mechanism::Login => 1,
        Mechanism::Plain => 2,
        Mechanism::CramMd5 => 3,
        Mechanism::ScramSha256 => return None,
    };
    let fields = [&user[..], second, third];
    let is_clean = fields.iter().all(|field| !field.contains(&0));
    let bytes = [&fields.join(&0)[..], &[0, method, 0]].concat();
    (is_clean && bytes.len() <= QUESTION_BYTES_MAX).then_some((user, bytes))
}

fn verdict(user: &[u8], status: ExitStatus, printed: &[u8]) -> Reply {
    let account = |may_relay| match std::str::from_utf8(user) {
        Ok(user) if !user.chars().any(char::is_control) => Reply::Login(Login::Granted(Account {
            address: user.to_owned(),
            maildir: String::new(),
            quota: String::new(),
            may_relay,
            server_signature: Vec::new(),
        })),
        _ => Reply::Login(Login::Refused),
    };
    match status.code() {
        Some(0) => account(true),
        Some(3) => account(false),
        Some(1 | 2) => Reply::Login(match said(printed) {
            Some(text) => Login::Forbidden(text),
            None => Login::Refused,
        }),
        Some(111) => Reply::Temporary("the checker cannot tell now".to_owned()),
        _ => Reply::Temporary(format!("the checker ended with {status}")),
    }
}

/// The text of a reply that the checker printed, without its code.
fn said(printed: &[u8]) -> Option<String> {
    let line = printed.split(|&b| b == b'\n').next()?;
    let line = text::log::printable(line.trim_ascii(), 200);
    let (code, text) = line.split_at_checked(3)?;
    let is_refusal = code.starts_with('5') && code.bytes().all(|b| b.is_ascii_digit());
    let text = text.trim_start_matches([' ', '-']).to_owned();
    (is_refusal && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_needs_no_program_starts_none() {
        let parse = |text| Checkers::parse(words(text));
        for ours in [
            "",
            "vchkpass",
            "/x/bin/vchkpass /bin/false",
            "vchkpass /no/such/systpass false",
        ] {
            let checkers = parse(ours);
            assert!(checkers.built_in && checkers.program.is_empty(), "{ours}");
        }
        let classic = parse("checkpassword true");
        assert!(!classic.built_in);
        assert_eq!(classic.program, ["checkpassword", "true"]);
        let both = parse("vchkpass checkpassword true");
        assert!(both.built_in);
        assert_eq!(both.program, ["checkpassword", "true"]);
        // Who wants nobody in gets nobody in.
        assert_eq!(parse("false").program, ["false"]);
    }

    // Acceptance 35.
    #[test]
    fn descriptor_3_has_the_bytes_of_the_interface() {
        let password = Request::Password {
            service: wire::lookup::Service::Smtp,
            user: b"user@example.com".to_vec(),
            password: b"pass".to_vec(),
            remote_ip: String::new(),
        };
        let bytes = |mechanism| question(mechanism, &password).unwrap().1;
        assert_eq!(bytes(Mechanism::Plain), b"user@example.com\0pass\0\0\x02\0");
        assert_eq!(bytes(Mechanism::Login), b"user@example.com\0pass\0\0\x01\0");
        let long = Request::Password {
            service: wire::lookup::Service::Smtp,
            user: b"u".to_vec(),
            password: vec![b'x'; QUESTION_BYTES_MAX],
            remote_ip: String::new(),
        };
        assert_eq!(question(Mechanism::Plain, &long), None);
    }

    #[test]
    fn what_a_checker_prints_is_a_refusal_or_nothing() {
        assert_eq!(
            said(b"553-Sorry, no SMTP\x1b (#5.7.1)\r\nx").as_deref(),
            Some("Sorry, no SMTP? (#5.7.1)")
        );
        assert_eq!(said(b"235 welcome"), None);
        assert_eq!(said(b""), None);
    }
}
