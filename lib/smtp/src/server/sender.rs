//! MAIL: who sends.

use std::sync::Arc;

use settings::{injecting, receiving};
use text::log::safe;
use wire::dsn::{Dsn, EnvelopeId, Return};
use wire::trace::Kind;
use wire::verify::SpfResult;

use super::outside::Waiting;
use super::path::{self, Parameter};
use super::{Config, Masquerade, Moment, Note, Reply, Session, State, Step, Transaction};

/// What the parameters of MAIL said.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    size: u64,
    utf8: bool,
    dsn: Dsn,
}

impl Session {
    /// The checks of smtp-receiving.md §2.6, cheap ones first; one reply.
    pub(super) fn mail(&mut self, argument: &[u8], now: &Moment) {
        // Rules of the last transaction end with it.
        if self.transaction.is_none() {
            self.config = Arc::clone(&self.base);
        }
        let sender = path::parse(argument).map(|(sender, _)| sender);
        if let (None, true, Ok(sender)) = (&self.transaction, self.hello.is_some(), sender) {
            let (lines, mut changes) = self.config.sender_rules.changes(&sender);
            // A sender is easily forged: it does not free from REQUIREAUTH.
            let known = self.identity.is_some();
            changes.retain(|(name, value)| known || name != "REQUIREAUTH" || value.is_some());
            for line in self.config.sender_rules.lines_for(&sender) {
                self.tell(
                    &injecting::FROMRULES,
                    Some(line),
                    "other settings for this sender",
                );
            }
            if !changes.is_empty() {
                let shown = safe(&sender);
                self.log(format!("Setting EnvRule No {lines}: MAIL from <{shown}>"));
                self.steps.push_back(Step::AskPolicy(changes));
                self.state = State::AskingPolicy(argument.to_vec());
                return;
            }
        }
        self.mail_checked(argument, now);
    }

    /// Goes on with MAIL under the settings a rule made.
    pub(super) fn mail_with(&mut self, argument: &[u8], config: Option<Arc<Config>>, now: &Moment) {
        match config {
            Some(config) => {
                self.config = config;
                self.mail_checked(argument, now);
            }
            None => self.reply(Reply::NoControls),
        }
    }

    fn mail_checked(&mut self, argument: &[u8], now: &Moment) {
        if let Some(reply) = self.mail_out_of_order() {
            self.mistake(reply);
            return;
        }
        let Ok((sender, parameters)) = path::parse(argument) else {
            self.mistake(Reply::AddressSyntax);
            return;
        };
        let parameters = match read(&parameters, self.tls.is_some()) {
            Ok(parameters) => parameters,
            Err((reply, name)) => {
                self.mistake_with(reply, &name);
                return;
            }
        };
        if !sender.is_ascii() && !parameters.utf8 {
            self.mistake(Reply::NeedsUtf8);
            return;
        }
        let sender = self.untagged_sender(sender, now);
        let trace = now.trace();
        if let Some(reply) = self.sender_refusal(&sender, &parameters) {
            let detail = self.config.bounce_mail.clone().unwrap_or_default();
            self.refuse_sender(trace, sender, reply, &detail);
            return;
        }
        self.mail_outside(Waiting {
            trace,
            sender,
            parameters,
            spf: None,
        });
    }

    /// All checks are passed: the transaction begins.
    pub(super) fn mail_taken(&mut self, waiting: Waiting) {
        let Waiting {
            trace,
            sender,
            parameters,
            spf,
        } = waiting;
        let config = &self.config;
        let blackholed = (&receiving::BLACKHOLEDSENDER, &config.blackholed_senders);
        let discarded = self.is_in(blackholed, &sender, "mail is taken and thrown away");
        let relaying = (&receiving::RELAYMAILFROM, &config.relay_senders);
        // A forged sender relays only where nobody asks SPF.
        let is_believed = spf.as_ref().is_none_or(|spf| spf.result == SpfResult::Pass);
        let may_relay = !sender.is_empty()
            && is_believed
            && self.is_in(relaying, &sender, "the sender may relay");
        if discarded {
            self.log(format!("Blackholed SENDER address: MAIL {}", safe(&sender)));
        }
        self.transaction = Some(Transaction {
            trace,
            sender,
            recipients: Vec::new(),
            utf8: parameters.utf8,
            may_relay,
            spf,
            discarded,
            chunks: None,
            chunks_failed: false,
            wish_bytes: parameters.dsn.to_headers().len(),
            dsn: parameters.dsn,
            judgement: String::new(),
        });
        self.reply(Reply::SenderFine);
    }

    fn mail_out_of_order(&self) -> Option<Reply> {
        match &self.transaction {
            _ if self.hello.is_none() => Some(Reply::HelloFirst),
            Some(open) if open.chunks.is_some() => Some(Reply::ChunksOpen),
            Some(_) => Some(Reply::NestedMail),
            None if self.config.require_tls && self.tls.is_none() => {
                self.tell(&receiving::FORCE_TLS, None, "mail comes over TLS only");
                Some(Reply::TlsFirst)
            }
            None if self.config.require_auth && self.identity.is_none() => {
                self.tell(
                    &receiving::REQUIREAUTH,
                    None,
                    "only users who logged in send",
                );
                Some(Reply::AuthFirst)
            }
            None => None,
        }
    }

    fn sender_refusal(&self, sender: &[u8], parameters: &Parameters) -> Option<Reply> {
        let config = &self.config;
        let known = self.may_relay() || self.identity.is_some();
        let max = config.message_bytes_max;
        let is_too_big = max != 0 && max < parameters.size;
        if self.speaks(&receiving::DATABYTES, is_too_big, "the message is too big") {
            return Some(Reply::TooBig);
        }
        let (allowed, line) = config.host_access.decision(sender, &self.peer.ip);
        if let Some(line) = line {
            let says = match allowed {
                true => "the client may send for this domain",
                false => "the client may not send for this domain",
            };
            self.tell(&receiving::HOSTACCESS, Some(line.as_bytes()), says);
        }
        if !allowed {
            return Some(Reply::HostDenied);
        }
        let bad = (&receiving::BADMAILFROM, &config.bad_senders);
        if self.is_in(bad, sender, "the sender is refused") {
            return Some(Reply::SenderDenied);
        }
        let has_domain = sender.contains(&b'@');
        if config.sender_needs_domain && !known && !sender.is_empty() && !has_domain {
            self.always("a sender needs a domain, unless NODNSCHECK is set");
            return Some(Reply::SenderNoDomain);
        }
        let is_local = || has_domain && config.rcpthosts.allow(sender);
        let is_outsider = config.closed_group && has_domain && !is_local();
        if self.speaks(&receiving::CUGMAIL, is_outsider, "the sender is no member") {
            return Some(Reply::ClosedGroup);
        }
        let refuses_all = config.bounce_mail.is_some();
        if self.speaks(
            &receiving::BOUNCEMAIL,
            refuses_all,
            "all senders are refused",
        ) {
            return Some(Reply::BounceMail);
        }
        let must_log_in = config.antispoofing && !known && is_local();
        if self.speaks(
            &receiving::ANTISPOOFING,
            must_log_in,
            "the sender is one of ours and did not log in",
        ) {
            return Some(Reply::LocalAuthFirst);
        }
        let is_other = !self.is_own_address(sender);
        self.speaks(
            &receiving::MASQUERADE,
            is_other,
            "the user who logged in may not use this sender",
        )
        .then_some(Reply::Masquerading)
    }

    /// MASQUERADE: an authenticated user sends as nobody else. Notifications
    /// have no sender and are free.
    fn is_own_address(&self, sender: &[u8]) -> bool {
        let Some(identity) = &self.identity else {
            return true;
        };
        if sender.is_empty() {
            return true;
        }
        let own = identity.account.address.as_bytes();
        let is = |address: &[u8]| {
            address.eq_ignore_ascii_case(sender)
                // A user of the host has no domain: the local parts decide.
                || !address.contains(&b'@') && local_part(sender).eq_ignore_ascii_case(address)
        };
        match &self.config.masquerade {
            Masquerade::Anyone => true,
            Masquerade::As(other) => is(own) || is(other),
            Masquerade::Refused => is(own),
        }
    }

    pub(super) fn refuse_sender(
        &mut self,
        trace: wire::trace::TraceId,
        sender: Vec<u8>,
        reply: Reply,
        detail: &[u8],
    ) {
        let shown = safe(&sender);
        self.log(match reply {
            Reply::TooBig => format!("data size exceeded: MAIL from <{shown}>"),
            Reply::Masquerading | Reply::LocalAuthFirst => {
                let who = self.identity.as_ref().map(|who| &who.account.address);
                let who = who.map_or(String::new(), |who| {
                    format!(", Auth <{}>", safe(who.as_bytes()))
                });
                format!("Invalid RELAY client: MAIL from <{shown}>{who}")
            }
            Reply::SenderUnknown | Reply::DnsTemporary => {
                format!("Non-existing DNS_MX: MAIL {shown}")
            }
            Reply::HostDenied => format!("Invalid SENDER host IP address: MAIL from <{shown}>"),
            _ => format!("Invalid SENDER address: MAIL from <{shown}>"),
        });
        self.steps.push_back(Step::Event(Note {
            trace,
            kind: Kind::Refused,
            sender,
            recipients: Vec::new(),
            bytes: None,
            text: reply.line(detail),
        }));
        // Temporary trouble is ours: it does not count against the client.
        match reply.is_temporary() {
            true => self.reply_with(reply, detail),
            false => self.mistake_with(reply, detail),
        }
    }
}

fn local_part(address: &[u8]) -> &[u8] {
    let at = address.iter().rposition(|&b| b == b'@');
    &address[..at.unwrap_or(address.len())]
}

/// Reads the parameters we offered; anything else is refused by name
/// (RFC 5321 §4.1.1.11).
fn read(parameters: &[Parameter<'_>], has_tls: bool) -> Result<Parameters, (Reply, Vec<u8>)> {
    let mut read = Parameters::default();
    for (name, value) in parameters {
        let bad = || (Reply::ParameterValue, name.to_vec());
        match (&name.to_ascii_uppercase()[..], value) {
            (b"SIZE", Some(value)) => read.size = number(value).ok_or_else(bad)?,
            (b"BODY", Some(value))
                if value.eq_ignore_ascii_case(b"7BIT")
                    || value.eq_ignore_ascii_case(b"8BITMIME") => {}
            (b"BODY", _) => return Err(bad()),
            (b"SMTPUTF8", None) => read.utf8 = true,
            (b"REQUIRETLS", None) if has_tls => read.dsn.require_tls = true,
            // RFC 4954 §5: known, and never an identity.
            (b"AUTH", Some(value)) if is_xtext(value) => {}
            // RFC 3461 §4.3, §4.4: once each.
            (b"RET", Some(value)) if read.dsn.ret.is_none() => {
                read.dsn.ret = Some(Return::parse(value).ok_or_else(bad)?);
            }
            (b"ENVID", Some(value)) if read.dsn.envelope_id.is_none() => {
                read.dsn.envelope_id = Some(EnvelopeId::parse(value).ok_or_else(bad)?);
            }
            (b"RET" | b"ENVID", _) => return Err(bad()),
            _ => return Err((Reply::Parameter, name.to_vec())),
        }
    }
    Ok(read)
}

/// A decimal number of at most 20 digits; more than we can count is as good
/// as the largest we can.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 20;
    if digits.is_empty() || DIGITS_MAX < digits.len() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// RFC 4954 §5: nobody, or an identity in xtext.
fn is_xtext(text: &[u8]) -> bool {
    text == b"<>" || text::xtext::decode(text).is_some()
}
