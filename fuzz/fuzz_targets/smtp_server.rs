//! An SMTP client says anything; the server answers and never panics.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use policy::Hosts;
use policy::content::Content;
use sasl::Mechanism;
use sasl::server::Question;
use smtp::server::{
    Answer, Batv, Config, Held, Mailbox, Moment, Outside, Peer, Session, SpfPolicy, Step, Tls,
};
use wire::lookup::{Account, Login, Reply};
use wire::verify::{self, Existence, Grey, Spf, SpfResult, Verdict};

const NOW: Moment = Moment {
    unix_seconds: 1_700_000_000,
    random: [7; 16],
};

fn config() -> Arc<Config> {
    Arc::new(Config {
        host: "mx.test".into(),
        greeting: vec![b"mx.test".to_vec()],
        hops_max: 100,
        message_bytes_max: 4096,
        rcpthosts: Hosts::new(vec![b"local.test".to_vec()], None),
        plaintext_auth: true,
        complete_headers: true,
        content: Content::new(&[b"ab".to_vec()], &[b"c.d".to_vec()])
            .ok()
            .map(Arc::new),
        batv: Some(Batv {
            keys: vec![b"key".to_vec()],
            days_max: 7,
            ..Batv::default()
        }),
        outside: Outside {
            sender_exists: true,
            hello_exists: true,
            spf: SpfPolicy {
                level: 1,
                ..SpfPolicy::default()
            },
            greylist: "127.0.0.1:1999".parse().ok(),
            examines: true,
            ..Outside::default()
        },
        ..Config::default()
    })
}

/// The verifier is content with everything, and away now and then.
fn verified(question: &verify::Request) -> verify::Reply {
    match question {
        verify::Request::Domain(name) if name.len() % 7 == 0 => {
            verify::Reply::Temporary("away".into())
        }
        verify::Request::Domain(_) => verify::Reply::Domain(Existence::Exists),
        verify::Request::Sender(_) => verify::Reply::Sender(Spf {
            result: SpfResult::Pass,
            domain: "b.test".into(),
            explanation: None,
        }),
        verify::Request::Greylist(_) => verify::Reply::Greylist(Grey::Accept),
        _ => verify::Reply::Message(Verdict::default()),
    }
}

fn account() -> Account {
    Account {
        address: "ann@local.test".to_owned(),
        maildir: "/mail/ann".to_owned(),
        quota: String::new(),
        may_relay: true,
        server_signature: Vec::new(),
    }
}

fn refused() -> Answer {
    Answer::Refused {
        code: 88,
        text: "Dno thanks".to_owned(),
    }
}

fuzz_target!(|input: &[u8]| {
    let peer = Peer {
        ip: "192.0.2.1".into(),
        starttls: true,
        mechanisms: vec![
            Mechanism::Plain,
            Mechanism::Login,
            Mechanism::CramMd5,
            Mechanism::ScramSha256,
        ],
        ..Peer::default()
    };
    let mut session = Session::new(config(), peer, None);
    let mut rest = input;
    // Each byte of the end answers a question, too.
    let mut answers = input.iter().rev().copied().cycle();
    let mut answer = || answers.next().unwrap_or(0);
    loop {
        match session.step(&NOW) {
            Step::Wait => {
                // The first byte of each piece says how long it is.
                let Some((&length, tail)) = rest.split_first() else {
                    break;
                };
                let length = tail.len().min(usize::from(length)).min(session.room());
                session.receive(&tail[..length]);
                rest = &tail[length..];
            }
            Step::AskMailbox(_) => {
                let mailbox = match answer() % 8 {
                    0 => Mailbox::Absent,
                    1 => Mailbox::Inactive,
                    2 => Mailbox::OverQuota,
                    3 => Mailbox::Temporary("x".to_owned()),
                    _ => Mailbox::Fine,
                };
                session.answer(Answer::Mailbox(mailbox), &NOW);
            }
            Step::AskLogin(Question::ScramParameters { .. }) => {
                let reply = Reply::ScramParameters {
                    salt: b"salt".to_vec(),
                    iterations: 4096,
                };
                session.answer(Answer::Login(Box::new(reply)), &NOW);
            }
            Step::AskLogin(_) => {
                let login = match answer() % 3 {
                    0 => Login::Refused,
                    1 => Login::Forbidden("x".to_owned()),
                    _ => Login::Granted(account()),
                };
                session.answer(Answer::Login(Box::new(Reply::Login(login))), &NOW);
            }
            Step::AskRelay(_) => {
                let reply = match answer() % 4 {
                    0 => Err("x".to_owned()),
                    number => Ok(number == 1),
                };
                session.answer(Answer::Relay(reply), &NOW);
            }
            Step::AskHeld(_) => session.answer(Answer::Held(Held::Nothing), &NOW),
            Step::AskPolicy(_) => session.answer(Answer::Policy(Some(config())), &NOW),
            Step::AskVerifier(question) => {
                let reply = Box::new(verified(&question));
                session.answer(Answer::Verified(reply), &NOW);
            }
            Step::Begin { .. } if answer() % 8 == 0 => session.answer(refused(), &NOW),
            Step::Begin { .. } => session.answer(Answer::Begun, &NOW),
            Step::Commit { .. } if answer() % 8 == 0 => session.answer(refused(), &NOW),
            Step::Commit { .. } => session.answer(Answer::Queued { qp: 1 }, &NOW),
            Step::StartTls => session.tls_started(Tls {
                version: "TLSv1.3".into(),
                cipher: "X".into(),
            }),
            Step::Close => break,
            _ => {}
        }
    }
});
