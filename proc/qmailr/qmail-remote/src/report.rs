//! What a server said, as qmail-rspawn reads it (queue-and-delivery.md §7.1,
//! §7.6).

use std::net::IpAddr;
use std::path::Path;

use smtp::client::{End, Mechanism, Outcome, Reply, Stage};

use crate::job::Job;

/// The report of one session.
pub fn of_outcome(
    job: &Job,
    peer: IpAddr,
    authorities: Option<&Path>,
    outcome: &Outcome,
) -> Vec<u8> {
    let mut report = Vec::new();
    for ((recipient, _), reply) in job.recipients.iter().zip(&outcome.recipients) {
        // The guide's log lines of a success hold the message's report alone,
        // so an accepted recipient has no text.
        let text = match reply.code {
            200..=299 => b"r".to_vec(),
            code => {
                let letter = if 500 <= code { 'h' } else { 's' };
                let who = format!("{letter}From: <{}> RCPT: <{recipient}>", job.sender);
                with_reply(&format!("{who} {peer} does not like recipient"), reply)
            }
        };
        record(&mut report, &text);
    }
    let end = match &outcome.end {
        End::Accepted(reply) if outcome.reports && job.wants_success() => with_reply(
            &format!("K{peer} {}", wire::spawn::ACCEPTED_WITH_REPORTS),
            reply,
        ),
        end => of_end(peer, authorities, end),
    };
    record(&mut report, &end);
    report
}

/// The report of the message, with its letter.
fn of_end(peer: IpAddr, authorities: Option<&Path>, end: &End) -> Vec<u8> {
    let file = authorities.map_or_else(String::new, |path| path.display().to_string());
    let plain = |text: String| (text + "\n").into_bytes();
    match end {
        End::Accepted(reply) => with_reply(&format!("K{peer} accepted message"), reply),
        End::NoRecipient => plain(format!("DGiving up on {peer}.")),
        End::Rejected(stage, reply) => of_rejection(peer, &file, *stage, reply),
        End::NotRequiringTls => plain(format!(
            "DConnected to {peer} but it does not support REQUIRETLS, which this message needs. (#5.7.30)"
        )),
        // With no file it is the message that wants it.
        End::NotSecured if file.is_empty() => plain(format!(
            "DConnected to {peer} but it does not offer TLS, which this message needs. (#5.7.30)"
        )),
        End::NotSecured => plain(format!("ZNo TLS achieved while {file} exists. (#4.7.4)")),
        End::Injected => plain(format!(
            "ZConnected to {peer} but something was sent in clear after STARTTLS was accepted. (#4.7.5)"
        )),
        End::NoMechanism => plain(format!(
            "ZConnected to {peer} but no supported AUTH method was found. (#4.7.4)"
        )),
        End::PasswordInClear => plain(format!(
            "ZConnected to {peer} but it wants the password without TLS. (#4.7.11)"
        )),
        End::BadChallenge(mechanism) => plain(format!(
            "ZConnected to {peer} but unable to understand the challenge (AUTH {mechanism}). (#4.7.0)"
        )),
        End::NoUnicode => plain(format!(
            "DConnected to {peer} but server does not support unicode in email addresses. (#5.6.7)"
        )),
        End::Confused(_, error) => plain(format!("ZConnected to {peer} but {error}. (#4.5.0)")),
        End::Died(Stage::Final) => plain(format!(
            "ZConnected to {peer} but connection died. Possible duplicate! (#4.4.2)"
        )),
        End::Died(_) => plain(format!(
            "ZConnected to {peer} but connection died. (#4.4.2)"
        )),
    }
}

fn of_rejection(peer: IpAddr, file: &str, stage: Stage, reply: &Reply) -> Vec<u8> {
    let text = match stage {
        Stage::Greeting => format!("Connected to {peer} but greeting failed"),
        Stage::Hello => format!("Connected to {peer} but my name was rejected"),
        Stage::StartTls => format!("STARTTLS rejected while {file} exists"),
        Stage::Auth(mechanism, round) => {
            let what = match (mechanism, round) {
                (Mechanism::Login, 1) => "username".to_owned(),
                (Mechanism::Login, 2) => "password".to_owned(),
                _ => format!("AUTH {mechanism}"),
            };
            format!("Connected to {peer} but authentication was rejected ({what})")
        }
        Stage::Sender => format!("Connected to {peer} but sender was rejected"),
        Stage::Recipient => format!("{peer} does not like recipient"),
        Stage::Data => format!("{peer} failed on DATA command"),
        Stage::Text | Stage::Final => format!("{peer} failed after I sent the message"),
    };
    // Credentials and certificates are our own affair: mail must not bounce
    // because they are wrong for a while.
    let ours = matches!(stage, Stage::StartTls | Stage::Auth(..));
    let letter = if reply.is_permanent() && !ours {
        'D'
    } else {
        'Z'
    };
    with_reply(&format!("{letter}{text}"), reply)
}

/// The text, and what the server said.
pub fn with_reply(text: &str, reply: &Reply) -> Vec<u8> {
    let mut out = format!("{text}.\nRemote host said: ").into_bytes();
    out.extend_from_slice(&reply.text);
    out.push(b'\n');
    out
}

fn record(report: &mut Vec<u8>, text: &[u8]) {
    report.extend(text.iter().map(|&b| if b == 0 { b'?' } else { b }));
    report.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply {
            code: text[..3].parse().unwrap(),
            text: text.as_bytes().to_vec(),
        }
    }

    fn report(recipients: &[&str], end: End) -> String {
        let words = [
            "b.example",
            "x@a.example",
            "",
            "1",
            "ann@b.example",
            "bob@b.example",
        ];
        let job = Job::parse(&words.map(|w| w.as_bytes().to_vec())).unwrap();
        let outcome = Outcome {
            recipients: recipients.iter().map(|text| reply(text)).collect(),
            end,
            secured: false,
            reports: true,
        };
        let peer = "192.0.2.1".parse().unwrap();
        let report = of_outcome(&job, peer, None, &outcome);
        String::from_utf8(report).unwrap().replace('\0', "|")
    }

    #[test]
    fn each_recipient_and_the_message_have_a_record() {
        assert_eq!(
            report(&["250 ok", "550 no"], End::Accepted(reply("250 queued"))),
            "r|\
             hFrom: <x@a.example> RCPT: <bob@b.example> 192.0.2.1 does not like recipient.\n\
             Remote host said: 550 no\n|\
             K192.0.2.1 accepted message.\nRemote host said: 250 queued\n|"
        );
        assert!(report(&["550 no", "451 no"], End::NoRecipient).ends_with(
            "|sFrom: <x@a.example> RCPT: <bob@b.example> 192.0.2.1 does not like recipient.\n\
             Remote host said: 451 no\n|DGiving up on 192.0.2.1.\n|"
        ));
    }

    #[test]
    fn a_server_that_will_tell_of_success_is_named_to_who_asked() {
        let words = ["b.example", "x@a.example", "", "1", "ann@b.example"];
        let words = words.map(|w| w.as_bytes().to_vec());
        let peer = "192.0.2.1".parse().unwrap();
        let said = |notify: &str, reports| {
            let wish = format!("ann@b.example NOTIFY={notify}");
            let job = Job::parse(&words)
                .unwrap()
                .with_wishes(b"", wish.as_bytes());
            let outcome = Outcome {
                recipients: vec![reply("250 ok")],
                end: End::Accepted(reply("250 queued")),
                secured: false,
                reports,
            };
            let report = of_outcome(&job, peer, None, &outcome);
            let report = String::from_utf8(report).unwrap();
            report[2..].split('\n').next().unwrap().to_owned()
        };
        let taken = "K192.0.2.1 accepted message.";
        assert_eq!(said("FAILURE", true), taken);
        assert_eq!(said("SUCCESS", false), taken);
        let will_report = "K192.0.2.1 accepted message and will report.";
        assert_eq!(said("SUCCESS,DELAY", true), will_report);
    }

    #[test]
    fn only_what_the_message_is_to_blame_for_bounces() {
        let rejected = |stage| report(&[], End::Rejected(stage, reply("550 no")));
        for stage in [
            Stage::Greeting,
            Stage::Hello,
            Stage::Sender,
            Stage::Data,
            Stage::Final,
        ] {
            assert!(rejected(stage).starts_with('D'), "{stage:?}");
        }
        for stage in [Stage::StartTls, Stage::Auth(Mechanism::Plain, 0)] {
            assert!(rejected(stage).starts_with('Z'), "{stage:?}");
        }
        let died = |stage| report(&[], End::Died(stage));
        assert!(died(Stage::Final).contains("Possible duplicate! "));
        assert!(!died(Stage::Text).contains("duplicate"));
    }
}
