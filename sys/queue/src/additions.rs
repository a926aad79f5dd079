//! What the site adds to every message it takes
//! (queue-and-delivery.md §3.1.5).

use message::{Collected, Collector, Filter};
use policy::addresses::Mode;
use run::{SettingError, Settings};
use settings::Setting;
use settings::queue::{
    ENVHEADERS, EXTRAQUEUE, FASTQUEUE, LOGHEADERS, MAILARCHIVE, QUARANTINE, REMOVEHEADERS,
};
use settings::receiving::QREGEX;
use wire::trace::TraceId;

use crate::Error;
use crate::archive::Archive;

/// Name of the field the trace event quotes.
const MESSAGE_ID: &str = "Message-ID";
/// Longest Message-ID in a trace event.
const MESSAGE_ID_BYTES_MAX: usize = 998;

/// Lines of the `h` record that no message may write.
const OWN_HEADERS: [&str; 3] = [
    wire::trace::HEADER,
    wire::dsn::HEADER,
    wire::dsn::RECIPIENT_HEADER,
];

/// What is added to, taken from and done with every message.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    recipients: Vec<Vec<u8>>,
    quarantine: Option<Vec<u8>>,
    env_headers: Vec<EnvHeader>,
    removed: Vec<String>,
    logged: Vec<String>,
    archive: Archive,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct EnvHeader {
    name: String,
    bytes_max: usize,
}

/// Says whether a queue writer leaves out all that 3.1.5 allows.
pub fn is_fast(settings: &Settings) -> bool {
    let value = settings.variable(FASTQUEUE.variable);
    value.is_some_and(|value| !value.is_empty())
}

impl Additions {
    /// What the settings say. A variable that is set but empty switches its
    /// feature off; `FASTQUEUE` switches all of them off.
    pub fn configured(settings: &Settings) -> Result<Self, Error> {
        if is_fast(settings) {
            return Ok(Self::default());
        }
        let list = |setting: &Setting| -> Result<_, SettingError> {
            match settings.variable(setting.variable) {
                Some([]) => Ok(Vec::new()),
                _ => Ok(settings.list(setting)?.unwrap_or_default()),
            }
        };
        let names = |setting: &Setting| -> Result<_, SettingError> {
            let lines = list(setting)?;
            Ok(lines
                .iter()
                .filter_map(|line| EnvHeader::parse(line))
                .map(|h| h.name)
                .collect())
        };
        let recipients = match settings.variable(EXTRAQUEUE.variable) {
            Some(address) if !address.is_empty() => vec![address.to_vec()],
            _ => list(&EXTRAQUEUE)?,
        };
        let mode = match settings.integer(&QREGEX)? {
            0 => Mode::Wildcard,
            _ => Mode::Regex,
        };
        Ok(Self {
            recipients,
            quarantine: settings
                .line(&QUARANTINE)?
                .filter(|address| !address.is_empty()),
            env_headers: list(&ENVHEADERS)?
                .iter()
                .filter_map(|l| EnvHeader::parse(l))
                .collect(),
            removed: names(&REMOVEHEADERS)?,
            logged: names(&LOGHEADERS)?,
            archive: Archive::new(&list(&MAILARCHIVE)?, mode)?,
        })
    }

    /// Recipients to place before the message's own.
    pub fn recipients(&self) -> &[Vec<u8>] {
        &self.recipients
    }

    /// Who gets the message instead of its own recipients.
    pub fn quarantine(&self) -> Option<&[u8]> {
        self.quarantine.as_deref()
    }

    /// Who keeps copies of what.
    pub(crate) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Watches a message for the fields that are wanted.
    pub fn collector(&self) -> Collector {
        let names = self.env_headers.iter().map(|header| header.name.as_str());
        let logged = self.logged.iter().map(String::as_str);
        Collector::new(names.chain(logged).chain([MESSAGE_ID]))
    }

    /// Takes out of a message what is not wanted.
    pub fn filter(&self) -> Filter {
        Filter::new(self.removed.iter().map(String::as_str))
    }

    /// The `h` record: the trace first, so that no field of the message can
    /// claim to be it, then the wanted fields.
    pub fn env_headers(&self, trace: TraceId, collected: &[Collected]) -> Vec<u8> {
        let mut lines = trace.to_header().into_bytes();
        for header in &self.env_headers {
            for field in of_name(collected, &header.name) {
                let value = &field.value[..field.value.len().min(header.bytes_max)];
                lines.extend_from_slice(header.name.as_bytes());
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(value);
                lines.push(b'\n');
            }
        }
        lines
    }

    /// The lines for the log, printable.
    pub fn log_lines(&self, collected: &[Collected]) -> Vec<String> {
        let fields = self.logged.iter().flat_map(|name| of_name(collected, name));
        let line = |field: &Collected| {
            let value = text::log::printable(&field.value, field.value.len());
            format!("{}: {value}", field.name)
        };
        fields.map(line).collect()
    }
}

fn of_name<'a>(collected: &'a [Collected], name: &str) -> impl Iterator<Item = &'a Collected> {
    collected
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
}

impl EnvHeader {
    /// `Name` or `Name:bytes`.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (name, limit) = line.split_once(':').unwrap_or((line, ""));
        let name = name.trim();
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_graphic())
            || OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own))
        {
            return None;
        }
        let bytes_max = limit.trim().parse().unwrap_or(usize::MAX);
        Some(Self {
            name: name.to_owned(),
            bytes_max,
        })
    }
}

/// The Message-ID among collected fields, without angle brackets, printable.
pub(crate) fn message_id(collected: &[Collected]) -> Option<String> {
    let field = collected
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(MESSAGE_ID))?;
    let value = field.value.trim_ascii();
    let value = value.strip_prefix(b"<").unwrap_or(value);
    let value = value.strip_suffix(b">").unwrap_or(value);
    Some(text::log::printable(value, MESSAGE_ID_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_fields_travel_and_the_trace_cannot_be_forged() {
        let home = run::Home::at("/nowhere");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("wanted");
        std::fs::write(
            &file,
            "List-Id\nSubject:3\nX-Indimail-Trace\nx-indimail-dsn\n",
        )
        .unwrap();
        let name = file.to_str().unwrap().as_bytes();
        let settings = Settings::of_files(&home)
            .overlaid([("ENVHEADERS", Some(name)), ("EXTRAQUEUE", Some(b"log@x"))]);
        let additions = Additions::configured(&settings).unwrap();
        assert_eq!(additions.recipients(), [b"log@x".to_vec()]);
        let mut collector = additions.collector();
        collector
            .push(b"X-Indimail-Trace: aaaaaaaaaaaaaaaa\nX-Indimail-Dsn: NOTIFY=NEVER\nsubject: long one\nMessage-Id: <a@b>\n\n");
        let collected = collector.finish();
        let trace = TraceId::new(1, 2);
        let lines = additions.env_headers(trace, &collected);
        assert_eq!(
            lines,
            format!("{}Subject: lon\n", trace.to_header()).into_bytes()
        );
        assert_eq!(message_id(&collected).as_deref(), Some("a@b"));
    }
}
