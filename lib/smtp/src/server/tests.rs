//! Dialogues: text files beside this one, `C:` what the client says, `S:`
//! what the server must answer (`*` stands for anything), `Q:` what the queue
//! must have got, `!` what is different from the usual set-up.

use std::time::Duration;

use wire::trace::Kind;
use wire::verify;

use super::*;
use policy::{AccessList, AddressList, EnvRules, HostAccess, Hosts, Mode};

mod attacks;
mod dialogues;

/// The world around a session: who exists, what the queue says.
struct World {
    config: Config,
    peer: Peer,
    tls: Option<Tls>,
    queue_code: u8,
    queue_text: String,
    open: Option<Vec<u8>>,
    examined: Option<verify::Message>,
    wishes: Vec<u8>,
    queued: Vec<String>,
    bodies: Vec<String>,
    logs: Vec<String>,
    notes: Vec<Note>,
    output: Vec<u8>,
    /// The longest anything was kept waiting.
    paused: Duration,
    closed: bool,
    exchanges: u8,
}

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.split(',').map(|l| l.as_bytes().to_vec()).collect()
}

fn addresses(text: &str) -> AddressList {
    AddressList::new(lines(text), Vec::new(), None, Mode::Wildcard).unwrap()
}

fn world() -> World {
    World {
        config: Config {
            host: "mx.test".into(),
            greeting: vec![b"mx.test".to_vec()],
            software: "IndiMail 0".into(),
            local_ip_host: "local.test".into(),
            hops_max: 100,
            rcpthosts: Hosts::new(lines("local.test"), None),
            ..Config::default()
        },
        peer: Peer {
            ip: "192.0.2.1".into(),
            host: Some("client.test".into()),
            info: None,
            local_ip: "192.0.2.25".into(),
            starttls: true,
            mechanisms: vec![Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256],
            ..Peer::default()
        },
        tls: None,
        queue_code: 0,
        queue_text: String::new(),
        open: None,
        examined: None,
        wishes: Vec::new(),
        queued: Vec::new(),
        bodies: Vec::new(),
        logs: Vec::new(),
        notes: Vec::new(),
        output: Vec::new(),
        paused: Duration::ZERO,
        closed: false,
        exchanges: 0,
    }
}

impl World {
    /// Applies one `!` line of a dialogue.
    fn set(&mut self, line: &str) {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let config = &mut self.config;
        let bytes = value.as_bytes().to_vec();
        match name {
            "databytes" => config.message_bytes_max = value.parse().unwrap(),
            "maxrecipients" => config.recipients_max = value.parse().unwrap(),
            "hops" => config.hops_max = value.parse().unwrap(),
            "badmailfrom" => config.bad_senders = addresses(value),
            "badrcptto" => config.bad_recipients = addresses(value),
            "goodrcptto" => config.good_recipients = addresses(value),
            "blackholedsender" => config.blackholed_senders = addresses(value),
            "blackholedrcpt" => config.blackholed_recipients = addresses(value),
            "relaymailfrom" => config.relay_senders = addresses(value),
            "envrules" => {
                config.sender_rules = EnvRules::new(&lines(value), Mode::Wildcard).unwrap();
            }
            "hostaccess" => config.host_access = HostAccess::new(&lines(value)),
            "accesslist" => {
                config.access_list = AccessList::new(&lines(value), Mode::Wildcard).unwrap();
            }
            "badhelo" => config.bad_hellos = addresses(value),
            "relayclient" => self.peer.relay_suffix = Some(bytes),
            "greeting" => config.greeting = lines(value),
            "greetdelay" => config.greet_delay = Duration::from_secs(value.parse().unwrap()),
            "refusal" => self.peer.refusal = Some(value.to_owned()),
            "requireauth" => config.require_auth = true,
            "forcetls" => config.require_tls = true,
            "authall" => config.auth_for_all = true,
            "antispoofing" => config.antispoofing = true,
            "masquerade" => config.masquerade = Masquerade::Anyone,
            "submission" => config.complete_headers = true,
            "noauth" => self.peer.mechanisms.clear(),
            "cram" => self.peer.mechanisms.push(Mechanism::CramMd5),
            "fqdn" => config.hello_needs_dot = true,
            "tarpit" => {
                config.tarpit_count = value.parse().unwrap();
                config.tarpit_delay = Duration::from_secs(1);
            }
            "dnscheck" => {
                config.outside.sender_exists = true;
                config.outside.exempt = addresses("@exempt.test,spared@gone.test");
            }
            "badhelocheck" => {
                config.outside.hello_exists = true;
                config.hello_is_not_ours = true;
            }
            "spf" => config.outside.spf.level = value.parse().unwrap(),
            "greyip" => config.outside.greylist = Some(value.parse().unwrap()),
            "greyclosed" => config.outside.greylist_fails_closed = true,
            "examine" => config.outside.examines = true,
            "dmarc" => config.outside.dmarc_refuses = true,
            "signatures" => {
                let rules = policy::content::Content::new(&lines(value), &[]);
                config.content = Some(Arc::new(rules.unwrap()));
            }
            "batv" => {
                config.batv = Some(Batv {
                    keys: vec![b"secret".to_vec()],
                    days_max: 7,
                    free_hosts: addresses("@free.test"),
                    free_domains: addresses("@unsigned.test"),
                });
            }
            "srs" => {
                config.srs = Some(srs::Srs {
                    domain: b"fwd.test".to_vec(),
                    secrets: vec![b"secret".to_vec()],
                    days_max: 21,
                    hash_bytes: 4,
                    hash_bytes_min: 4,
                    separator: srs::Separator::Equals,
                    always: false,
                });
            }
            "checkrelay" => config.check_relay = true,
            "etrnhosts" => config.etrn_hosts = Hosts::new(lines(value), None),
            "atrnaccess" => {
                let (user, domains) = value.split_once(':').unwrap();
                config.fetchers.push((user.to_owned(), lines(domains)));
            }
            "rcpthosts" => config.rcpthosts = Hosts::new(lines(value), None),
            "odmr" => self.peer.commands = Commands::OnDemand,
            "port587" => self.peer.commands = Commands::Submission,
            "cugmail" => config.closed_group = true,
            "loopback" => self.peer.ip = "127.0.0.1".into(),
            "tls" => self.tls = Some(tls()),
            "queue" => {
                let (code, text) = value.split_once(' ').unwrap_or((value, ""));
                self.queue_code = code.parse().unwrap();
                self.queue_text = text.to_owned();
            }
            other => panic!("unknown setting {other}"),
        }
    }

    fn session(&mut self) -> Session {
        let config = Arc::new(std::mem::take(&mut self.config));
        Session::new(config, self.peer.clone(), self.tls.clone())
    }

    /// Feeds bytes in one piece and does everything the session wants.
    fn feed(&mut self, session: &mut Session, mut bytes: &[u8]) {
        loop {
            self.run(session);
            if bytes.is_empty() || self.closed {
                return;
            }
            let now = bytes.len().min(session.room());
            session.receive(&bytes[..now]);
            bytes = &bytes[now..];
        }
    }

    fn run(&mut self, session: &mut Session) {
        let now = Moment {
            unix_seconds: 1_700_000_000,
            random: [7; 16],
        };
        loop {
            match session.step(&now) {
                Step::Wait => return,
                Step::Send(bytes) => self.output.extend(bytes),
                Step::AskMailbox(address) => {
                    session.answer(Answer::Mailbox(mailbox(&address)), &now);
                }
                Step::AskRelay(sender) => {
                    let answer = match &sender[..] {
                        b"away@local.test" => Err("no inlookup".to_owned()),
                        sender => Ok(sender == b"roam@local.test"),
                    };
                    session.answer(Answer::Relay(answer), &now);
                }
                Step::AskHeld(domains) => {
                    let held = match domains.contains(&b"full.test".to_vec()) {
                        true => Held::Unreachable,
                        false => Held::Nothing,
                    };
                    session.answer(Answer::Held(held), &now);
                }
                Step::AskLogin(question) => {
                    session.answer(Answer::Login(Box::new(self.login(&question))), &now);
                }
                Step::AskPolicy(changes) => {
                    // The one variable the dialogues use.
                    let (_, value) = &changes[0];
                    let mut config = Config {
                        host: "mx.test".into(),
                        hops_max: 100,
                        rcpthosts: Hosts::new(lines("local.test"), None),
                        ..Config::default()
                    };
                    let digits = String::from_utf8(value.clone().unwrap()).unwrap();
                    config.message_bytes_max = digits.parse().unwrap();
                    session.answer(Answer::Policy(Some(Arc::new(config))), &now);
                }
                Step::Begin { header, wishes, .. } if self.queue_code != 56 => {
                    assert!(self.open.is_none(), "a message is open already");
                    self.wishes = wishes;
                    self.open = Some(header);
                    session.answer(Answer::Begun, &now);
                }
                Step::Begin { .. } => session.answer(self.refused(), &now),
                Step::Append(bytes) => self.open.as_mut().expect("an open message").extend(bytes),
                Step::AskVerifier(question) => {
                    let answer = Box::new(self.verified(*question));
                    session.answer(Answer::Verified(answer), &now);
                }
                Step::Examine(about) => self.examined = Some(*about),
                Step::Commit {
                    sender,
                    recipients,
                    extra_headers,
                } => {
                    let body = self.open.take().expect("an open message");
                    let body = [extra_headers, body].concat();
                    let answer = self.commit(&sender, &recipients, body);
                    session.answer(answer, &now);
                }
                Step::Abort => (self.open, self.examined) = (None, None),
                Step::StartTls => session.tls_started(tls()),
                Step::Pause(wait) | Step::Listen(wait) => self.paused += wait,
                Step::Log(line) => self.logs.push(line),
                Step::Event(note) => self.notes.push(note),
                Step::Close => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// A world where `gone.test` does not exist, and where local parts say
    /// what happens.
    fn verified(&mut self, question: verify::Request) -> verify::Reply {
        use verify::{Dmarc, Existence, Grey, Reply, Request, SpfResult};
        let spf = |question: &verify::Sender| verify::Spf {
            result: match question.sender.split('@').next() {
                Some("fail") => SpfResult::Fail,
                Some("soft") => SpfResult::SoftFail,
                Some("sick") => SpfResult::Error,
                Some("none") => SpfResult::None,
                _ => SpfResult::Pass,
            },
            domain: "far.test".into(),
            explanation: question
                .sender
                .starts_with("fail@why")
                .then(|| "because\r\n250 of \x1b this".into()),
        };
        match question {
            Request::Domain(name) => Reply::Domain(match name.as_str() {
                "gone.test" => Existence::Absent,
                "sick.test" => Existence::Unknown,
                _ => Existence::Exists,
            }),
            Request::Sender(question) => Reply::Sender(spf(&question)),
            Request::Greylist(question) => match &question.sender[..] {
                b"new@far.test" => Reply::Greylist(Grey::Defer),
                b"silent@far.test" => Reply::Greylist(Grey::Silent),
                _ => Reply::Greylist(Grey::Accept),
            },
            Request::End => {
                let about = self.examined.take().expect("a message is examined");
                let local = about.sender.sender.split('@').next();
                let dmarc = match local {
                    Some("forged") => Dmarc::Reject,
                    Some("unsure") => Dmarc::Unsure,
                    Some("nobody") => Dmarc::Nobody,
                    Some("outage") => return Reply::Temporary("no name server".into()),
                    _ => Dmarc::Pass,
                };
                Reply::Message(verify::Verdict {
                    results: b"Authentication-Results: mx.test; dmarc=x\n".to_vec(),
                    dmarc,
                    domain: "far.test".into(),
                })
            }
            other => panic!("nobody asks {other:?}"),
        }
    }

    fn refused(&self) -> Answer {
        Answer::Refused {
            code: self.queue_code,
            text: self.queue_text.clone(),
        }
    }

    fn commit(&mut self, sender: &[u8], recipients: &[Vec<u8>], body: Vec<u8>) -> Answer {
        if self.queue_code != 0 {
            return self.refused();
        }
        if !recipients.is_empty() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let to: Vec<String> = recipients.iter().map(|r| text(r)).collect();
            let mut line = format!("<{}> {}", text(sender), to.join(" "));
            for wish in text(&self.wishes).lines() {
                line += &format!(" / {}", wish.trim_start_matches("X-Indimail-Dsn"));
            }
            self.queued.push(line);
            self.bodies.push(text(&body));
        }
        Answer::Queued { qp: 42 }
    }

    /// ann's password is `secret`, and norelay's too.
    fn login(&mut self, question: &sasl::server::Question) -> lookup::Reply {
        use sasl::server::Question;
        let keys = sasl::scram::derive(b"secret", b"salt", 4096);
        let user = String::from_utf8_lossy(question.user()).into_owned();
        let mut signature = Vec::new();
        let right = match question {
            Question::Password { password, .. } => password == b"secret",
            Question::CramMd5 {
                challenge, digest, ..
            } => sasl::cram::verify(b"secret", challenge, digest),
            Question::ScramParameters { .. } => {
                return lookup::Reply::ScramParameters {
                    salt: b"salt".to_vec(),
                    iterations: 4096,
                };
            }
            Question::ScramProof {
                auth_message,
                proof,
                ..
            } => sasl::scram::verify(&keys, auth_message, proof)
                .inspect(|s| signature = s.to_vec())
                .is_some(),
        };
        self.exchanges += 1;
        match (right, user.as_str()) {
            (_, "away") => lookup::Reply::Temporary("no inlookup".into()),
            (true, "nosmtp") => lookup::Reply::Login(lookup::Login::Forbidden("no SMTP".into())),
            (true, "ann" | "norelay") => {
                lookup::Reply::Login(lookup::Login::Granted(lookup::Account {
                    address: format!("{user}@local.test"),
                    maildir: String::new(),
                    quota: String::new(),
                    may_relay: user == "ann",
                    server_signature: signature,
                }))
            }
            _ => lookup::Reply::Login(lookup::Login::Refused),
        }
    }
}

fn tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS13_AES_256_GCM_SHA384".into(),
    }
}

fn mailbox(address: &[u8]) -> Mailbox {
    match address.split(|&b| b == b'@').next() {
        Some(b"nobody") => Mailbox::Absent,
        Some(b"inactive") => Mailbox::Inactive,
        Some(b"full") => Mailbox::OverQuota,
        Some(b"unsure") => Mailbox::Temporary("no inlookup".into()),
        _ => Mailbox::Fine,
    }
}
