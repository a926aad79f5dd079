//! What others must be asked about a client, a sender or a message: name
//! servers, a greylisting server, the owners of domains. The answers come
//! from the verifier; what follows from them is decided here.

use std::net::{IpAddr, SocketAddr};

use policy::AddressList;
use settings::receiving;
use text::log::safe;
use wire::verify::{Dmarc, Existence, Grey, Greylist, Message, Request, Sender, Spf, SpfResult};
use wire::verify::{Reply as Verified, Verdict};

use super::data::Framing;
use super::sender::Parameters;
use super::transfer::{Chunk, Transfer};
use super::{Mailbox, Moment, Reply, Session, State, Step};

/// Checks that need other machines. Clients that may relay, users who logged
/// in and this host itself are spared all of them.
#[derive(Debug, Default)]
pub struct Outside {
    /// Sender domains must exist (NODNSCHECK switches it off).
    pub sender_exists: bool,
    /// So must the names clients call themselves (BADHELOCHECK).
    pub hello_exists: bool,
    /// nodnscheck: senders and HELO names that are spared.
    pub exempt: AddressList,
    /// SPFBEHAVIOUR and the files of SPF.
    pub spf: SpfPolicy,
    /// GREYIP.
    pub greylist: Option<SocketAddr>,
    /// Without the greylisting server nothing is taken.
    pub greylist_fails_closed: bool,
    /// Messages are examined: DKIM, DMARC, Authentication-Results.
    pub examines: bool,
    /// Messages that the owner of their author's domain disowns are refused.
    pub dmarc_refuses: bool,
}

/// What follows from SPF (smtp-receiving.md §2.10).
#[derive(Debug, Default)]
pub struct SpfPolicy {
    /// 0 is off; each level refuses more.
    pub level: u8,
    /// spfrules.
    pub rules: Option<String>,
    /// spfguess.
    pub guess: Option<String>,
    /// spfexp.
    pub explanation: Option<String>,
}

/// A MAIL that is fine so far.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) trace: wire::trace::TraceId,
    pub(super) sender: Vec<u8>,
    pub(super) parameters: Parameters,
    pub(super) spf: Option<Spf>,
}

/// What is asked before a message may begin.
#[derive(Debug)]
pub(super) struct Beginning {
    framing: Framing,
    chunk: Option<Chunk>,
}

impl Session {
    /// Says whether nothing is known about the client but its address.
    pub(super) fn is_stranger(&self) -> bool {
        !self.may_relay() && self.identity.is_none() && !self.peer.is_loopback()
    }

    /// HELO and EHLO: a name nobody has is no name.
    pub(super) fn hello_outside(&mut self, name: &[u8], extended: bool) {
        let outside = &self.config.outside;
        let with_at = [b"@", name].concat();
        let is_confirmed = self
            .peer
            .host
            .as_ref()
            .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(name));
        let asks = outside.hello_exists
            && outside.sender_exists
            && self.is_stranger()
            && !is_confirmed
            && !self.is_in(
                (&receiving::NODNSCHECK_LIST, &outside.exempt),
                &with_at,
                "this HELO name need not exist",
            );
        match asks {
            true => {
                let domain = String::from_utf8_lossy(name).into_owned();
                self.ask(Request::Domain(domain));
                self.state = State::AskingHello(name.to_vec(), extended);
            }
            false => self.hello_fine(name, extended),
        }
    }

    pub(super) fn hello_answered(&mut self, name: &[u8], extended: bool, answer: Verified) {
        match existence(answer) {
            Existence::Exists => self.hello_fine(name, extended),
            Existence::Absent => {
                let shown = safe(name);
                self.log(format!(
                    "Invalid HELO greeting: HELO <{shown}> does not exist"
                ));
                self.mistake(Reply::HelloUnknown);
            }
            Existence::Unknown => self.reply(Reply::DnsTemporary),
        }
    }

    /// MAIL, after all that can be decided here: does the domain exist, is
    /// the sender one of us, may the client send for the domain?
    pub(super) fn mail_outside(&mut self, waiting: Waiting) {
        let outside = &self.config.outside;
        let domain = domain(&waiting.sender);
        let asks = outside.sender_exists
            && self.is_stranger()
            && waiting.sender != b"#@[]"
            && !self.is_in(
                (&receiving::NODNSCHECK_LIST, &outside.exempt),
                &waiting.sender,
                "the sender's domain need not exist",
            );
        match domain.filter(|_| asks) {
            Some(domain) => {
                let domain = String::from_utf8_lossy(domain).into_owned();
                self.ask(Request::Domain(domain));
                self.state = State::AskingDomain(Box::new(waiting));
            }
            None => self.mail_member(waiting),
        }
    }

    pub(super) fn domain_answered(&mut self, waiting: Waiting, answer: Verified) {
        let reply = match existence(answer) {
            Existence::Exists => {
                self.mail_member(waiting);
                return;
            }
            Existence::Absent => Reply::SenderUnknown,
            Existence::Unknown => Reply::DnsTemporary,
        };
        self.always(match reply {
            Reply::SenderUnknown => "the sender's domain has nowhere to send mail to",
            _ => "name servers do not tell whether the sender's domain exists",
        });
        self.refuse_sender(waiting.trace, waiting.sender, reply, b"");
    }

    /// CUGMAIL: only members write, and only to members.
    fn mail_member(&mut self, waiting: Waiting) {
        let asks = self.config.closed_group && !waiting.sender.is_empty();
        match asks {
            true => {
                self.steps
                    .push_back(Step::AskMailbox(waiting.sender.clone()));
                self.state = State::AskingMember(Box::new(waiting));
            }
            false => self.mail_spf(waiting),
        }
    }

    pub(super) fn member_answered(&mut self, waiting: Waiting, mailbox: Mailbox) {
        let reply = match mailbox {
            Mailbox::Fine | Mailbox::OverQuota => {
                self.mail_spf(waiting);
                return;
            }
            Mailbox::Absent | Mailbox::Inactive => {
                self.tell(&receiving::CUGMAIL, None, "the sender is no member");
                Reply::ClosedGroup
            }
            Mailbox::Temporary(why) => {
                self.log(format!(
                    "cannot check SENDER {}: {why}",
                    safe(&waiting.sender)
                ));
                Reply::RecipientTemporary
            }
        };
        self.refuse_sender(waiting.trace, waiting.sender, reply, b"");
    }

    fn mail_spf(&mut self, waiting: Waiting) {
        let is_loopback_or_known = !self.is_stranger();
        match self.config.outside.spf.level {
            0 => self.mail_taken(waiting),
            _ if is_loopback_or_known => self.mail_taken(waiting),
            _ => match self.spf_question(&waiting.sender) {
                Some(question) => {
                    self.ask(Request::Sender(question));
                    self.state = State::AskingSpf(Box::new(waiting));
                }
                None => self.mail_taken(waiting),
            },
        }
    }

    pub(super) fn spf_answered(&mut self, mut waiting: Waiting, answer: Verified) {
        let spf = match answer {
            Verified::Sender(spf) => spf,
            _ => Spf {
                result: SpfResult::Error,
                domain: String::from_utf8_lossy(domain(&waiting.sender).unwrap_or_default()).into(),
                explanation: None,
            },
        };
        let refused_from = match spf.result {
            SpfResult::Pass => u8::MAX,
            SpfResult::Error => 2,
            SpfResult::Fail => 3,
            SpfResult::SoftFail => 4,
            SpfResult::Neutral => 5,
            SpfResult::None | SpfResult::Unknown => 6,
        };
        let says = format!("SPF of {} says {}", spf.domain, spf.result.word());
        self.tell(&receiving::SPFBEHAVIOUR, None, &says);
        if self.config.outside.spf.level < refused_from {
            waiting.spf = Some(spf);
            self.mail_taken(waiting);
            return;
        }
        let reply = match spf.result {
            SpfResult::Error => Reply::SpfTemporary,
            _ => Reply::SpfRefused,
        };
        let shown = String::from_utf8_lossy(&waiting.sender).into_owned();
        let usual = || format!("SPF check failed for {shown} from {}", self.peer.ip);
        let words = spf.explanation.unwrap_or_else(usual);
        self.refuse_sender(waiting.trace, waiting.sender, reply, words.as_bytes());
    }

    /// The field that tells what SPF said (smtp-receiving.md §2.10).
    pub(super) fn received_spf(&self, spf: &Spf) -> String {
        let ip = safe(self.peer.ip.as_bytes());
        let domain = safe(spf.domain.as_bytes());
        let record = format!("SPF record at {domain}");
        let comment = match spf.result {
            SpfResult::Pass => format!("{record} designates {ip} as permitted sender"),
            SpfResult::Fail => format!("{record} does not designate {ip} as permitted sender"),
            SpfResult::SoftFail => {
                format!("transitioning {record} does not designate {ip} as permitted sender")
            }
            SpfResult::Neutral => format!("{ip} is neither permitted nor denied by {record}"),
            SpfResult::None => {
                format!("domain at {domain} does not designate permitted sender hosts")
            }
            SpfResult::Unknown => format!("{domain} record could not be parsed"),
            SpfResult::Error => {
                format!("error in processing during lookup of {domain}: DNS problem")
            }
        };
        let host = safe(self.config.host.as_bytes());
        format!("Received-SPF: {} ({host}: {comment})\n", spf.result.word())
    }

    /// DATA: a client nobody knows comes again, or the message begins.
    pub(super) fn begin_outside(&mut self, framing: Framing, chunk: Option<Chunk>, now: &Moment) {
        let question = self.config.outside.greylist.filter(|_| self.is_stranger());
        let question = question.and_then(|server| {
            let transaction = self.transaction.as_ref()?;
            Some(Greylist {
                server,
                ip: self.ip()?,
                sender: transaction.sender.clone(),
                recipients: transaction
                    .recipients
                    .iter()
                    .map(|recipient| recipient.address.clone())
                    .collect(),
            })
        });
        match question {
            Some(question) => {
                self.ask(Request::Greylist(question));
                self.state = State::AskingGrey(Beginning { framing, chunk });
            }
            None => self.begin(framing, chunk, now),
        }
    }

    pub(super) fn grey_answered(&mut self, beginning: Beginning, answer: Verified, now: &Moment) {
        let Beginning { framing, chunk } = beginning;
        let reply = match answer {
            Verified::Greylist(Grey::Accept) => None,
            Verified::Greylist(Grey::Defer) => Some(Reply::GreyDeferred),
            _ => {
                self.log(" Timeout (no response from greylisting server)".to_owned());
                let closed = self.config.outside.greylist_fails_closed;
                closed.then_some(Reply::GreyTemporary)
            }
        };
        let Some(reply) = reply else {
            self.begin(framing, chunk, now);
            return;
        };
        if let Some(transaction) = self.transaction.take() {
            let count = transaction.recipients.len();
            let first = transaction.recipients.first();
            let shown = first.map_or(String::new(), |first| safe(&first.address));
            self.log(format!(
                "greylist {} <{}> to <{shown}>{}",
                self.peer.ip,
                safe(&transaction.sender),
                if 1 < count { "..." } else { "" }
            ));
        }
        match chunk {
            None => self.reply(reply),
            Some(chunk) => self.skip_to(chunk.left(), reply),
        }
    }

    /// What the verifier is told before a message, when it is to look at it.
    pub(super) fn examination(&self) -> Option<Message> {
        if !self.config.outside.examines || !self.is_stranger() {
            return None;
        }
        let transaction = self.transaction.as_ref()?;
        Some(Message {
            sender: self.spf_question(&transaction.sender)?,
            spf: transaction.spf.clone(),
            client: self.peer.host.clone(),
        })
    }

    pub(super) fn message_answered(&mut self, mut transfer: Transfer, answer: Verified) {
        let refuses = self.config.outside.dmarc_refuses;
        let Verdict {
            results,
            dmarc,
            domain,
        } = match answer {
            Verified::Message(verdict) => verdict,
            Verified::Temporary(why) => {
                self.log(format!("message not examined: {why}"));
                let dmarc = if refuses { Dmarc::Unsure } else { Dmarc::None };
                Verdict {
                    dmarc,
                    ..Verdict::default()
                }
            }
            _ => Verdict::default(),
        };
        let reply = match dmarc {
            Dmarc::Reject => Some(Reply::Dmarc),
            Dmarc::Nobody => Some(Reply::NoAuthor),
            // Else who keeps name servers from answering gets everything in.
            Dmarc::Unsure => Some(Reply::DmarcTemporary),
            Dmarc::Pass | Dmarc::None | Dmarc::Fail | Dmarc::Quarantine => None,
        };
        if let Some(reply) = reply.filter(|_| refuses) {
            self.refuse_content(&transfer, reply, domain.as_bytes());
            return;
        }
        transfer.extra_headers = results;
        self.commit(transfer);
    }

    fn spf_question(&self, sender: &[u8]) -> Option<Sender> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let spf = &self.config.outside.spf;
        Some(Sender {
            ip: self.ip()?,
            helo: self
                .hello
                .as_ref()
                .map_or(String::new(), |hello| text(&hello.name)),
            sender: text(sender),
            host: self.config.host.clone(),
            rules: spf.rules.clone(),
            guess: spf.guess.clone(),
            explanation: spf.explanation.clone(),
        })
    }

    /// The client's address; tests and odd callers have none.
    fn ip(&self) -> Option<IpAddr> {
        self.peer.ip.parse().ok()
    }

    fn ask(&mut self, request: Request) {
        self.steps.push_back(Step::AskVerifier(Box::new(request)));
    }
}

fn existence(answer: Verified) -> Existence {
    match answer {
        Verified::Domain(existence) => existence,
        _ => Existence::Unknown,
    }
}

/// What stands after the last `@`; `None` for notifications and local names.
fn domain(address: &[u8]) -> Option<&[u8]> {
    let at = address.iter().rposition(|&b| b == b'@')?;
    Some(&address[at + 1..])
}
