//! The command line.

use listen::Options;
use run::{Exit, PERMANENT};

use crate::checkers::Checkers;

pub const USAGE: &str = "usage: qmail-smtpd --listen ADDR:PORT [OPTION]...
       qmail-smtpd [HOSTNAME CHECKER...]

Takes mail by SMTP. With --listen it serves many clients itself; without, one
client on descriptors 0 and 1, as a program under tcpserver.

  --listen ADDR:PORT  where to listen; may be repeated. 0.0.0.0:25 is every
                      IPv4 address of the host, [::]:25 every IPv6 address
  --tls MODE          implicit: TLS from the first byte; starttls (default):
                      offered; none
  --submission        for users: authentication required, missing Date and
                      Message-ID added
  --auth              offer AUTH although this is no submission port
  --user USER         whom to become after binding; default qmaild
  --rules FILE        connection rules; default etc/tcp.smtp.cdb
  --sessions N        most sessions at once; default control/concurrencyincoming
  --explain           say what would be done with a message, and why, instead;
                      what `indimail explain smtp` runs

Reads the variables and files of qmail-smtpd(8) in the installation's control
directory; changes are seen by the next connection. HOSTNAME and CHECKER switch
AUTH on. CHECKER is a program that reads name and password from descriptor 3, its
arguments the next ones of the chain; vchkpass stands for inlookup, who is asked
without CHECKER, too. A chain with other programs than false has no sandbox.
Exit codes: 0 after TERM and after QUIT, 1 a session on descriptors 0 and 1 that
ended otherwise, 100 wrong use, 111 it cannot start or go on.";

/// What the command line says.
#[derive(Debug)]
pub struct Arguments {
    pub network: Options,
    pub submission: bool,
    pub auth: bool,
    pub rules: Option<String>,
    pub sessions: Option<usize>,
    /// A question about a message is on descriptor 0.
    pub explain: bool,
    /// Who checks passwords.
    pub checkers: Checkers,
}

/// Reads the words after the program's name; `None` asks for help.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, Exit> {
    let mut arguments = Arguments {
        network: Options::new("qmaild"),
        submission: false,
        auth: false,
        rules: None,
        sessions: None,
        explain: false,
        checkers: Checkers::parse(Vec::new()),
    };
    while let Some(word) = words.next() {
        let mut value = || {
            let text = format!("{word} needs a value; try --help");
            words.next().ok_or_else(|| Exit::new(PERMANENT, text))
        };
        if arguments.network.take(&word, &mut value)? {
            continue;
        }
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--submission" => arguments.submission = true,
            "--auth" => arguments.auth = true,
            "--explain" => arguments.explain = true,
            "--rules" => arguments.rules = Some(value()?),
            "--sessions" => {
                let number = value()?.parse().ok().filter(|n| 0 < *n);
                let text = "--sessions needs a number above 0";
                arguments.sessions = Some(number.ok_or_else(|| Exit::new(PERMANENT, text))?);
            }
            option if option.starts_with('-') => {
                let text = format!("unknown option {option}; try --help");
                return Err(Exit::new(PERMANENT, text));
            }
            // HOSTNAME CHECKER...: AUTH is wanted when there is a checker.
            _hostname => {
                let checkers: Vec<String> = words.collect();
                arguments.auth |= !checkers.is_empty();
                arguments.checkers = Checkers::parse(checkers);
                break;
            }
        }
    }
    Ok(Some(arguments))
}
