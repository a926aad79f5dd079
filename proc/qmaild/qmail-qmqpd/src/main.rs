//! qmail-qmqpd: takes mail from hosts without a queue of their own (QMQP,
//! smtp-receiving.md §7).
//!
//! One message on descriptors 0 and 1, as under tcpserver, whose rules are all
//! that decides who may connect: it relays to anybody. Runs as `qmaild`; closes
//! the sandbox of qmail-smtpd, but with QMAILQUEUE set, because that program may
//! be set-uid. Nothing but the queue's own line is put on top of a message.
//!
//! Exit codes: 0 the client has its answer, 100 it does not speak QMQP, 111
//! trouble.
//!
//! Differs from the original: messages that loop are refused.

use std::process::ExitCode;
use std::time::Duration;

use qmtp::qmqp::{Session, Step};
use qmtp::{Fault, Report};
use reception::{Arrival, Caller, Ends, Limits, told};
use run::{Exit, Home, PERMANENT, Settings, TEMPORARY, sandboxes};

const PROGRAM: &str = "qmail-qmqpd";
const USAGE: &str = "usage: qmail-qmqpd

Takes one message over QMQP on descriptors 0 and 1, for any recipient. Start it
under tcpserver (port 628) with rules that deny all but your own hosts.
Variables: TCPREMOTEIP, QMAILQUEUE, DATABYTES, MAXHOPS.
Exit codes: 0 the client has its answer, 100 it does not speak QMQP, 111 trouble.";
/// Longest life.
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
    os::signal::set_alarm(SECONDS_MAX);
    os::signal::ignore_pipe();
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let limits = Limits::of(&settings).map_err(|error| trouble(run::chain(&error)))?;
    let caller = Caller::of(&settings);
    let patience = Duration::from_secs(SECONDS_MAX.into());
    let mut ends = Ends::take(patience).ok_or_else(|| trouble("descriptor 0 or 1 is closed"))?;
    sandboxes::close_for_queue(sandboxes::smtpd(&home), PROGRAM, &settings);
    let mut session = Session::default();
    let mut arrival = None;
    loop {
        match session.step().map_err(fault)? {
            Step::Wait => {
                let bytes = ends.read().map_err(|error| trouble(error.to_string()))?;
                if bytes.is_empty() {
                    return Err(Exit::new(PERMANENT, "the client left early"));
                }
                session.receive(&bytes);
            }
            Step::Begin => {
                let begun = Arrival::begin(PROGRAM, &home, &settings, &caller, limits);
                arrival = Some(begun);
            }
            Step::Append(bytes) => {
                if let Some(arrival) = &mut arrival {
                    arrival.append(&bytes);
                }
            }
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
            Step::Close => return Ok(()),
        }
    }
}

fn fault(fault: Fault) -> Exit {
    match fault {
        Fault::Malformed => Exit::new(PERMANENT, "the client does not speak QMQP"),
        Fault::TooMuch => trouble("the client sends more than anybody takes"),
    }
}

fn trouble(text: impl Into<String>) -> Exit {
    Exit::new(TEMPORARY, text)
}
