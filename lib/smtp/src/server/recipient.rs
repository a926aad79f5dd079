//! RCPT: who receives.

use settings::{injecting, receiving};
use srs::SrsError;
use text::log::safe;
use wire::dsn::{self, Notify, Original, Wish};
use wire::trace::Kind;

use super::path::Parameter;
use super::{
    INVALID_RECIPIENT_PAUSE, INVALID_RECIPIENTS_FREE, INVALID_RECIPIENTS_MAX, Mailbox, Moment,
    Note, Recipient, Reply, Session, State, Step, Transaction, path,
};

/// Where a recipient is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    /// The client's own words.
    Ordinary,
    /// An SRS address that we made: it may be anywhere.
    Returned,
}

impl Session {
    /// The checks of smtp-receiving.md §2.8 up to the question whether the
    /// mailbox exists; one reply.
    pub(super) fn rcpt(&mut self, argument: &[u8], now: &Moment) {
        let Some(transaction) = &self.transaction else {
            self.mistake(match self.hello {
                None => Reply::HelloFirst,
                Some(_) => Reply::MailFirst,
            });
            return;
        };
        if transaction.chunks.is_some() || transaction.chunks_failed {
            self.mistake(Reply::ChunksOpen);
            return;
        }
        let utf8 = transaction.utf8;
        let (address, parameters) = match path::parse(argument) {
            Ok((address, parameters)) if !address.is_empty() => (address, parameters),
            _ => {
                self.mistake(Reply::AddressSyntax);
                return;
            }
        };
        let wish = match wish(&parameters) {
            Ok(wish) => wish,
            Err((reply, name)) => {
                self.mistake_with(reply, &name);
                return;
            }
        };
        if !address.is_ascii() && !utf8 {
            self.mistake(Reply::NeedsUtf8);
            return;
        }
        let address = self.without_own_literal(address);
        let (address, bad_bounce) = self.untagged_recipient(address, now);
        let (address, bad_bounce, route) = match self.returned(&address, now) {
            None => (address, bad_bounce, Route::Ordinary),
            // Its hash says that it is of our mail.
            Some(Ok(origin)) => (origin, None, Route::Returned),
            Some(Err(_)) => {
                self.refuse_recipient(&address, Reply::NotReturned);
                return;
            }
        };
        match self.recipient_refusal(&address, route).or(bad_bounce) {
            Some(Reply::NoRelaying) if self.config.check_relay => self.ask_relay(address, wish),
            Some(reply) => {
                if bad_bounce.is_some() {
                    self.log_bad_bounce(&address);
                    self.tell(
                        &receiving::BATVKEY,
                        None,
                        "a bounce without our valid tag is not of our mail",
                    );
                }
                self.refuse_recipient(&address, reply);
            }
            None if self.must_exist(&address) => {
                self.steps.push_back(Step::AskMailbox(address.clone()));
                self.state = State::AskingMailbox(address, wish);
            }
            None => self.take_recipient(address, wish),
        }
    }

    /// CHECKRELAY: a sender who has just read mail from there may relay.
    fn ask_relay(&mut self, address: Vec<u8>, wish: Wish) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        if transaction.sender.is_empty() {
            self.refuse_recipient(&address, Reply::NoRelaying);
            return;
        }
        let sender = transaction.sender.clone();
        self.steps.push_back(Step::AskRelay(sender));
        self.state = State::AskingRelay(address, wish);
    }

    /// Takes the answer to that. It holds for this transaction alone.
    pub(super) fn relay_answered(
        &mut self,
        address: Vec<u8>,
        wish: Wish,
        answer: Result<bool, String>,
    ) {
        match answer {
            Ok(true) => {
                self.tell(
                    &receiving::CHECKRELAY,
                    None,
                    "the sender read mail from here",
                );
                if let Some(transaction) = &mut self.transaction {
                    transaction.may_relay = true;
                }
                match self.recipient_refusal(&address, Route::Ordinary) {
                    Some(reply) => self.refuse_recipient(&address, reply),
                    None => self.take_recipient(address, wish),
                }
            }
            Ok(false) => {
                self.tell(
                    &receiving::CHECKRELAY,
                    None,
                    "the sender did not read mail from here",
                );
                self.refuse_recipient(&address, Reply::NoRelaying);
            }
            Err(why) => {
                self.log(format!("cannot check RELAY of {}: {why}", safe(&address)));
                self.refuse_recipient(&address, Reply::RelayTemporary);
            }
        }
    }

    /// Takes the answer about a mailbox.
    pub(super) fn mailbox(&mut self, address: Vec<u8>, wish: Wish, mailbox: Mailbox) {
        let reply = match mailbox {
            Mailbox::Fine => {
                self.take_recipient(address, wish);
                return;
            }
            Mailbox::Absent => Reply::Absent,
            Mailbox::Inactive => Reply::Inactive,
            Mailbox::OverQuota => Reply::OverQuota,
            Mailbox::Temporary(why) => {
                self.log(format!("cannot check RECIPIENT {}: {why}", safe(&address)));
                Reply::RecipientTemporary
            }
        };
        self.refuse_recipient(&address, reply);
    }

    /// Whom an SRS address of ours stands for, as forwarded mail is sent under
    /// (smtp-receiving.md §2.12); `None` for any other address.
    fn returned(&self, address: &[u8], now: &Moment) -> Option<Result<Vec<u8>, SrsError>> {
        let srs = self.config.srs.as_ref()?;
        let origin = srs.reverse(address, now.unix_seconds)?;
        self.tell(
            &injecting::SRS_DOMAIN,
            None,
            match &origin {
                Ok(_) => "the address of mail that was forwarded here, which goes back",
                Err(SrsError::Expired) => "an address of forwarded mail, but too old",
                Err(SrsError::Form | SrsError::Hash) => "no address of forwarded mail was made so",
            },
        );
        Some(origin)
    }

    fn recipient_refusal(&self, address: &[u8], route: Route) -> Option<Reply> {
        let config = &self.config;
        let transaction = self.transaction.as_ref()?;
        let may_relay = self.may_relay() || route == Route::Returned;
        let local_end = address.iter().rposition(|&b| b == b'@');
        let local = &address[..local_end.unwrap_or(address.len())];
        if !may_relay && local.iter().any(|b| matches!(b, b'@' | b'%' | b'!')) {
            self.always("a local part with @, % or ! looks like a try to relay");
            return Some(Reply::RelayProbe);
        }
        let good = (&receiving::GOODRCPTTO, &config.good_recipients);
        let bad = (&receiving::BADRCPTTO, &config.bad_recipients);
        if !self.is_in(good, address, "the recipient is always taken")
            && self.is_in(bad, address, "the recipient is refused")
        {
            return Some(Reply::RecipientDenied);
        }
        let (allowed, line) = config.access_list.decision(&transaction.sender, address);
        if line.is_some() {
            let says = match allowed {
                true => "this sender may write to this recipient",
                false => "this sender may not write to this recipient",
            };
            self.tell(&receiving::ACCESSLIST, line, says);
        }
        if !allowed {
            return Some(Reply::AccessDenied);
        }
        let is_outside = config.closed_group && !config.rcpthosts.allow(address);
        if self.speaks(&receiving::CUGMAIL, is_outside, "the recipient is outside") {
            return Some(Reply::ClosedGroup);
        }
        if route == Route::Ordinary && !self.may_relay_to(address) {
            return Some(Reply::NoRelaying);
        }
        if transaction.sender.is_empty() && !transaction.recipients.is_empty() {
            self.always("a notification goes to one recipient");
            return Some(Reply::BounceRecipients);
        }
        let is_full = config.recipients_most() <= transaction.recipients.len();
        self.speaks(&receiving::MAXRECIPIENTS, is_full, "no further recipients")
            .then_some(Reply::TooManyRecipients)
    }

    /// Whether mail for this address is taken at all: from those who may
    /// relay, and for rcpthosts.
    fn may_relay_to(&self, address: &[u8]) -> bool {
        if self.peer.relay_suffix.is_some() {
            self.tell(&receiving::RELAYCLIENT, None, "the client may relay");
        } else if self
            .identity
            .as_ref()
            .is_some_and(|who| who.account.may_relay)
        {
            self.always("the user who logged in may relay");
        }
        self.may_relay() || self.is_local(address)
    }

    /// Says whether rcpthosts lets everybody send to this address. Mail to
    /// the postmaster is always taken (RFC 5321 §4.5.1).
    fn is_local(&self, address: &[u8]) -> bool {
        if address.eq_ignore_ascii_case(b"postmaster") {
            self.always("mail to the postmaster is always taken");
            return true;
        }
        let config = &self.config;
        let says = "only those who log in send, wherever to";
        if self.speaks(&receiving::AUTH_ALL, config.auth_for_all, says) {
            return false;
        }
        let must_log_in = (&receiving::AUTHDOMAINS, &config.auth_senders);
        if let Some(transaction) = &self.transaction
            && self.is_in(must_log_in, &transaction.sender, "this sender must log in")
        {
            return false;
        }
        let Some(at) = address.iter().rposition(|&b| b == b'@') else {
            self.always("an address without a domain is one of this host");
            return true;
        };
        let line = config.rcpthosts.line_of(&address[at + 1..]);
        let says = match &line {
            Some(_) => "mail for the domain is taken",
            None => "the domain is not listed, and the client may not relay",
        };
        self.tell(&receiving::RCPTHOSTS, line.as_deref(), says);
        line.is_some()
    }

    fn must_exist(&self, address: &[u8]) -> bool {
        address.contains(&b'@')
            && self.config.rcpthosts.allow(address)
            && self.config.good_recipients.matching(address).is_none()
    }

    /// `user@[our address]` is `user@localiphost`.
    fn without_own_literal(&self, address: Vec<u8>) -> Vec<u8> {
        let literal = format!("@[{}]", self.peer.local_ip);
        match address.strip_suffix(literal.as_bytes()) {
            Some(local) => [local, b"@", self.config.local_ip_host.as_bytes()].concat(),
            None => address,
        }
    }

    fn take_recipient(&mut self, mut address: Vec<u8>, mut wish: Wish) {
        let local = self.config.rcpthosts.allow(&address);
        let blackholed = (
            &receiving::BLACKHOLEDRCPT,
            &self.config.blackholed_recipients,
        );
        let discarded = self.is_in(blackholed, &address, "mail is taken and thrown away");
        if let Some(suffix) = &self.peer.relay_suffix {
            address.extend_from_slice(suffix);
        }
        let config = self.config.clone();
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        if !transaction.has_room(&address, &mut wish) {
            self.refuse_recipient(&address, Reply::TooManyRecipients);
            return;
        }
        let sender = safe(&transaction.sender);
        let shown = safe(&address);
        if !wish.is_empty() {
            transaction.dsn.recipients.push((address.clone(), wish));
        }
        transaction.recipients.push(Recipient {
            address,
            local,
            discarded,
        });
        let count = transaction.recipients.len();
        if discarded {
            self.log(format!(
                "Blackholed RECIPIENT address: MAIL from <{sender}> RCPT {shown}"
            ));
        }
        if config.tarpit_count != 0 && config.tarpit_count <= count {
            self.tell(
                &receiving::TARPITCOUNT,
                None,
                "so many recipients are answered late",
            );
            self.steps.push_back(Step::Pause(config.tarpit_delay));
        }
        self.reply(Reply::RecipientFine);
    }

    fn refuse_recipient(&mut self, address: &[u8], reply: Reply) {
        let Some(transaction) = &self.transaction else {
            return;
        };
        let (sender, shown) = (safe(&transaction.sender), safe(address));
        let line = match reply {
            Reply::NoRelaying | Reply::RelayProbe => {
                format!("Invalid RELAY client: MAIL from <{sender}> RCPT <{shown}>")
            }
            Reply::TooManyRecipients => {
                format!("Too many RECIPIENTS: MAIL <{sender}> Last RCPT <{shown}>")
            }
            Reply::Absent => {
                format!(
                    "Invalid RECIPIENT address: MAIL from <{sender}> RCPT <{shown}> state absent"
                )
            }
            Reply::Inactive => {
                format!(
                    "Invalid RECIPIENT address: MAIL from <{sender}> RCPT <{shown}> state inactive"
                )
            }
            Reply::OverQuota => {
                format!(
                    "Invalid RECIPIENT address: MAIL from <{sender}> RCPT <{shown}> state overquota"
                )
            }
            _ => format!("Invalid RECIPIENT address: MAIL from <{sender}> RCPT <{shown}>"),
        };
        let note = Note {
            trace: transaction.trace,
            kind: Kind::Refused,
            sender: transaction.sender.clone(),
            recipients: vec![address.to_vec()],
            bytes: None,
            text: reply.line(address),
        };
        self.log(line);
        self.steps.push_back(Step::Event(note));
        // Temporary trouble is ours: it does not count against the client.
        if !reply.is_temporary() {
            self.invalid_recipients += 1;
        }
        if INVALID_RECIPIENTS_MAX < self.invalid_recipients {
            self.log(format!(
                "Too many Invalid RECIPIENTS ({}): MAIL from <{sender}>",
                self.invalid_recipients
            ));
            self.leave(Reply::TooManyInvalid);
            return;
        }
        if !reply.is_temporary() && INVALID_RECIPIENTS_FREE < self.invalid_recipients {
            self.steps.push_back(Step::Pause(INVALID_RECIPIENT_PAUSE));
        }
        self.reply_with(reply, address);
    }
}

impl Transaction {
    /// Makes room in the envelope for what is wanted for a recipient. When it
    /// gets tight, what says no more than the address itself is left out.
    fn has_room(&mut self, address: &[u8], wish: &mut Wish) -> bool {
        let is_tight = dsn::BYTES_MAX / 2 < self.wish_bytes;
        if is_tight && wish.notify.is_none() && says_the_same(wish, address) {
            wish.original = None;
        }
        self.wish_bytes += wish.bytes(address);
        self.wish_bytes <= dsn::BYTES_MAX
    }
}

fn says_the_same(wish: &Wish, address: &[u8]) -> bool {
    wish.original.as_ref().is_none_or(|original| {
        original.kind().eq_ignore_ascii_case("rfc822") && original.address() == address
    })
}

/// RFC 3461 §4.1, §4.2: each parameter at most once, nothing else.
fn wish(parameters: &[Parameter<'_>]) -> Result<Wish, (Reply, Vec<u8>)> {
    let mut wish = Wish::default();
    for (name, value) in parameters {
        let bad = || (Reply::ParameterValue, name.to_vec());
        match (&name.to_ascii_uppercase()[..], value) {
            (b"NOTIFY", Some(value)) if wish.notify.is_none() => {
                wish.notify = Some(Notify::parse(value).ok_or_else(bad)?);
            }
            (b"ORCPT", Some(value)) if wish.original.is_none() => {
                wish.original = Some(Original::parse(value).ok_or_else(bad)?);
            }
            (b"NOTIFY" | b"ORCPT", _) => return Err(bad()),
            _ => return Err((Reply::Parameter, name.to_vec())),
        }
    }
    Ok(wish)
}
