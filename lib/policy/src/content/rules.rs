//! The lines of both files.

use regex::bytes::{Regex, RegexBuilder};

use crate::addresses::BadPattern;

/// Largest compiled form of one regular expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What is looked for.
#[derive(Debug, Default)]
pub struct Content {
    pub(super) signatures: Vec<Signature>,
    pub(super) bodies: Vec<BodyRule>,
}

/// The beginning of a part.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) prefix: Vec<u8>,
    pub(super) hit: Hit,
}

/// A pattern in a header field, a line of the body, or both.
#[derive(Debug)]
pub(super) struct BodyRule {
    pub(super) regex: Regex,
    pub(super) header: bool,
    pub(super) body: bool,
    pub(super) hit: Hit,
}

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// For the sender and the log.
    pub description: String,
    /// The message is taken and thrown away.
    pub blackhole: bool,
}

/// Where a rule looks, and what then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Action {
    header: bool,
    body: bool,
    blackhole: bool,
}

const ANYWHERE: Action = Action {
    header: true,
    body: true,
    blackhole: false,
};

impl Content {
    /// Reads the lines of `signatures` and of `bodycheck`.
    pub fn new(signatures: &[Vec<u8>], bodies: &[Vec<u8>]) -> Result<Self, BadPattern> {
        let mut content = Self::default();
        for line in signatures {
            let (prefix, hit, action) = split(line);
            // Only bodies are looked at.
            if action.body {
                content.signatures.push(Signature { prefix, hit });
            }
        }
        for line in bodies {
            let (pattern, hit, action) = split(line);
            let bad = || BadPattern {
                line: String::from_utf8_lossy(line).into_owned(),
            };
            let text = std::str::from_utf8(&pattern).map_err(|_| bad())?;
            let regex = RegexBuilder::new(text)
                .case_insensitive(true)
                .unicode(false)
                .size_limit(REGEX_BYTES_MAX)
                .build()
                .map_err(|_| bad())?;
            content.bodies.push(BodyRule {
                regex,
                header: action.header,
                body: action.body,
                hit,
            });
        }
        Ok(content)
    }

    /// Says whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty() && self.bodies.is_empty()
    }
}

/// `WHAT[:DESCRIPTION][:ACTION]`; `\:` is a colon of WHAT.
fn split(line: &[u8]) -> (Vec<u8>, Hit, Action) {
    let mut fields: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let last = fields.len() - 1;
        match byte {
            b'\\' if bytes.peek() == Some(&b':') => {
                bytes.next();
                fields[last].push(b':');
            }
            b':' => fields.push(Vec::new()),
            byte => fields[last].push(byte),
        }
    }
    let named = fields.last().and_then(|field| action(field.trim_ascii()));
    if named.is_some() && 1 < fields.len() {
        fields.pop();
    }
    let action = named.unwrap_or(ANYWHERE);
    // A pattern may have colons of its own: only the last field describes.
    let description = match fields.len() {
        1 => None,
        _ => fields.pop(),
    };
    let what = fields.join(&b':');
    let description = description.filter(|text| !text.trim_ascii().is_empty());
    let shown = description.as_deref().unwrap_or(&what);
    let hit = Hit {
        description: String::from_utf8_lossy(shown).trim().to_owned(),
        blackhole: action.blackhole,
    };
    (what, hit, action)
}

fn action(text: &[u8]) -> Option<Action> {
    let (header, body, blackhole) = match text {
        b"-header" => (true, false, false),
        b"-body" => (false, true, false),
        b"-headerblackhole" => (true, false, true),
        b"-bodyblackhole" => (false, true, true),
        _ => return None,
    };
    Some(Action {
        header,
        body,
        blackhole,
    })
}
