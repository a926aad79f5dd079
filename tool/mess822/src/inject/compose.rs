//! The header a message leaves with (queue-and-delivery.md §3.2.5, §3.2.6).

use message::{AddressList, Field, HeaderLines, HostRules, Names};
use run::Settings;
use settings::injecting;
use tai::Civil;

use super::Error;
use super::options::{Options, Style};
use super::sender::Person;

/// Rewritten only when they say who gets the message.
const RECIPIENTS: &[&str] = &["to", "cc", "bcc", "apparently-to"];
const RESENT_RECIPIENTS: &[&str] = &["resent-to", "resent-cc", "resent-bcc"];
/// Rewritten always.
const ADDRESSES: &[&str] = &[
    "sender",
    "from",
    "reply-to",
    "return-receipt-to",
    "errors-to",
    "resent-sender",
    "resent-from",
    "resent-reply-to",
];
/// Never sent on.
const DELETED: &[&str] = &["bcc", "resent-bcc", "return-path", "content-length"];
const RESENT_PREFIX: &str = "resent-";
const RESENT: &[&str] = &[
    "sender",
    "from",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
];

/// What decides about a header.
#[derive(Debug)]
pub struct Composer<'a> {
    names: Names,
    id_host: Vec<u8>,
    person: Person,
    followup_lists: Vec<Vec<u8>>,
    options: &'a Options,
    now: i64,
    pid: u32,
}

/// What fields of new-inject say about the envelope, as address lists.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// `Envelope-Sender`
    pub sender: Option<Vec<u8>>,
    /// `Envelope-Recipients`
    pub recipients: Option<Vec<u8>>,
}

/// A message's new header and its envelope.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Composed {
    /// The fields, without the empty line after them.
    pub header: Vec<u8>,
    /// Envelope sender.
    pub sender: Vec<u8>,
    /// Envelope recipients.
    pub recipients: Vec<Vec<u8>>,
    /// Its Message-ID without brackets, for the trace.
    pub message_id: Option<String>,
}

impl<'a> Composer<'a> {
    /// Reads the control files and the environment.
    pub fn read(
        settings: &Settings,
        options: &'a Options,
        now: i64,
        pid: u32,
    ) -> Result<Self, Error> {
        let line =
            |setting| -> Result<Vec<u8>, Error> { Ok(settings.line(setting)?.unwrap_or_default()) };
        let followup_lists = match settings.variable(injecting::QMAILMFTFILE.variable) {
            Some(_) => settings.list(&injecting::QMAILMFTFILE)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let [host, domain, plus] = [
            line(&injecting::DEFAULTHOST)?,
            line(&injecting::DEFAULTDOMAIN)?,
            line(&injecting::PLUSDOMAIN)?,
        ];
        let names = match options.style {
            Style::Classic => Names::new(&host, &domain, &plus),
            Style::New => Names::by_rules(match settings.list(&injecting::REWRITE)? {
                Some(lines) => HostRules::parse(&lines).map_err(Error::Rewrite)?,
                None => HostRules::standard(&host, &domain, &plus),
            }),
        };
        Ok(Self {
            names,
            id_host: line(&injecting::IDHOST)?,
            person: Person::read(settings),
            followup_lists,
            options,
            now,
            pid,
        })
    }

    /// With another person as the author.
    pub fn with_person(mut self, person: Person) -> Self {
        self.person = person;
        self
    }

    /// Rewrites what is there and adds what is missing. Beside the fields of
    /// qmail-inject, `given` may say what the envelope is.
    pub fn compose(&self, header: &HeaderLines, given: Given) -> Result<Composed, Error> {
        let has = |name: &str| header.fields().any(|field| field.is(name));
        let resent = header.fields().any(|field| is_resent(&field));
        let wanted = if resent {
            RESENT_RECIPIENTS
        } else {
            RECIPIENTS
        };
        let mut old = Vec::new();
        let mut recipients = Vec::new();
        let mut return_path = None;
        for field in header.fields() {
            let rewritten = self.rewrite(&field)?;
            if let Some(list) = &rewritten {
                if is_one_of(&field, wanted) && self.options.use_header() {
                    recipients.extend(list.addresses());
                }
                if field.is("return-path") && return_path.is_none() {
                    return_path = list.addresses().next();
                }
            }
            if self.is_dropped(&field) {
                continue;
            }
            match rewritten {
                Some(list) => old.extend(list.to_field(field.name)),
                None => old.extend_from_slice(field.raw),
            }
        }
        if let Some(list) = given.recipients
            && self.options.use_header()
        {
            recipients = self.addresses(&list)?;
        }
        if self.options.use_arguments() {
            let arguments = self.options.recipients.iter();
            recipients.extend(arguments.map(|address| self.names.complete(address)));
        }
        let person = &self.person;
        let sender = match given.sender {
            Some(list) if self.options.sender.is_none() => self
                .addresses(&list)?
                .into_iter()
                .next()
                .unwrap_or_default(),
            _ => person.envelope_sender(&self.names, self.options, return_path, self.now, self.pid),
        };
        let mut new = Vec::new();
        let prefix: &[u8] = if resent { b"Resent-" } else { b"" };
        let missing = |name: &str| {
            let dropped = (self.options.drop_from && name == "from")
                || (self.options.drop_message_id && name == "message-id");
            let full = format!("{}{name}", if resent { RESENT_PREFIX } else { "" });
            !has(&full) || (dropped && !resent)
        };
        let mut add = |field: &[u8]| {
            new.extend_from_slice(prefix);
            new.extend_from_slice(field);
        };
        if missing("date") {
            add(format!("Date: {}\n", tai::header_date(self.now)).as_bytes());
        }
        let id = self.message_id();
        if missing("message-id") {
            add(&[b"Message-ID: <", id.as_slice(), b">\n"].concat());
        }
        if missing("from") {
            add(&person.field_from(&self.names, self.options));
        }
        if missing("to") && missing("cc") {
            add(b"Cc: recipient list not shown: ;\n");
        }
        if !resent && !has("mail-followup-to") {
            new.extend(self.mail_followup_to(header));
        }
        let kept_id = header
            .fields()
            .find(|field| field.is("message-id") && !self.is_dropped(field))
            .map_or(id, |field| field.unfolded());
        let kept_id = kept_id.strip_prefix(b"<").unwrap_or(&kept_id);
        let kept_id = kept_id.strip_suffix(b">").unwrap_or(kept_id);
        new.extend(old);
        Ok(Composed {
            header: new,
            sender,
            recipients,
            message_id: Some(text::log::printable(kept_id, 256)),
        })
    }

    /// The addresses of a field, complete; `None` for fields that stay as
    /// they are.
    fn rewrite(&self, field: &Field<'_>) -> Result<Option<AddressList>, Error> {
        let recipients = is_one_of(field, RECIPIENTS) || is_one_of(field, RESENT_RECIPIENTS);
        let always = is_one_of(field, ADDRESSES) || field.is("return-path");
        let rewritten = self.options.use_header() || self.options.rewrites_always();
        let concerned = always || (recipients && rewritten);
        if !concerned {
            return Ok(None);
        }
        self.list(field.value, field.raw).map(Some)
    }

    fn list(&self, value: &[u8], shown: &[u8]) -> Result<AddressList, Error> {
        let mut list = AddressList::parse(value).map_err(|source| Error::Syntax {
            line: text::log::printable(shown.trim_ascii_end(), 400),
            source,
        })?;
        list.rewrite(&self.names);
        Ok(list)
    }

    fn addresses(&self, value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.list(value, value)?.addresses().collect())
    }

    fn is_dropped(&self, field: &Field<'_>) -> bool {
        is_one_of(field, DELETED)
            || (self.options.drop_from && field.is("from"))
            || (self.options.drop_message_id && field.is("message-id"))
    }

    fn message_id(&self) -> Vec<u8> {
        let c = Civil::from_unix(self.now);
        let mut id = format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}.{}.indimail@",
            c.year, c.month, c.day, c.hour, c.minute, c.second, self.pid
        )
        .into_bytes();
        id.extend(self.id_host.iter().filter(|b| b.is_ascii_graphic()));
        id
    }

    /// A list that knows who reads it wants no copies for its readers.
    fn mail_followup_to(&self, header: &HeaderLines) -> Vec<u8> {
        let mut everybody: Vec<Vec<u8>> = Vec::new();
        let mut known = false;
        for field in header.fields().filter(|f| f.is("to") || f.is("cc")) {
            let Ok(mut list) = AddressList::parse(field.value) else {
                continue;
            };
            list.rewrite(&self.names);
            known |= list.addresses().any(|address| {
                let mut lists = self.followup_lists.iter();
                lists.any(|list| list.eq_ignore_ascii_case(&address))
            });
            everybody.extend(list.bare());
        }
        if !known {
            return Vec::new();
        }
        [
            b"Mail-Followup-To: ",
            &everybody.join(&b",\n  "[..])[..],
            b"\n",
        ]
        .concat()
    }
}

fn is_one_of(field: &Field<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| field.is(name))
}

fn is_resent(field: &Field<'_>) -> bool {
    let (prefix, name) = match field.name.split_at_checked(RESENT_PREFIX.len()) {
        Some(halves) => halves,
        None => return false,
    };
    prefix.eq_ignore_ascii_case(RESENT_PREFIX.as_bytes())
        && RESENT
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests;
