//! rblsmtpd: asks lists of bad addresses in the DNS, then runs an SMTP server
//! or is one that takes nothing (smtp-receiving.md §1.8).

mod refusal;

use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use dns::{Domain, Listing};
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
        let name = format!("{}.{base}", dns::reversed(address));
        let name = Domain::parse(&name)
            .map_err(|error| Exit::new(PERMANENT, format!("{base} is no list: {error}")))?;
        let resolver = names::resolver()?;
        let by = match lets_in || text.is_some() {
            true => Listing::Address,
            false => Listing::Text,
        };
        let asked = resolver.listed(&name, by);
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
