//! What would be done with a message, and why: the session that serves
//! clients is led through a dialogue, and each rule that speaks is told with
//! the place it stands. Nothing is queued, nobody waits, and the greylisting
//! server is not asked, because it would remember the question.

mod origin;

use std::io::Read;
use std::sync::Arc;

use os::account::Account;
use policy::tcprules::{Instruction, Rule as Matched};
use run::{Exit, PERMANENT, TEMPORARY};
use settings::{Setting, receiving};
use smtp::server::{Answer, Commands, Session, Step, Tls};
use wire::explain::{Explanation, Question, Rule, Step as Told, Verdict};
use wire::verify;

use crate::arguments::Arguments;
use crate::connection::{Connection, moment};
use crate::listener::{rule_in, variable};
use crate::queue::Queue;
use crate::service::{Caller, Service, peer, relay_grant};
use origin::Origins;

/// Longest question.
const QUESTION_BYTES_MAX: u64 = 1 << 20;

/// Becomes who serves clients.
pub fn become_server(arguments: &Arguments) -> Result<(), Exit> {
    if !os::account::is_root() {
        return Ok(());
    }
    let trouble = |error: os::account::AccountError| Exit::new(TEMPORARY, error.to_string());
    let account = Account::by_name(&arguments.network.user).map_err(trouble)?;
    account.identity.assume().map_err(trouble)
}

/// Answers the question on descriptor 0.
pub async fn answer(service: &Service) -> Result<u8, String> {
    let mut text = Vec::new();
    let read = std::io::stdin()
        .take(QUESTION_BYTES_MAX)
        .read_to_end(&mut text);
    read.map_err(|error| format!("cannot read the question: {error}"))?;
    let question: Question = match serde_json::from_slice(&text) {
        Ok(question) => question,
        Err(error) => {
            eprintln!("qmail-smtpd: fatal: --explain is for `indimail explain smtp`: {error}");
            return Ok(PERMANENT);
        }
    };
    let explanation = explain(service, question).await?;
    let text = serde_json::to_string(&explanation).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(0)
}

async fn explain(service: &Service, question: Question) -> Result<Explanation, String> {
    let mut told = Told::default();
    let rule = connection_rule(service, &question.ip, &mut told)?;
    if rule.denies() {
        return Ok(Explanation {
            steps: vec![told],
            verdict: Verdict::Refused,
        });
    }
    let changes: Vec<_> = rule
        .changes()
        .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
        .collect();
    let caller = Caller {
        number: std::process::id().into(),
        host: variable(&changes, "TCPREMOTEHOST").or(question.host.clone()),
        info: variable(&changes, "TCPREMOTEINFO"),
        local_ip: String::new(),
        ip: question.ip.clone(),
        commands: Commands::Relay,
        changes,
    };
    let (settings, policy) = service
        .policy(&caller)
        .map_err(|error| run::chain(&error))?;
    let peer = peer(&settings, &policy, &caller);
    let mut origins = Origins::new(service, settings.clone(), &caller);
    if let Some((setting, grant)) = relay_grant(&settings, &policy, &caller) {
        let rule = origins.rule(setting, Some(grant.line), "the client may relay");
        told.rules.push(rule.clone());
        origins.relay = Some(rule);
    }
    for setting in [
        &receiving::SHUTDOWN,
        &receiving::RBLSMTPD,
        &receiving::OPENRELAY,
    ] {
        let empty_lets_in = setting.variable == receiving::RBLSMTPD.variable;
        if let Some(value) = settings.variable(setting.variable) {
            let says = match empty_lets_in && value.is_empty() {
                true => "the client is on no list",
                false => "the client is refused",
            };
            told.rules.push(origins.rule(setting, None, says));
        }
    }
    let tls = question.tls.then(|| Tls {
        version: "TLSv1.3".to_owned(),
        cipher: String::new(),
    });
    let mut session = Session::new(Arc::clone(&policy.config), peer, tls);
    session.explain();
    let mut dialogue = Dialogue {
        connection: service.connection(session, policy, caller, Queue::Null),
        origins,
        told,
    };
    Ok(dialogue.run(question).await)
}

/// What etc/tcp.smtp says about the client.
fn connection_rule(service: &Service, ip: &str, told: &mut Told) -> Result<Matched, String> {
    let path = service.rules.display();
    let file = match std::fs::read(&service.rules) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Matched::default()),
        Err(error) => return Err(format!("cannot read {path}: {error}")),
    };
    let rule = rule_in(&file, ip, None).map_err(|error| format!("{path}: {error}"))?;
    let Some(key) = &rule.key else {
        return Ok(rule);
    };
    let word = |instruction: &Instruction| match instruction {
        Instruction::Deny => "no connection".to_owned(),
        Instruction::Set(name, value) => format!("{name}={:?}", String::from_utf8_lossy(value)),
        Instruction::Unset(name) => format!("{name} is removed"),
    };
    let words: Vec<String> = rule.instructions.iter().map(word).collect();
    told.rules.push(Rule {
        setting: None,
        from: path.to_string(),
        line: None,
        text: Some(format!("{}:", String::from_utf8_lossy(key))),
        says: match words.is_empty() {
            true => "the client may connect".to_owned(),
            false => words.join(", "),
        },
    });
    Ok(rule)
}

/// A session and what has been told about it.
struct Dialogue<'a> {
    connection: Connection<'a>,
    origins: Origins<'a>,
    told: Told,
}

/// How far a command came.
#[derive(Eq, PartialEq)]
enum Course {
    /// The next one may come.
    Open,
    /// The message may come.
    Message,
    /// The connection is closed.
    Closed,
}

impl Dialogue<'_> {
    async fn run(&mut self, question: Question) -> Explanation {
        let mut steps = Vec::new();
        let mut course = self.go_on().await;
        steps.push(std::mem::take(&mut self.told));
        let size = question.size.map(|size| format!(" SIZE={size}"));
        let size = size.unwrap_or_default();
        let is_plain = |address: &str| address.is_ascii();
        let utf8 =
            match is_plain(&question.sender) && question.recipients.iter().all(|r| is_plain(r)) {
                true => "",
                false => " SMTPUTF8",
            };
        let mut commands = vec![
            format!("EHLO {}", question.hello),
            format!("MAIL FROM:<{}>{size}{utf8}", question.sender),
        ];
        let recipients = question.recipients.iter();
        commands.extend(recipients.map(|recipient| format!("RCPT TO:<{recipient}>")));
        commands.push("DATA".to_owned());
        let (mut refused, mut taken) = (0, 0);
        for command in commands {
            if course == Course::Closed {
                break;
            }
            let is_hello = command.starts_with("EHLO");
            let is_recipient = command.starts_with("RCPT");
            self.said(&command);
            course = self.go_on().await;
            if is_hello && let Some(account) = question.login.clone() {
                self.connection.session.assume_login(account);
            }
            let told = std::mem::take(&mut self.told);
            let code = reply_code(&told);
            steps.push(told);
            if is_recipient {
                match code {
                    Some(250) => taken += 1,
                    _ => refused += 1,
                }
            } else if code.is_some_and(|code| 400 <= code) {
                break;
            }
        }
        Explanation {
            verdict: verdict(&steps, course == Course::Message, taken, refused),
            steps,
        }
    }

    fn said(&mut self, command: &str) {
        self.told.said = command.to_owned();
        let line = format!("{command}\r\n");
        let room = self.connection.session.room().min(line.len());
        self.connection.session.receive(&line.as_bytes()[..room]);
    }

    /// Does what the session wants, until it waits for the client.
    async fn go_on(&mut self) -> Course {
        loop {
            let step = self.connection.session.step(&moment());
            self.take_findings();
            match step {
                Step::Wait => return Course::Open,
                Step::Close => return Course::Closed,
                Step::Send(bytes) => self.replied(&bytes),
                Step::Log(line) => self.told.log.push(line),
                Step::Pause(wait) | Step::Listen(wait) => {
                    self.told.waits_seconds += wait.as_secs();
                }
                Step::AskPolicy(changes) => {
                    let config = self.connection.changed_config(changes.clone());
                    self.origins.changed(&changes);
                    self.answer(Answer::Policy(config));
                }
                Step::AskMailbox(address) => {
                    let rule = self.origins.mailbox(&self.connection.policy, &address);
                    let mailbox = self.connection.mailbox(address).await;
                    let says = format!("{}: {mailbox:?}", rule.says);
                    self.told.rules.push(Rule { says, ..rule });
                    self.answer(Answer::Mailbox(mailbox));
                }
                Step::AskRelay(sender) => {
                    let answer = self.connection.has_read_mail(sender).await;
                    self.answer(Answer::Relay(answer));
                }
                Step::AskVerifier(question) => {
                    let reply = self.verified(&question).await;
                    self.answer(Answer::Verified(Box::new(reply)));
                }
                Step::Begin { .. } => {
                    self.begins();
                    return Course::Message;
                }
                // None of these comes before a message.
                Step::AskLogin(_)
                | Step::AskHeld(_)
                | Step::Examine(_)
                | Step::Append(_)
                | Step::Commit { .. }
                | Step::Abort
                | Step::StartTls
                | Step::Event(_) => {}
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.connection.session.answer(answer, &moment());
    }

    fn take_findings(&mut self) {
        for finding in self.connection.session.findings() {
            let rule = self.origins.of(finding);
            if !self.told.rules.contains(&rule) {
                self.told.rules.push(rule);
            }
        }
    }

    fn replied(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.told.reply.extend(text.lines().map(str::to_owned));
    }

    async fn verified(&mut self, question: &verify::Request) -> verify::Reply {
        if let verify::Request::Greylist(grey) = question {
            let says = format!("the greylisting server {} would be asked", grey.server);
            let rule = self.origins.rule(&receiving::GREYIP, None, &says);
            self.told.rules.push(rule);
            return verify::Reply::Greylist(verify::Grey::Accept);
        }
        let reply = self.connection.verifier.ask(question).await;
        let says = match (question, &reply) {
            (verify::Request::Domain(domain), verify::Reply::Domain(found)) => {
                format!("name servers about {domain}: {found:?}")
            }
            (_, verify::Reply::Temporary(why)) => why.clone(),
            _ => return reply,
        };
        let rule = self.origins.rule(&receiving::NODNSCHECK, None, &says);
        self.told.rules.push(rule);
        reply
    }

    /// What the message itself will be asked.
    fn begins(&mut self) {
        let config = self.connection.session.config();
        let looks: [(&'static Setting, bool, &str); 3] = [
            (
                &receiving::DATABYTES,
                config.message_bytes_max != 0,
                "a bigger message is refused",
            ),
            (
                &receiving::AUTHRESULTS,
                config.outside.examines,
                "SPF, DKIM and DMARC of a stranger's message are looked at",
            ),
            (
                &receiving::DMARCREJECT,
                config.outside.dmarc_refuses,
                "and what the author's domain disowns is refused",
            ),
        ];
        for (setting, _, says) in looks.into_iter().filter(|(_, holds, _)| *holds) {
            let rule = self.origins.rule(setting, None, says);
            self.told.rules.push(rule);
        }
        if self.connection.session.config().content.is_some() {
            let says = "the message is searched for what its lines say";
            let rule = self.origins.rule(&receiving::BODYCHECK, None, says);
            self.told.rules.push(rule);
        }
        self.told.reply.push("354 go ahead".to_owned());
    }
}

fn reply_code(told: &Told) -> Option<u16> {
    told.reply.last()?.get(..3)?.parse().ok()
}

fn verdict(steps: &[Told], may_come: bool, taken: usize, refused: usize) -> Verdict {
    match may_come && 0 < taken {
        true if refused == 0 => Verdict::Taken,
        true => Verdict::TakenForSome,
        false => {
            // DATA without a recipient is refused because of RCPT.
            let codes = steps.iter().filter(|step| step.said != "DATA");
            match codes.filter_map(reply_code).rfind(|code| 400 <= *code) {
                Some(400..=499) => Verdict::Deferred,
                _ => Verdict::Refused,
            }
        }
    }
}
