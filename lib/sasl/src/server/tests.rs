//! Each mechanism against our own client, and against clients that lie.

use super::*;
use crate::client;

const SEED: &[u8] = b"sixteen bytes ok";

fn account() -> Account {
    Account {
        address: "ann@example.org".into(),
        maildir: String::new(),
        quota: String::new(),
        may_relay: true,
        server_signature: Vec::new(),
    }
}

fn question(step: Step) -> Question {
    match step {
        Step::Ask(question) => question,
        other => panic!("expected a question, got {other:?}"),
    }
}

fn challenge(step: Step) -> Vec<u8> {
    match step {
        Step::Challenge(challenge) => challenge,
        other => panic!("expected a challenge, got {other:?}"),
    }
}

fn is_malformed(step: &Step) -> bool {
    matches!(step, Step::Refused(Refusal::Malformed))
}

#[test]
fn plain_asks_for_the_password_and_grants() {
    let first = client::plain(b"ann", b"secret");
    let (mut exchange, step) = Exchange::start(Mechanism::Plain, Some(&first), SEED);
    let expected = Question::Password {
        user: b"ann".to_vec(),
        password: b"secret".to_vec(),
    };
    assert_eq!(question(step), expected);
    let step = exchange.answer(Reply::Login(Login::Granted(account())));
    assert!(matches!(step, Step::Granted(_)));
}

#[test]
fn plain_without_all_parts_is_malformed() {
    for bad in [
        &b""[..],
        b"ann\0pw",
        b"\0\0pw",
        b"\0ann\0",
        b"bob\0ann\0pw",
        b"\0a\0b\0c",
    ] {
        let (_, step) = Exchange::start(Mechanism::Plain, Some(bad), SEED);
        assert!(is_malformed(&step), "{bad:?}");
    }
}

#[test]
fn login_asks_for_user_then_password() {
    let (mut exchange, step) = Exchange::start(Mechanism::Login, None, SEED);
    assert_eq!(challenge(step), b"Username:");
    assert_eq!(challenge(exchange.respond(b"ann")), b"Password:");
    assert_eq!(question(exchange.respond(b"pw")).user(), b"ann");
    let step = exchange.answer(Reply::Login(Login::Refused));
    assert!(matches!(step, Step::Refused(Refusal::Credentials)));
}

#[test]
fn cram_md5_binds_the_digest_to_our_challenge() {
    let (mut exchange, step) = Exchange::start(Mechanism::CramMd5, None, SEED);
    let sent = challenge(step);
    let response = client::CramMd5::new(b"ann", b"secret").respond(&sent);
    let Question::CramMd5 {
        user,
        challenge,
        digest,
    } = question(exchange.respond(&response))
    else {
        panic!("a CRAM-MD5 question");
    };
    assert_eq!((user, &challenge), (b"ann".to_vec(), &sent));
    assert!(cram::verify(b"secret", &challenge, &digest));
    let (_, step) = Exchange::start(Mechanism::CramMd5, Some(b"early"), SEED);
    assert!(is_malformed(&step));
}

/// Runs SCRAM with a client that knows `password` against stored `pencil`.
fn scram(password: &[u8]) -> (Step, client::ScramSha256, Exchange) {
    let keys = crate::scram::derive(b"pencil", b"salt", 4096);
    let mut client = client::ScramSha256::new(b"a,n=n", password, "nonce");
    let first = client.first();
    let (mut exchange, step) = Exchange::start(Mechanism::ScramSha256, Some(&first), SEED);
    assert_eq!(question(step).user(), b"a,n=n");
    let step = exchange.answer(Reply::ScramParameters {
        salt: b"salt".to_vec(),
        iterations: 4096,
    });
    let last = client.last(&challenge(step)).unwrap();
    let Question::ScramProof {
        auth_message,
        proof,
        ..
    } = question(exchange.respond(&last))
    else {
        panic!("a proof");
    };
    let login = match crate::scram::verify(&keys, &auth_message, &proof) {
        Some(signature) => Login::Granted(Account {
            server_signature: signature.to_vec(),
            ..account()
        }),
        None => Login::Refused,
    };
    (exchange.answer(Reply::Login(login)), client, exchange)
}

#[test]
fn scram_convinces_both_sides() {
    let (step, client, mut exchange) = scram(b"pencil");
    assert!(client.verify(&challenge(step)).is_ok());
    assert!(matches!(exchange.respond(b""), Step::Granted(_)));
}

#[test]
fn scram_refuses_a_wrong_password() {
    let (step, ..) = scram(b"pen");
    assert!(matches!(step, Step::Refused(Refusal::Credentials)));
}

#[test]
fn scram_refuses_channel_binding_and_foreign_nonces() {
    for bad in [
        &b"p=tls-unique,,n=ann,r=x"[..],
        b"n,a=bob,n=ann,r=x",
        b"n,,m=ext,n=ann,r=x",
        b"n,,n=a=2D,r=x",
        b"n,,n=ann,r=",
        b"n,,n=ann",
        b"",
    ] {
        let (_, step) = Exchange::start(Mechanism::ScramSha256, Some(bad), SEED);
        assert!(is_malformed(&step), "{bad:?}");
    }
    let (mut exchange, _) = Exchange::start(Mechanism::ScramSha256, Some(b"n,,n=ann,r=x"), SEED);
    exchange.answer(Reply::ScramParameters {
        salt: b"s".to_vec(),
        iterations: 4096,
    });
    let proof = "A".repeat(43);
    let step = exchange.respond(format!("c=biws,r=x,p={proof}=").as_bytes());
    assert!(is_malformed(&step));
}

#[test]
fn no_response_can_panic() {
    property::holds(|u| {
        let mechanism = *u.choose(&[
            Mechanism::Plain,
            Mechanism::Login,
            Mechanism::CramMd5,
            Mechanism::ScramSha256,
        ])?;
        let first = u.ratio(1, 2)?.then(|| property::bytes(u)).transpose()?;
        let (mut exchange, _) = Exchange::start(mechanism, first.as_deref(), SEED);
        for _ in 0..3 {
            let response = property::bytes(u)?;
            exchange.respond(&response);
        }
        exchange.answer(Reply::Login(Login::Refused));
        Ok(())
    });
}

#[test]
fn a_password_is_never_printed() {
    let first = client::plain(b"ann", b"secret");
    let (_, step) = Exchange::start(Mechanism::Plain, Some(&first), SEED);
    assert!(!format!("{step:?}").contains("secret"));
}
