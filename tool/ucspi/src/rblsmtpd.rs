//! rblsmtpd: asks lists of bad addresses in the DNS, then runs an SMTP server
//! or is one that takes nothing (smtp-receiving.md §1.8).

mod refusal;

use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use dns::{Domain, Resolver};
use run::{Exit, PERMANENT, TEMPORARY};

use crate::letters::{self, Letters};
use crate::names;

const USAGE: &str = "usage: rblsmtpd [OPTION...] PROGRAM [ARG...]

Runs PROGRAM, unless the client in TCPREMOTEIP is on a list; then it says so to
the client, who can do nothing but leave. The variable RBLSMTPD decides without
any list: empty lets the client in, -TEXT refuses it for good, TEXT for now.

  -r BASE       a list: the TXT records of the reversed address below BASE
  -r BASE:TEXT  a list: its addresses; TEXT is said, %IP% is the client's
  -a BASE       a list of clients that are let in
  -b, -B        refuse with 553, or with 451 (default)
  -c, -C        refuse, or let in (default), when a list cannot be asked
  -t N          a refused client may stay N seconds, default 60; 0 says it once
  -w N, -W      wait N seconds, or $GREETDELAY, before PROGRAM

Options are obeyed in order: -b and -c mean the lists after them.
Exit codes: 0 after a refused client, 100 wrong use, 111 trouble; else
PROGRAM's.";
/// How long one list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a refused client may stay.
const STAY: u64 = 60;

/// What is known so far.
#[derive(Debug, Eq, PartialEq)]
enum Decision {
    Open,
    LetIn,
    Refused { permanent: bool, text: String },
}

/// Decides; becomes PROGRAM or refuses.
pub fn run(words: &[String]) -> Result<(), Exit> {
    if run::usage::help(USAGE, words) {
        return Ok(());
    }
    run::usage::no_options("rblsmtpd", words)?;
    let ip = std::env::var("TCPREMOTEIP").unwrap_or_else(|_| "unknown".to_owned());
    let runtime = names::runtime()?;
    let mut state = State {
        decision: of_variable(&ip),
        permanent: false,
        fails_closed: false,
        had_failure: false,
    };
    let mut letters = Letters::new(words);
    let mut stay = STAY;
    let mut wait = 0;
    let mut has_list = false;
    while let Some(letter) = letters.next() {
        match letter {
            'r' | 'a' => {
                has_list = true;
                let list = letters.value(letter)?;
                // Whoever is decided about is not asked about.
                if state.decision == Decision::Open {
                    runtime.block_on(state.ask(&ip, letter == 'a', list))?;
                }
            }
            'b' => state.permanent = true,
            'B' => state.permanent = false,
            'c' => state.fails_closed = true,
            'C' => state.fails_closed = false,
            't' => stay = letters.number('t')?,
            'w' => wait = letters.number('w')?,
            'W' => {
                let delay = std::env::var("GREETDELAY").unwrap_or_default();
                wait = delay.trim_start_matches('-').parse().unwrap_or(0);
            }
            other => return Err(letters::unknown("rblsmtpd", other)),
        }
    }
    let program = letters.others();
    if program.is_empty() || !has_list && state.decision == Decision::Open {
        return Err(run::usage::misused(USAGE));
    }
    drop(runtime);
    if let Decision::Refused { permanent, text } = state.decision {
        return refusal::serve(&ip, permanent, &text, stay);
    }
    std::thread::sleep(Duration::from_secs(wait));
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    let text = format!("unable to run {}: {error}", program[0]);
    Err(Exit::new(TEMPORARY, text))
}

/// RBLSMTPD, when it is set.
fn of_variable(ip: &str) -> Decision {
    let Some(text) = std::env::var_os("RBLSMTPD") else {
        return Decision::Open;
    };
    let text = text.to_string_lossy().replace("%IP%", ip);
    match (text.as_str(), text.strip_prefix('-')) {
        ("", _) => Decision::LetIn,
        (_, Some(text)) => Decision::Refused {
            permanent: true,
            text: text.to_owned(),
        },
        (_, None) => Decision::Refused {
            permanent: false,
            text,
        },
    }
}

struct State {
    decision: Decision,
    permanent: bool,
    fails_closed: bool,
    had_failure: bool,
}

impl State {
    async fn ask(&mut self, ip: &str, lets_in: bool, list: &str) -> Result<(), Exit> {
        let (base, text) = match list.split_once(':') {
            Some((base, text)) => (base, Some(text)),
            None => (list, None),
        };
        let Ok(address) = ip.parse::<IpAddr>() else {
            return Ok(());
        };
        let name = format!("{}.{base}", reversed(address));
        let name = Domain::parse(&name)
            .map_err(|error| Exit::new(PERMANENT, format!("{base} is no list: {error}")))?;
        let resolver = names::resolver()?;
        let asked = found(&resolver, &name, lets_in || text.is_some());
        let answer = match tokio::time::timeout(LIST_TIMEOUT, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(dns::Error::Temporary("it takes too long".to_owned())),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(_)) if lets_in => self.decision = Decision::LetIn,
            Ok(Some(said)) => {
                let text = text.map_or(said, |text| text.replace("%IP%", ip));
                self.refuse(self.permanent, text);
            }
            Err(_) => {
                self.had_failure = true;
                if self.fails_closed {
                    self.refuse(false, "temporary RBL lookup error".to_owned());
                } else if lets_in {
                    self.decision = Decision::LetIn;
                }
            }
        }
        Ok(())
    }

    /// After a list that could not be asked, nobody knows enough to refuse
    /// for good.
    fn refuse(&mut self, permanent: bool, text: String) {
        self.decision = Decision::Refused {
            permanent: permanent && !self.had_failure,
            text,
        };
    }
}

/// What a list says; `None` when the name is not on it.
async fn found(
    resolver: &Resolver,
    name: &Domain,
    by_address: bool,
) -> Result<Option<String>, dns::Error> {
    let answer = match by_address {
        true => resolver.ipv4(name).await.map(|_| Some(String::new())),
        false => resolver.txt(name).await.map(|texts| {
            let first = texts.into_iter().next().unwrap_or_default();
            Some(String::from_utf8_lossy(&first).into_owned())
        }),
    };
    match answer {
        Err(error) if !error.is_temporary() => Ok(None),
        answer => answer,
    }
}

/// `4.3.2.1`, or the nibbles of an IPv6 address, last first.
fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev();
            let nibbles = nibbles.flat_map(|byte| [byte & 15, byte >> 4]);
            let nibbles: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            nibbles.join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(reversed("1.2.3.4".parse().unwrap()), "4.3.2.1");
        let six = reversed("2001:db8::1".parse().unwrap());
        assert!(
            six.starts_with("1.0.0.") && six.ends_with("8.b.d.0.1.0.0.2"),
            "{six}"
        );
        assert_eq!(six.len(), 63);
    }
}
