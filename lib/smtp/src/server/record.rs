//! What is written down about a message: its `Received` field, the lines of
//! the log.

use message::received_text as clean;
use text::log::safe;

use super::{Moment, Session, Transaction};

impl Session {
    /// The first field of the message (smtp-receiving.md §2.9). It names no
    /// authenticated user, only the domain: the message goes to strangers.
    pub(super) fn received(&self, transaction: &Transaction, now: &Moment) -> Vec<u8> {
        let host = self.peer.host_or_unknown();
        let mut from = clean(host.as_bytes());
        if let Some(hello) = &self.hello
            && !hello.name.eq_ignore_ascii_case(host.as_bytes())
        {
            from += &format!(" (HELO {})", clean(&hello.name));
        }
        let info = self.peer.info.as_deref();
        let info = info.map_or(String::new(), |info| clean(info.as_bytes()) + "@");
        let tls = self.tls.as_ref().map_or(String::new(), |tls| {
            format!(
                " ({} {})",
                clean(tls.version.as_bytes()),
                clean(tls.cipher.as_bytes())
            )
        });
        // What users and relay clients send is ours to answer for, and to
        // sign: as the user's domain, and not as another one of this host.
        let relay = match (&self.identity, &self.peer.relay_suffix) {
            (Some(who), _) => {
                let address = &who.account.address;
                let domain = address.rsplit_once('@').map(|(_, domain)| domain);
                let domain = domain.unwrap_or(&self.config.host);
                format!(" (user of {})", clean(domain.as_bytes()))
            }
            (None, Some(_)) => " (relay client)".to_owned(),
            (None, None) => String::new(),
        };
        format!(
            "Received: from {from} ({info}{})\n  by {} with {}{tls}{relay} id {}; {}\n",
            clean(self.peer.ip.as_bytes()),
            clean(self.config.host.as_bytes()),
            self.protocol(transaction),
            transaction.trace,
            tai::header_date(now.unix_seconds),
        )
        .into_bytes()
    }

    /// RFC 3848, RFC 6531 §4.3.
    fn protocol(&self, transaction: &Transaction) -> String {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let mut word = match (transaction.utf8, extended) {
            (true, _) => "UTF8SMTP",
            (false, true) => "ESMTP",
            (false, false) => "SMTP",
        }
        .to_owned();
        if self.tls.is_some() {
            word.push('S');
        }
        if self.identity.is_some() {
            word.push('A');
        }
        word
    }

    /// The facts of one recipient as log analysers read them
    /// (operations.md §4.4).
    pub(super) fn facts(&self, transaction: &Transaction, recipient: usize, bytes: u64) -> String {
        let hello = self.hello.as_ref().map_or(String::new(), |h| safe(&h.name));
        let recipient = &transaction.recipients[recipient];
        let who = self.identity.as_ref().map(|who| {
            let address = safe(who.account.address.as_bytes());
            format!("{address}: AUTH {}", who.mechanism)
        });
        let auth = match (who, recipient.local) {
            (Some(who), true) => who + ": local-rcpt",
            (Some(who), false) => who,
            (None, true) => "local-rcpt".to_owned(),
            (None, false) => "auth-ip/pop".to_owned(),
        };
        let tls = self.tls.as_ref().map_or("No", |tls| &tls.version);
        let mut facts = format!(
            "HELO <{hello}> MAIL from <{}> RCPT <{}> AUTH <{auth}> Size: {bytes} TLS={tls}",
            safe(&transaction.sender),
            safe(&recipient.address),
        );
        if !transaction.judgement.is_empty() {
            facts.push(' ');
            facts += &transaction.judgement;
        }
        facts
    }
}
