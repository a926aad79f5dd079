//! sendmail: the command other programs expect to find
//! (queue-and-delivery.md §3.3).
//!
//! Exit codes are those of qmail-inject: 0, 100, 111. Those of sysexits would
//! not do: many programs take 75 for "queued, will be delivered later", while
//! here nothing is queued. With `-v`, which waits, they are used for what came
//! of a message that is queued.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use ::inject::Queued;
use run::story::Verdict;
use run::{Exit, Home, ProgramEnd, Settings, Tracer};
use wire::dsn::{Dsn, EnvelopeId, Notify, Return};
use wire::trace::TraceId;

use crate::inject::{self, Options, RecipientsFrom, Surroundings};

const EX_OK: u8 = 0;
/// With `-v`: it bounced.
const EX_UNAVAILABLE: u8 = 69;
/// With `-v`: it is in the queue still.
const EX_TEMPFAIL: u8 = 75;

const USAGE: &str = "\
usage: sendmail [-t] [-v] [-f sender] [-F name] [-bm|-bp|-bs] [recipient...]

Reads a message on standard input and queues it.
  -t         recipients of the header, too
  -f sender  envelope sender (-r is the same); '' for none
  -F name    full name in From
  -v         wait, and tell what happens to the message
  -bp        show the queue        -bs   speak SMTP on standard input
  -i -oi ... accepted and ignored: a line with a dot never ends a message
  -N when    report never, or a list of success, failure, delay
  -R what    a report repeats full or hdrs
  -V name    name of the envelope in reports
Exit codes: 0 done, 100 never, 111 not now; with -v also 69 bounced, 75 not
delivered yet.
";

/// Environment of a session on standard input: it may send anywhere.
const LOCAL_SESSION: [(&str, &str); 8] = [
    ("RELAYCLIENT", ""),
    ("DATABYTES", "0"),
    ("PROTO", "TCP"),
    ("TCPLOCALIP", "127.0.0.1"),
    ("TCPLOCALHOST", "localhost"),
    ("TCPREMOTEIP", "127.0.0.1"),
    ("TCPREMOTEHOST", "localhost"),
    ("TCPREMOTEINFO", "sendmail-bs"),
];

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Inject,
    ShowQueue,
    Session,
    NewAliases,
    Help,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Request {
    mode: Mode,
    header_recipients: bool,
    verbose: bool,
    sender: Option<Vec<u8>>,
    full_name: Option<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    /// What the sender wants to be told.
    dsn: Dsn,
}

/// The program.
pub fn main(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let request = Request::parse(arguments).map_err(|text| Exit::new(run::PERMANENT, text))?;
    // Where it was called must not matter; that there is a root is certain.
    let _ = std::env::set_current_dir("/");
    match request.mode {
        Mode::Help => {
            print!("{USAGE}");
            Ok(EX_OK.into())
        }
        Mode::ShowQueue => show_queue(),
        Mode::Session => session(),
        Mode::NewAliases => new_aliases(),
        Mode::Inject => deliver(&request),
    }
}

/// `mailq`: becomes qmail-qread.
pub fn show_queue() -> Result<ProgramEnd, Exit> {
    become_program(Command::new(Home::find().bin().join("qmail-qread")))
}

/// `newaliases`: aliases are not ours.
pub fn new_aliases() -> Result<ProgramEnd, Exit> {
    Err(Exit::new(
        run::PERMANENT,
        "aliases are in .qmail files below the alias directory; for /etc/aliases use the newaliases of fastforward",
    ))
}

fn session() -> Result<ProgramEnd, Exit> {
    // Whoever may run programs here may send anywhere; a socket is somebody
    // else, somewhere else.
    if nix::sys::socket::getpeername::<nix::sys::socket::SockaddrStorage>(raw_stdin())
        .is_ok_and(|peer| peer.as_sockaddr_in().is_some() || peer.as_sockaddr_in6().is_some())
    {
        return Err(Exit::new(
            run::PERMANENT,
            "-bs is for local users; standard input is a network connection. Run qmail-smtpd under a TCP server",
        ));
    }
    let mut command = Command::new(Home::find().bin().join("qmail-smtpd"));
    if std::env::var_os("PROTO").is_none() {
        command.envs(LOCAL_SESSION);
    }
    become_program(command)
}

fn raw_stdin() -> std::os::fd::RawFd {
    std::os::fd::AsRawFd::as_raw_fd(&std::io::stdin().as_fd())
}

fn become_program(mut command: Command) -> Result<ProgramEnd, Exit> {
    let program = command.get_program().to_string_lossy().into_owned();
    let error = command.exec();
    Err(Exit::new(
        run::TEMPORARY,
        format!("cannot start {program}: {error}"),
    ))
}

fn deliver(request: &Request) -> Result<ProgramEnd, Exit> {
    let mut surroundings = Surroundings::of_process().map_err(inject::Error::from)?;
    surroundings.settings = with_names(&surroundings.settings, request);
    let options = Options {
        recipients_from: if request.header_recipients {
            RecipientsFrom::Both
        } else {
            RecipientsFrom::Arguments
        },
        recipients: request.recipients.clone(),
        sender: request.sender.clone(),
        ..Options::default()
    };
    let trace = Tracer::id_of_process();
    let submitted = inject::inject("sendmail", &surroundings, &options, trace)?;
    if !request.verbose {
        return Ok(EX_OK.into());
    }
    println!("trace {trace}");
    Ok(tell(&surroundings.home, trace, submitted).into())
}

fn tell(home: &Home, trace: TraceId, queued: Option<Queued>) -> u8 {
    match crate::follow::follow(home, trace) {
        Ok(Some(Verdict::Delivered)) => EX_OK,
        Ok(Some(Verdict::Deferred)) => EX_TEMPFAIL,
        Ok(Some(Verdict::Failed)) => EX_UNAVAILABLE,
        Ok(Some(Verdict::Running) | None) => {
            println!("not over yet; see `indimail trace {trace}` later");
            EX_TEMPFAIL
        }
        // The message is safe; only its story is not for this user.
        Err(error) => {
            let place = queued.and_then(|queued| queued.place);
            let place = place.map_or(String::new(), |(queue, message)| {
                format!(" as {message} in {queue}")
            });
            println!(
                "the message is queued{place}, but {error}; somebody who may can say `indimail trace {trace}`"
            );
            EX_OK
        }
    }
}

/// `-f` names the person in a generated From, too; `-F` gives the name.
fn with_names(settings: &Settings, request: &Request) -> Settings {
    let mut changes: Vec<(&str, Option<&[u8]>)> = Vec::new();
    if let Some(sender) = request
        .sender
        .as_deref()
        .filter(|sender| !sender.is_empty())
    {
        let at = sender.iter().rposition(|&b| b == b'@');
        let (user, host) = sender.split_at(at.unwrap_or(sender.len()));
        for name in ["QMAILNAME", "MAILNAME", "NAME", "QMAILHOST", "MAILHOST"] {
            changes.push((name, None));
        }
        changes.push(("QMAILUSER", Some(user)));
        changes.push(("QMAILHOST", host.strip_prefix(b"@")));
    }
    let wishes = request.dsn.to_headers();
    if !request.dsn.is_empty() {
        changes.push((wire::dsn::VARIABLE, Some(&wishes)));
    }
    if let Some(name) = &request.full_name {
        changes.push(("MAILNAME", Some(name)));
    }
    settings.overlaid(changes)
}

impl Request {
    fn parse(arguments: &[Vec<u8>]) -> Result<Self, String> {
        let mut request = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.as_slice().first() {
            let Some(flags) = argument.strip_prefix(b"-").filter(|f| !f.is_empty()) else {
                break;
            };
            rest.next();
            if flags == b"-" {
                break;
            }
            if flags == b"-help" {
                request.mode = Mode::Help;
                return Ok(request);
            }
            request.flags(flags, &mut rest)?;
        }
        request.recipients = rest.cloned().collect();
        Ok(request)
    }

    fn flags(
        &mut self,
        flags: &[u8],
        rest: &mut std::slice::Iter<'_, Vec<u8>>,
    ) -> Result<(), String> {
        for (at, flag) in flags.iter().enumerate() {
            let attached = &flags[at + 1..];
            let mut argument = || match attached {
                [] => rest.next().cloned().ok_or_else(|| needs_argument(*flag)),
                attached => Ok(attached.to_vec()),
            };
            match flag {
                b't' => self.header_recipients = true,
                b'v' => self.verbose = true,
                b'i' | b'm' | b'n' | b'x' | b'U' | b's' => {}
                b'I' => self.mode = Mode::NewAliases,
                b'f' | b'r' => {
                    self.sender = Some(argument()?);
                    return Ok(());
                }
                b'F' => {
                    self.full_name = Some(argument()?);
                    return Ok(());
                }
                b'b' => {
                    self.mode = match attached {
                        b"m" | b"h" | b"H" => Mode::Inject,
                        b"p" => Mode::ShowQueue,
                        b"s" => Mode::Session,
                        b"i" => Mode::NewAliases,
                        other => {
                            let mode = String::from_utf8_lossy(other);
                            return Err(format!("unknown mode -b{mode}; see --help"));
                        }
                    };
                    return Ok(());
                }
                // What follows belongs to the flag itself.
                b'o' | b'e' | b'd' | b'E' | b'J' | b'q' | b'A' | b'M' => return Ok(()),
                b'N' => {
                    let value = argument()?;
                    let notify = Notify::parse(&value).ok_or_else(|| bad_value(*flag, &value))?;
                    self.dsn.notify = Some(notify);
                    return Ok(());
                }
                b'R' => {
                    let value = argument()?;
                    let ret = Return::parse(&value).ok_or_else(|| bad_value(*flag, &value))?;
                    self.dsn.ret = Some(ret);
                    return Ok(());
                }
                b'V' => {
                    let value = argument()?;
                    let id = EnvelopeId::of_text(&value).ok_or_else(|| bad_value(*flag, &value))?;
                    self.dsn.envelope_id = Some(id);
                    return Ok(());
                }
                b'B' | b'p' | b'h' | b'L' | b'O' | b'C' | b'X' => {
                    argument()?;
                    return Ok(());
                }
                other => {
                    let flag = text::log::printable(&[*other], 1);
                    return Err(format!("unknown flag -{flag}; see --help"));
                }
            }
        }
        Ok(())
    }
}

fn bad_value(flag: u8, value: &[u8]) -> String {
    let value = text::log::printable(value, 100);
    format!("-{} cannot be {value}; see --help", char::from(flag))
}

fn needs_argument(flag: u8) -> String {
    format!("-{} needs an argument; see --help", char::from(flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let words: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
        Request::parse(&words)
    }

    #[test]
    fn what_programs_say_to_sendmail_is_understood() {
        let request = parse("-oi -odb -oem -t -N never -f ann@b.c -FAnn bob carl").unwrap();
        assert!(request.header_recipients && request.mode == Mode::Inject);
        assert_eq!(request.sender.as_deref(), Some(&b"ann@b.c"[..]));
        assert_eq!(request.full_name.as_deref(), Some(&b"Ann"[..]));
        assert_eq!(request.recipients, [b"bob".to_vec(), b"carl".to_vec()]);
        assert_eq!(parse("-bs").unwrap().mode, Mode::Session);
        assert_eq!(parse("-bp").unwrap().mode, Mode::ShowQueue);
        assert!(parse("-tv -- -x").unwrap().verbose);
        assert_eq!(parse("-q30m").unwrap().mode, Mode::Inject);
        assert!(parse("-Z").is_err() && parse("-bd").is_err() && parse("-f").is_err());
    }

    #[test]
    fn what_the_sender_wants_to_be_told_goes_with_the_message() {
        let request = parse("-N success,delay -R hdrs -V a+b bob").unwrap();
        let settings = Settings::of_files(&Home::at("/nonexistent"));
        let named = with_names(&settings, &request);
        assert_eq!(
            named.variable(wire::dsn::VARIABLE),
            Some(&b"X-Indimail-Dsn: RET=HDRS ENVID=a+2Bb NOTIFY=SUCCESS,DELAY\n"[..])
        );
        let named = with_names(&settings, &parse("bob").unwrap());
        assert_eq!(named.variable(wire::dsn::VARIABLE), None);
        assert!(parse("-N always bob").is_err() && parse("-R body bob").is_err());
    }

    #[test]
    fn the_sender_shows_in_a_generated_from() {
        let settings = Settings::of_files(&Home::at("/nonexistent"));
        let settings = settings.overlaid([("NAME", Some(&b"Root"[..]))]);
        let named = with_names(&settings, &parse("-f ann@b.c -F Ann").unwrap());
        assert_eq!(named.variable("QMAILUSER"), Some(&b"ann"[..]));
        assert_eq!(named.variable("QMAILHOST"), Some(&b"b.c"[..]));
        assert_eq!(named.variable("NAME"), None);
        assert_eq!(named.variable("MAILNAME"), Some(&b"Ann"[..]));
    }
}
