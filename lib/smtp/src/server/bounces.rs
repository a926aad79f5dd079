//! BATV at the door: our own tags come off, and bounces without one stay out
//! (smtp-receiving.md §2.11).

use policy::AddressList;
use policy::batv::{self, Tag};
use text::log::safe;

use super::{Moment, Reply, Session};

/// The keys and exceptions.
#[derive(Debug, Default)]
pub struct Batv {
    /// signkey: the first signs, all verify.
    pub keys: Vec<Vec<u8>>,
    /// signkeystale, in days.
    pub days_max: u16,
    /// nosignhosts, as `@host` lines: their bounces need no tag.
    pub free_hosts: AddressList,
    /// nosignmydoms, as `@domain` lines: their mail has no tag.
    pub free_domains: AddressList,
}

impl Session {
    /// A sender that is our own tagged address, without the tag.
    pub(super) fn untagged_sender(&self, sender: Vec<u8>, now: &Moment) -> Vec<u8> {
        match self.tag(&sender, now) {
            Some(Tag::Good(original)) => original,
            _ => sender,
        }
    }

    /// The recipient without its tag, or why it is refused. Refusals come
    /// after all other checks, so that they tell nobody who exists.
    pub(super) fn untagged_recipient(
        &self,
        recipient: Vec<u8>,
        now: &Moment,
    ) -> (Vec<u8>, Option<Reply>) {
        let (Some(batv), Some(transaction)) = (&self.config.batv, &self.transaction) else {
            return (recipient, None);
        };
        let tag = self.tag(&recipient, now).unwrap_or(Tag::None);
        let reply = match &tag {
            Tag::Good(_) => None,
            Tag::None => Some(Reply::BounceUntagged),
            Tag::Bad => Some(Reply::BounceTag),
            Tag::Expired => Some(Reply::BounceExpired),
        };
        let sender = &transaction.sender;
        let is_free = !is_bounce(sender)
            || self.may_relay()
            || is_role(&recipient)
            || batv.free_hosts.matching(sender).is_some()
            || batv.free_domains.matching(&recipient).is_some();
        match tag {
            Tag::Good(original) => (original, None),
            // Tags of other sites are left alone.
            _ => (recipient, reply.filter(|_| !is_free)),
        }
    }

    pub(super) fn log_bad_bounce(&mut self, recipient: &[u8]) {
        let line = format!("bad bounce: at {} to {}", self.peer.ip, safe(recipient));
        self.log(line);
    }

    fn tag(&self, address: &[u8], now: &Moment) -> Option<Tag> {
        let batv = self.config.batv.as_ref()?;
        let today = batv::day(now.unix_seconds);
        Some(batv::verify(&batv.keys, today, batv.days_max, address))
    }
}

/// Nobody, or a mailer daemon.
fn is_bounce(sender: &[u8]) -> bool {
    let local = sender.split(|&b| b == b'@').next().unwrap_or_default();
    sender.is_empty() || local.eq_ignore_ascii_case(b"mailer-daemon")
}

/// Whoever is in charge must always be reached.
fn is_role(recipient: &[u8]) -> bool {
    let local = recipient.split(|&b| b == b'@').next().unwrap_or_default();
    local.eq_ignore_ascii_case(b"postmaster") || local.eq_ignore_ascii_case(b"abuse")
}
