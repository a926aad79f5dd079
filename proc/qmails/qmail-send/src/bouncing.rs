//! How bounces are made: what the control files say, and what rules change
//! for some senders (queue-and-delivery.md §3.7, §4.8).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use policy::Mode;
use run::{Home, SettingError, Settings};
use schedule::{Form, Wording};
use settings::receiving::QREGEX;
use settings::sending as names;
use text::envrules::Change;

/// Swallows bounces when NULLQUEUE is set.
const NULL_QUEUE: &[u8] = b"bin/qmail-nullqueue";
/// Queues bounces for which rules set variables.
const QUEUE: &[u8] = b"bin/qmail-queue";

/// How bounces are made.
#[derive(Clone, Debug)]
pub struct Bouncing {
    /// How they read.
    pub wording: Wording,
    /// Bytes of the message in one.
    pub bytes_max: u64,
    /// Queues them, when set.
    pub queue_program: Option<Vec<u8>>,
    /// Judges them, when set.
    pub processor: Option<Vec<u8>>,
    /// Variables of these programs that differ from ours.
    pub variables: Vec<Change>,
    /// Senders that were rewritten when their mail was forwarded.
    pub srs: Option<srs::Srs>,
}

impl Bouncing {
    /// Reads the control files.
    pub fn read(settings: &Settings) -> Result<Self, SettingError> {
        let line = |setting| Ok(settings.line(setting)?.unwrap_or_default());
        let whole = |name| Ok(settings.file(name)?.unwrap_or_default());
        let program = |name| {
            let value = settings.variable(name).filter(|value| !value.is_empty());
            value.map(<[u8]>::to_vec)
        };
        let queue_program = match settings.variable("NULLQUEUE") {
            Some(_) => Some(NULL_QUEUE.to_vec()),
            None => program(names::BOUNCEQUEUE.variable).or_else(|| program("QMAILQUEUE")),
        };
        Ok(Self {
            wording: Wording {
                from: line(&names::BOUNCEFROM)?,
                host: line(&names::BOUNCEHOST)?,
                subject: line(&names::BOUNCESUBJECT)?,
                double_subject: line(&names::DOUBLEBOUNCESUBJECT)?,
                message: whole(names::BOUNCEMESSAGE.file)?,
                double_message: whole(names::DOUBLEBOUNCEMESSAGE.file)?,
                double_to: double_to(settings)?,
                double_host: line(&names::DOUBLEBOUNCEHOST)?,
                form: Form::parse(&line(&names::BOUNCEFORMAT)?),
            },
            bytes_max: settings
                .integer(&names::BOUNCEMAXBYTES)?
                .max(0)
                .unsigned_abs(),
            queue_program,
            processor: program(names::BOUNCEPROCESSOR.variable),
            variables: Vec::new(),
            srs: inject::srs::configured(settings)?,
        })
    }

    /// What rules make of it for the sender of the message that failed;
    /// `None` when no rule matches. The control files are read again: a rule
    /// may have changed where they are.
    pub fn by_rules(home: &Home, settings: &Settings, sender: &[u8]) -> io::Result<Option<Self>> {
        let lines = settings
            .list(&names::BOUNCERULES)
            .map_err(io::Error::other)?
            .unwrap_or_default();
        let mode = match settings.integer(&QREGEX).map_err(io::Error::other)? {
            0 => Mode::Wildcard,
            _ => Mode::Regex,
        };
        let changes = policy::envrules::changes_for_programs(&lines, sender, mode)
            .map_err(|rule| io::Error::other(format!("bad rule for bounces: {}", rule.line)))?;
        if changes.is_empty() {
            return Ok(None);
        }
        let control = changes.iter().rev().find(|(name, _)| name == "CONTROLDIR");
        let home = match control {
            Some((_, directory)) => {
                let directory = directory.as_deref().unwrap_or(b"control");
                home.with_control(PathBuf::from(OsStr::from_bytes(directory)))
            }
            None => home.clone(),
        };
        let settings = Settings::of_process(&home).overlaid(
            changes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref())),
        );
        let mut new = Self::read(&settings).map_err(io::Error::other)?;
        // The persistent queue writer knows nothing of these variables.
        new.queue_program.get_or_insert_with(|| QUEUE.to_vec());
        new.variables = changes;
        Ok(Some(new))
    }
}

/// An empty first line means "discard", unlike a missing file.
fn double_to(settings: &Settings) -> Result<Vec<u8>, SettingError> {
    match settings.file(names::DOUBLEBOUNCETO.file)? {
        Some(content) => Ok(text::control::line(&content).unwrap_or_default().to_vec()),
        None => Ok(settings.line(&names::DOUBLEBOUNCETO)?.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_changes_the_control_files_for_some_senders() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (name, content) in [
            ("control/bouncefrom", "usual\n"),
            (
                "control/bounce.envrules",
                "*@list.example:CONTROLDIR=other,X=1\n",
            ),
            ("other/bouncefrom", "list-bounce\n"),
            ("other/bounceformat", "plain\n"),
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let home = Home::at(root);
        let settings = Settings::of_files(&home);
        let by_rules = |sender: &[u8]| Bouncing::by_rules(&home, &settings, sender).unwrap();
        assert!(by_rules(b"ann@x").is_none());
        let changed = by_rules(b"owner@list.example").unwrap();
        assert_eq!(changed.wording.from, b"list-bounce");
        assert_eq!(changed.wording.form, Form::Plain);
        assert_eq!(changed.queue_program.as_deref(), Some(QUEUE));
        assert_eq!(changed.variables.len(), 2);
        let usual = Bouncing::read(&settings).unwrap();
        assert_eq!(usual.wording.from, b"usual");
        assert_eq!(usual.queue_program, None);
        std::fs::write(root.join("control/qregex"), "1\n").unwrap();
        let rules = "^owner@.*\\.example$:CONTROLDIR=other\n";
        std::fs::write(root.join("control/bounce.envrules"), rules).unwrap();
        assert!(by_rules(b"owner@list.example").is_some());
        assert!(by_rules(b"an-owner@list.example").is_none());
    }

    #[test]
    fn a_rule_that_makes_no_sense_stops_the_bounce_not_the_mail() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let rules = directory.path().join("control/bounce.envrules");
        std::fs::write(rules, "*:LD_PRELOAD=x\n").unwrap();
        let home = Home::at(directory.path());
        let settings = Settings::of_files(&home);
        assert!(Bouncing::by_rules(&home, &settings, b"ann@x").is_err());
    }
}
