//! qmail-qmtpd: takes mail over QMTP (smtp-receiving.md §7).
//!
//! Messages of one client on descriptors 0 and 1, as under tcpserver. Runs as
//! `qmaild`; closes the sandbox of qmail-smtpd, but with QMAILQUEUE set, because
//! that program may be set-uid.
//!
//! Exit codes: 0 the client left between two messages, 100 it does not speak
//! QMTP or rcpthosts is missing, 111 trouble.
//!
//! Differs from the original: badmailfrom, badrcptto, goodrcptto, CHECKRECIPIENT
//! and maxhops hold here, too.

mod rules;

use std::process::ExitCode;
use std::time::Duration;

use qmtp::qmtp::{Session, Step};
use qmtp::{Fault, Report};
use reception::{Arrival, Caller, Ends, Limits, told};
use run::{Exit, Home, PERMANENT, Settings, TEMPORARY, sandboxes};

use rules::Rules;

const PROGRAM: &str = "qmail-qmtpd";
const USAGE: &str = "usage: qmail-qmtpd

Takes messages over QMTP on descriptors 0 and 1, as under tcpserver (port 209),
for the domains in rcpthosts and morercpthosts.cdb, or with RELAYCLIENT set for
all. badmailfrom, badrcptto, goodrcptto, databytes, maxhops, timeoutsmtpd and
CHECKRECIPIENT are those of qmail-smtpd. Variables: TCPREMOTEIP, TCPREMOTEHOST,
TCPREMOTEINFO, RELAYCLIENT, QMAILQUEUE.
Exit codes: 0 the client left between two messages, 100 it does not speak QMTP
or rcpthosts is missing, 111 trouble.";
/// Longest time for one message.
const SECONDS_MAX: u32 = 3600;

fn main() -> ExitCode {
    run::process(PROGRAM, || -> Result<(), Exit> {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if run::usage::help(USAGE, &arguments) {
            return Ok(());
        }
        if !arguments.is_empty() {
            return Err(run::usage::misused(USAGE));
        }
        serve()
    })
}

fn serve() -> Result<(), Exit> {
    os::signal::ignore_pipe();
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let mut rules = Rules::read(&home, &settings)?;
    let limits = Limits::of(&settings).map_err(|error| trouble(run::chain(&error)))?;
    let caller = Caller::of(&settings);
    let silence_max = settings
        .integer(&settings::receiving::TIMEOUTSMTPD)
        .map_err(|error| trouble(run::chain(&error)))?;
    let patience = Duration::from_secs(silence_max.max(1).unsigned_abs());
    let mut ends = Ends::take(patience).ok_or_else(|| trouble("descriptor 0 or 1 is closed"))?;
    sandboxes::close_for_queue(sandboxes::smtpd(&home), PROGRAM, &settings);
    let mut session = Session::default();
    let mut arrival = None;
    loop {
        match session.step().map_err(fault)? {
            Step::Wait => {
                let bytes = ends.read().map_err(|error| trouble(error.to_string()))?;
                if bytes.is_empty() {
                    return match session.is_between_messages() {
                        true => Ok(()),
                        false => Err(Exit::new(PERMANENT, "the client left early")),
                    };
                }
                session.receive(&bytes);
            }
            Step::Begin => {
                os::signal::set_alarm(SECONDS_MAX);
                let mut begun = Arrival::begin(PROGRAM, &home, &settings, &caller, limits);
                let now = os::clock::unix_seconds();
                begun.field(|trace| caller.received(&rules.host, "QMTP", trace, now));
                arrival = Some(begun);
            }
            Step::Append(bytes) => {
                if let Some(arrival) = &mut arrival {
                    arrival.append(&bytes);
                }
            }
            Step::Sender(sender) => session.sender(rules.sender(&sender)),
            Step::Recipient(address) => session.recipient(rules.recipient(address)),
            Step::Commit { sender, recipients } => {
                if let Some(arrival) = arrival.take() {
                    session.answer(match arrival.commit(&sender, recipients) {
                        Ok(queued) => {
                            let now = os::clock::unix_seconds();
                            Report::Taken(format!("ok {now} qp {}", queued.qp))
                        }
                        Err(refused) if refused.permanent => Report::Never(told(&refused)),
                        Err(refused) => Report::Later(told(&refused)),
                    });
                }
            }
            Step::Abort => {
                if let Some(arrival) = arrival.take() {
                    arrival.abort();
                }
            }
            Step::Send(bytes) => ends
                .write(&bytes)
                .map_err(|error| trouble(error.to_string()))?,
        }
    }
}

fn fault(fault: Fault) -> Exit {
    match fault {
        Fault::Malformed => Exit::new(PERMANENT, "the client does not speak QMTP"),
        Fault::TooMuch => trouble("the client sends more than anybody takes"),
    }
}

fn trouble(text: impl Into<String>) -> Exit {
    Exit::new(TEMPORARY, text)
}
