//! The files of the rates of domains (queue-and-delivery.md §4.4): how many
//! deliveries each may have in how much time, and how many it had.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use schedule::{Rate, Usage};

/// Patterns with rates, for domains without a file.
const PATTERNS: &str = "ratecontrol";
/// The rate of all domains that have none, together.
const GLOBAL: &str = ".global";
/// What that is remembered as: the name of no domain.
const NO_DOMAIN: &[u8] = b"@";
/// Most domains that are remembered.
const KEPT_MAX: usize = 10_000;

/// One count: of a domain, or of all that have none of their own.
#[derive(Debug)]
struct Count {
    rate: Rate,
    usage: Usage,
    /// Messages that were told to come again, and when.
    told: HashMap<u64, i64>,
    /// Where it is written down.
    file: Option<PathBuf>,
}

/// All of them; without the directory, nothing is counted.
#[derive(Debug)]
pub struct Rates {
    directory: Option<PathBuf>,
    interval: i64,
    /// Counts by name; `None` has no limit.
    counts: HashMap<Vec<u8>, Option<Count>>,
}

impl Rates {
    /// Those in a directory; counts begin again after `interval` seconds.
    pub fn new(directory: PathBuf, interval: i64) -> Self {
        Self {
            directory: directory.is_dir().then_some(directory),
            interval: interval.max(1),
            counts: HashMap::new(),
        }
    }

    /// Asks for a delivery of a message to a recipient now, and counts it:
    /// `Some` is when to come again. The second value is trouble with a file, which stops no
    /// mail.
    pub fn ask(&mut self, id: u64, recipient: &[u8], now: i64) -> (Option<i64>, Option<String>) {
        let Some(directory) = &self.directory else {
            return (None, None);
        };
        let at = recipient.iter().rposition(|&b| b == b'@');
        let domain = at.map_or(&b""[..], |at| &recipient[at + 1..]);
        let domain = domain.to_ascii_lowercase();
        let mut trouble = None;
        if KEPT_MAX <= self.counts.len() {
            self.counts.clear();
        }
        let mut no_count = |error| {
            trouble = Some(error);
            None
        };
        let own = self
            .counts
            .entry(domain.clone())
            .or_insert_with(|| read(directory, &domain).unwrap_or_else(&mut no_count));
        let name = match own {
            Some(_) => domain,
            None => NO_DOMAIN.into(),
        };
        let count = self.counts.entry(name).or_insert_with(|| {
            let path = directory.join(GLOBAL);
            let shared = count_of(&path).map_err(|error| format!("{}: {error}", path.display()));
            shared.unwrap_or_else(&mut no_count)
        });
        let Some(count) = count else {
            return (None, trouble);
        };
        // A message of many recipients waits for one place at a time.
        if let Some(&until) = count.told.get(&id).filter(|&&until| now < until) {
            return (Some(until), trouble);
        }
        let until = count.usage.ask(count.rate, self.interval, now);
        if KEPT_MAX <= count.told.len() {
            count.told.clear();
        }
        match until {
            Some(until) => count.told.insert(id, until),
            None => count.told.remove(&id),
        };
        if until.is_none()
            && let Some(path) = &count.file
            && let Err(error) = write(path, count)
        {
            trouble = Some(format!("{}: {error}", path.display()));
        }
        (until, trouble)
    }
}

/// The count of a domain: its own file, else the first pattern that fits.
fn read(directory: &Path, domain: &[u8]) -> Result<Option<Count>, String> {
    let name = std::str::from_utf8(domain).unwrap_or_default();
    let is_file = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    if is_file && name != PATTERNS {
        let path = directory.join(name);
        let own = count_of(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if own.is_some() {
            return Ok(own);
        }
    }
    let path = directory.join(PATTERNS);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    for line in text::control::list(&content) {
        let Some(colon) = line.iter().rposition(|&b| b == b':') else {
            continue;
        };
        if text::wildmat::matches(&line[..colon].to_ascii_lowercase(), domain) {
            let rate = Rate::parse(line[colon + 1..].trim_ascii());
            return Ok(Some(Count {
                rate: rate.map_err(|error| failed(&error))?,
                usage: Usage::default(),
                told: HashMap::new(),
                file: None,
            }));
        }
    }
    Ok(None)
}

/// Rate, count, start and last time, a line each.
fn count_of(path: &Path) -> Result<Option<Count>, String> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut lines = content.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    let rate = Rate::parse(lines.next().unwrap_or_default()).map_err(|error| error.to_string())?;
    let mut number = || lines.next().and_then(text::control::integer).unwrap_or(0);
    let (count, start, last) = (number(), number(), number());
    Ok(Some(Count {
        rate,
        usage: Usage::new(u64::try_from(count).unwrap_or(0), start, last),
        told: HashMap::new(),
        file: Some(path.to_owned()),
    }))
}

/// The first line stays as it was written. A crash may lose the last count,
/// not the file.
fn write(path: &Path, count: &Count) -> io::Result<()> {
    let content = fs::read(path)?;
    let mut text = content
        .split(|&b| b == b'\n')
        .next()
        .unwrap_or_default()
        .to_vec();
    let Usage {
        count, start, last, ..
    } = count.usage;
    text.extend_from_slice(format!("\n{count}\n{start}\n{last}\n").as_bytes());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_its_pattern_and_the_rest_have_rates() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).unwrap();
        };
        file("slow.test", "1/10\n");
        file("ratecontrol", "# others\n*.big.test:2/10\nfree.test:100\n");
        file(".global", "1/60\n");
        let open = || Rates::new(directory.path().to_owned(), 86_400);
        let mut rates = open();
        let mut id = 0;
        let mut ask = |recipient: &str, now| {
            id += 1;
            let (until, trouble) = rates.ask(id, recipient.as_bytes(), now);
            assert_eq!(trouble, None);
            until
        };
        assert_eq!(ask("a@Slow.test", 1000), None);
        assert_eq!(ask("b@slow.test", 1001), Some(1010));
        assert_eq!(ask("a@x.big.test", 1001), None);
        assert_eq!(ask("a@x.big.test", 1002), Some(1006));
        assert_eq!(ask("a@y.big.test", 1002), None);
        assert_eq!(ask("a@free.test", 1002), None);
        // All others share one.
        assert_eq!(ask("a@one.test", 1002), None);
        assert_eq!(ask("a@two.test", 1003), Some(1062));
        assert_eq!(ask("../../etc/passwd@../x", 1003), Some(1122));
        let kept = fs::read_to_string(directory.path().join("slow.test")).unwrap();
        assert_eq!(kept, "1/10\n1\n1000\n1000\n");
        // After a restart it goes on from there.
        assert_eq!(open().ask(7, b"a@slow.test", 1005).0, Some(1010));
        assert_eq!(open().ask(7, b"a@slow.test", 1010).0, None);
    }

    #[test]
    fn a_message_of_many_recipients_waits_for_one_place() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("slow.test"), "1/10\n").unwrap();
        let mut rates = Rates::new(directory.path().to_owned(), 86_400);
        let mut ask = |id, now| rates.ask(id, b"a@slow.test", now).0;
        assert_eq!(ask(1, 1000), None);
        for _ in 0..5 {
            assert_eq!(ask(1, 1001), Some(1010));
            assert_eq!(ask(2, 1001), Some(1020));
        }
        assert_eq!(ask(1, 1010), None);
        assert_eq!(ask(1, 1010), Some(1030));
        assert_eq!(ask(2, 1020), None);
    }

    #[test]
    fn what_makes_no_sense_stops_no_mail() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bad.test"), "fast\n").unwrap();
        let mut rates = Rates::new(directory.path().to_owned(), 1);
        let (until, trouble) = rates.ask(7, b"a@bad.test", 1);
        assert!(until.is_none() && trouble.unwrap().contains("bad.test: not a rate"));
        assert_eq!(rates.ask(7, b"a@bad.test", 1), (None, None), "told once");
        let mut none = Rates::new(directory.path().join("missing"), 1);
        assert_eq!(none.ask(7, b"a@bad.test", 1), (None, None));
    }
}
