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
mod tests {
    use super::*;

    /// Composes a header under fixed names, time and process.
    fn compose(
        flags: &[&str],
        variables: &[(&str, &str)],
        header: &str,
    ) -> Result<Composed, Error> {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        std::fs::create_dir(&control).unwrap();
        std::fs::write(control.join("me"), "me.example\n").unwrap();
        std::fs::write(control.join("defaulthost"), "here\n").unwrap();
        std::fs::write(control.join("defaultdomain"), "example\n").unwrap();
        let settings = Settings::of_files(&run::Home::at(directory.path()));
        let user = [("USER", Some(&b"joe"[..]))];
        let more = variables.iter().map(|(n, v)| (*n, Some(v.as_bytes())));
        let settings = settings.overlaid(user.into_iter().chain(more));
        let words: Vec<Vec<u8>> = flags.iter().map(|f| f.as_bytes().to_vec()).collect();
        let options = Options::parse(&words, Style::Classic)
            .unwrap()
            .with_letters(&settings);
        let mut lines = HeaderLines::default();
        for line in header.split_inclusive('\n') {
            lines.push(line.as_bytes()).unwrap();
        }
        Composer::read(&settings, &options, 812_090_813, 42)?.compose(&lines, Given::default())
    }

    fn header(flags: &[&str], variables: &[(&str, &str)], old: &str) -> String {
        String::from_utf8(compose(flags, variables, old).unwrap().header).unwrap()
    }

    fn recipients(flags: &[&str], old: &str) -> Vec<String> {
        let recipients = compose(flags, &[], old).unwrap().recipients;
        recipients
            .into_iter()
            .map(|r| String::from_utf8(r).unwrap())
            .collect()
    }

    fn sender(flags: &[&str], variables: &[(&str, &str)], old: &str) -> String {
        String::from_utf8(compose(flags, variables, old).unwrap().sender).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_before_the_rest() {
        assert_eq!(
            header(&[], &[("NAME", "Joe \"J\"")], "Subject: hi\nto: ann\n"),
            "Date: 26 Sep 1995 04:46:53 -0000\n\
             Message-ID: <19950926044653.42.indimail@me.example>\n\
             From: \"Joe \\\"J\\\"\" <joe@here.example>\n\
             Subject: hi\n\
             to: ann@here.example\n"
        );
        let complete = "Date: now\nMessage-ID: <1@x.y>\nFrom: a@b.c\nTo: d@e.f\n";
        assert_eq!(header(&[], &[], complete), complete);
    }

    #[test]
    fn arguments_leave_the_recipients_of_the_header_alone() {
        assert!(header(&["bob"], &[], "To: ann fred\nFrom: x\n").contains("To: ann fred\n"));
        assert!(header(&["bob"], &[], "From: x\n").contains("From: x@here.example\n"));
        assert!(header(&["bob"], &[], "").contains("Cc: recipient list not shown: ;\n"));
        assert_eq!(recipients(&["bob"], "To: ann\n"), ["bob@here.example"]);
        assert_eq!(
            recipients(&["-h", "bob"], "To: ann\n"),
            ["ann@here.example"]
        );
        assert_eq!(recipients(&["-a"], "To: ann\n"), [""; 0]);
        let both = recipients(&["-H", "bob"], "To: ann\nBcc: carl\n");
        assert_eq!(
            both,
            ["ann@here.example", "carl@here.example", "bob@here.example"]
        );
    }

    #[test]
    fn what_nobody_should_see_is_deleted() {
        let old = "Bcc: carl\nContent-Length: 7\nReturn-Path: <x@y.z>\nTo: ann\nX: y\n";
        let new = header(&[], &[], old);
        assert!(new.ends_with("To: ann@here.example\nX: y\n"), "{new}");
        assert!(!new.contains("carl") && !new.contains("Return-Path"));
        assert!(!new.contains("Content-Length"));
    }

    #[test]
    fn a_resent_message_goes_to_its_new_recipients() {
        let old = "Resent-To: bob\nTo: ann@b.c\nFrom: x@y.z\n";
        assert_eq!(recipients(&[], old), ["bob@here.example"]);
        assert_eq!(
            header(&[], &[], old),
            "Resent-Date: 26 Sep 1995 04:46:53 -0000\n\
             Resent-Message-ID: <19950926044653.42.indimail@me.example>\n\
             Resent-From: joe@here.example\n\
             Resent-To: bob@here.example\nTo: ann@b.c\nFrom: x@y.z\n"
        );
    }

    #[test]
    fn the_sender_is_the_flag_then_the_return_path_then_the_user() {
        assert_eq!(sender(&[], &[], "To: a\n"), "joe@here.example");
        let user = [
            ("QMAILUSER", "u"),
            ("QMAILHOST", "h.i"),
            ("QMAILSUSER", "s"),
        ];
        assert_eq!(sender(&[], &user, "To: a\n"), "s@h.i");
        assert_eq!(
            sender(&[], &[], "Return-Path: <x>\nTo: a\n"),
            "x@here.example"
        );
        assert_eq!(sender(&[], &[], "Return-Path: <>\nTo: a\n"), "");
        let ignore = [("QMAILINJECT", "s")];
        assert_eq!(
            sender(&[], &ignore, "Return-Path: <x>\n"),
            "joe@here.example"
        );
        assert_eq!(
            sender(&["-f", "y@z"], &[], "Return-Path: <x>\n"),
            "y@z.example"
        );
        assert_eq!(sender(&["-f", ""], &[], "To: a\n"), "");
        assert_eq!(sender(&["-f", "#@[]"], &[], "To: a\n"), "#@[]");
    }

    #[test]
    fn verp_marks_the_sender() {
        let both = [("QMAILINJECT", "rm"), ("QMAILHOST", "h.i")];
        assert_eq!(sender(&[], &both, ""), "joe-812090813.42-@h.i-@[]");
        let recipient = [("QMAILINJECT", "r")];
        assert_eq!(
            sender(&[], &recipient, "Return-Path: <x@y.z>\n"),
            "x@y.z-@[]"
        );
        assert_eq!(sender(&["-f", "x@y.z"], &recipient, ""), "x@y.z");
    }

    #[test]
    fn letters_drop_and_shape_fields() {
        let letters = [("QMAILINJECT", "cfi"), ("NAME", "J (x)")];
        let new = header(
            &[],
            &letters,
            "From: old@x.y\nMessage-ID: <1@x>\nTo: a@b.c\n",
        );
        assert!(
            new.contains("From: joe@here.example (J \\(x\\))\n"),
            "{new}"
        );
        assert!(!new.contains("old@x.y") && !new.contains("<1@x>"));
    }

    #[test]
    fn lists_are_followed_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lists");
        std::fs::write(&file, "LIST@x.y\n").unwrap();
        let mft = [("QMAILMFTFILE", file.to_str().unwrap())];
        let new = header(&[], &mft, "To: list@x.y\nCc: Bob <bob>\n");
        assert!(
            new.contains("Mail-Followup-To: list@x.y,\n  bob@here.example\n"),
            "{new}"
        );
        assert!(!header(&[], &mft, "To: bob@x.y\n").contains("Followup"));
    }

    // Attack 11.
    #[test]
    fn variables_and_lines_cannot_add_fields() {
        let name = [("NAME", "x\nBcc: evil@x.y")];
        assert!(!header(&[], &name, "To: a\n").contains("\nBcc"));
        let error = compose(&[], &[], "To: \"a\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unable to parse this line: To: ")
        );
        assert!(error.is_permanent());
    }

    #[test]
    fn any_header_is_composed_or_refused_and_composing_again_changes_nothing() {
        let alphabet: [&[u8]; 14] = [
            b"To",
            b"Cc",
            b"Bcc",
            b"From",
            b"Date",
            b"Resent-To",
            b":",
            b" ",
            b"\n",
            b",",
            b"ann",
            b"<b@c>",
            b";",
            b"(\xff)",
        ];
        arbtest::arbtest(|u| {
            let letters: Vec<u8> = u.arbitrary()?;
            let pieces = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()]);
            let text: Vec<u8> = pieces.flatten().copied().collect();
            let Ok(once) = compose_bytes(&text) else {
                return Ok(());
            };
            let seen = String::from_utf8_lossy(&once.header).to_lowercase();
            let name = |line: &str| line.split(':').next().unwrap_or_default().trim_end() == "bcc";
            assert!(!seen.lines().any(name), "{seen}");
            let again = compose_bytes(&once.header).unwrap();
            assert_eq!(String::from_utf8_lossy(&again.header).to_lowercase(), seen);
            Ok(())
        });
    }

    fn compose_bytes(text: &[u8]) -> Result<Composed, Error> {
        let settings = Settings::of_files(&run::Home::at("/nonexistent"));
        let settings = settings.overlaid([
            ("USER", Some(&b"joe"[..])),
            ("QMAILDEFAULTHOST", Some(b"here.example")),
            ("QMAILDEFAULTDOMAIN", Some(b"example")),
            ("QMAILPLUSDOMAIN", Some(b"plus.example")),
            ("QMAILIDHOST", Some(b"me.example")),
        ]);
        let options = Options::default();
        let mut header = HeaderLines::default();
        for line in text.split_inclusive(|&b| b == b'\n') {
            if header.push(line)? != message::Line::Header {
                break;
            }
        }
        Composer::read(&settings, &options, 812_090_813, 42)?.compose(&header, Given::default())
    }
}
