//! Delivery lines of aliases and of `.qmail` in a virtual user's home
//! (virtual-domains.md §7.4 and §7.9).

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use super::{Job, home, io_trouble};
use crate::forward::{self, Forward};
use crate::outcome::{Outcome, STOP, Step};
use crate::program::{self, Ending, exit_code_of_program};
use crate::users::User;

/// Largest `.qmail` of a virtual user.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Programs that need to know the lines that are normally left out.
const NEED_LINES: &[&[u8]] = &[
    b"autoresponder",
    b"condredirect",
    b"condtomaildir",
    b"dot-forward",
    b"fastforward",
    b"filterto",
    b"forward",
    b"maildirdeliver",
    b"preline",
    b"qnotify",
    b"qsmhook",
    b"replier",
    b"rrforward",
    b"serialcmd",
];

/// The lines of the user's own `.qmail`; `None` when there is no such file.
/// A line that is the user's own address is left out, for it would loop.
pub(super) fn of_home(user: &User) -> Step<Option<Vec<String>>> {
    if !home::is_clean(&user.dir) {
        return Ok(None);
    }
    let opened = std::fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW)
        .open(user.dir.join(".qmail"));
    let trouble = |error| io_trouble("open .qmail", &error);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(trouble)?,
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(trouble)?;
    let own = user.address();
    let lines = text.lines().map(str::trim_end).filter(|line| {
        let address = line.strip_prefix('&').unwrap_or(line);
        !address.eq_ignore_ascii_case(&own)
    });
    // A path below the home is as good as an absolute one.
    let absolute = |line: &str| match line.strip_prefix("./") {
        Some(path) => format!("{}/{path}", user.dir.display()),
        None => line.to_owned(),
    };
    Ok(Some(lines.map(absolute).collect()))
}

impl Job<'_> {
    /// Carries out each line; forwards go out together at the end, so that a
    /// line that fails leaves none of them behind.
    pub(super) fn deliver_lines(&self, lines: &[String], user: Option<&User>) -> Step<Outcome> {
        let mut output = Vec::new();
        let mut forwards: Vec<Vec<u8>> = Vec::new();
        for line in lines {
            let outcome = match line.trim_end().as_bytes() {
                [] | [b'#', ..] => continue,
                [b'/', ..] => self.store_at(line.trim_end(), user),
                [b'|', command @ ..] => self.run_line(command),
                [b'&', address @ ..] | address => self.refuse_loop(address).map(|()| {
                    forwards.push(address.to_vec());
                    Outcome::success()
                }),
            };
            match outcome {
                Ok(outcome) => {
                    output.extend_from_slice(&outcome.output);
                    if outcome.code == STOP {
                        break;
                    }
                }
                Err(outcome) => return Err(outcome.after(output)),
            }
        }
        if !forwards.is_empty() {
            match self.forward(&forwards) {
                Ok(outcome) => output.extend_from_slice(&outcome.output),
                Err(outcome) => return Err(outcome.after(output)),
            }
        }
        Ok(Outcome::success().after(output))
    }

    /// Forwards to one address.
    pub(super) fn deliver_address(&self, address: &[u8]) -> Step<Outcome> {
        let address = address.strip_prefix(b"&").unwrap_or(address);
        self.refuse_loop(address)?;
        self.forward(&[address.to_vec()])
    }

    fn store_at(&self, line: &str, user: Option<&User>) -> Step<Outcome> {
        let path = std::path::PathBuf::from(OsStr::from_bytes(line.as_bytes()));
        if !line.ends_with('/') || !home::is_clean(&path) {
            return Err(Outcome::permanent(format_args!(
                "{} is not a maildir. indimail (#5.3.5)",
                super::shown(line)
            )));
        }
        // The user's own mailbox counts against the user's own quota.
        let own = user.filter(|user| path == user.dir.join("Maildir"));
        match own {
            Some(user) => {
                let inbox = home::maildir(user, None)?;
                let plain = super::Options {
                    folder: None,
                    ..self.options.clone()
                };
                Job {
                    options: &plain,
                    ..*self
                }
                .store(&inbox, Some(user))
            }
            None => self.store(&path, None),
        }
    }

    /// A message that went to this address before, or came to it just now,
    /// would go in circles.
    fn refuse_loop(&self, address: &[u8]) -> Step {
        let same = |line: &[u8]| {
            // `Delivered-To` of a virtual user has the domain in front.
            let at = line.iter().rposition(|&b| b == b'@');
            let domain = at.map_or(&b""[..], |at| &line[at + 1..]);
            let prefix = [domain, b"-"].concat();
            let plain = line
                .get(..prefix.len())
                .filter(|start| start.eq_ignore_ascii_case(&prefix))
                .map(|_| &line[prefix.len()..]);
            line.eq_ignore_ascii_case(address)
                || plain.is_some_and(|plain| plain.eq_ignore_ascii_case(address))
        };
        let before = crate::header_values(self.message, b"Delivered-To")
            .map_err(|error| io_trouble("read message", &error))?;
        let now = self.facts.recipient();
        if same(&now) || before.iter().any(|line| same(line)) {
            return Err(Outcome::permanent(format_args!(
                "{} is looping. indimail (#5.4.6)",
                text::log::printable(address, 1000)
            )));
        }
        Ok(())
    }

    fn forward(&self, recipients: &[Vec<u8>]) -> Step<Outcome> {
        let clean = |address: &[u8]| !address.iter().any(|b| b.is_ascii_control());
        if !recipients.iter().all(|address| clean(address)) {
            return Err(Outcome::permanent("impossible address. indimail (#5.1.3)"));
        }
        let mut prefix = self.facts.delivered_to_line();
        for address in recipients {
            prefix.extend_from_slice(&[b"X-Forwarded-To: ", &address[..], b"\n"].concat());
        }
        let mut own = self.facts.recipient();
        own.retain(|b| !b.is_ascii_control());
        prefix.extend_from_slice(&[b"X-Forwarded-For: ", &own[..], b"\n"].concat());
        prefix.extend_from_slice(&self.generated_lines());
        let forward = Forward {
            prefix: &prefix,
            message: self.message,
            sender: &self.facts.sender,
            recipients,
            trace: self.trace,
            wishes: &self.facts.wishes,
        };
        match forward::send(self.site, forward) {
            Ok(qp) => Ok(Outcome::with(0, format_args!("qp {qp}"))),
            Err(refused) => {
                let text = format!("Unable to forward message: {}.", refused.text);
                Err(match refused.permanent {
                    true => Outcome::permanent(text),
                    false => Outcome::temporary(text),
                })
            }
        }
    }

    /// What forwards and programs get in front of the message.
    fn generated_lines(&self) -> Vec<u8> {
        let received = self.received(&format!(
            "(indimail {} invoked by uid {})",
            std::process::id(),
            os::account::real_uid()
        ));
        [
            self.facts.extra_lines(),
            self.x_filter(),
            received.into_bytes(),
        ]
        .concat()
    }

    pub(super) fn run_line(&self, command: &[u8]) -> Step<Outcome> {
        if command.contains(&0) {
            return Err(Outcome::permanent("impossible command. indimail (#5.3.5)"));
        }
        let message = crate::spool(&self.generated_lines(), self.message)
            .map_err(|error| io_trouble("copy message", &error))?;
        let environment = self.environment(needs_lines(command));
        let job = program::Job::of_line(command, self.facts.home.clone(), environment);
        let finished = self
            .site
            .programs
            .run(&job, vec![(0, message.into())])
            .map_err(|error| io_trouble("run a program", &error))?;
        let code = match finished.ending {
            Ending::Code(code) => exit_code_of_program(code),
            Ending::Crashed => run::TEMPORARY,
        };
        let outcome = Outcome {
            code,
            output: finished.output,
        };
        match code {
            0 | STOP => Ok(outcome),
            _ => Err(outcome),
        }
    }

    pub(super) fn environment(&self, lines: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let date = tai::mbox_date(os::clock::unix_seconds());
        let facts = self.facts.variables(&date).into_iter();
        let facts = facts.filter(|(name, _)| lines || !matches!(*name, "RPLINE" | "DTLINE"));
        let mut environment = self.site.clean.clone();
        environment.extend(facts.map(|(name, value)| (name.into(), value)));
        environment.push((
            wire::trace::VARIABLE.into(),
            self.trace.to_string().into_bytes(),
        ));
        environment
    }
}

/// Says whether the first word of a command is one of [`NEED_LINES`].
fn needs_lines(command: &[u8]) -> bool {
    let mut words = command.trim_ascii().split(|&b| b == b' ' || b == b'\t');
    let word = words.next().unwrap_or_default();
    let name = word.rsplit(|&b| b == b'/').next().unwrap_or_default();
    NEED_LINES.contains(&name)
}
