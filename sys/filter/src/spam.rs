//! `SPAMFILTER` and what its exit codes mean.

use std::ffi::OsString;
use std::process::Command;

use os::child::Ended;
use run::Settings;
use settings::Setting;
use settings::front_ends::{HAMEXITCODE, SPAMEXITCODE, SPAMFILTERARGS, UNSUREEXITCODE};

use crate::{Error, words};

/// Exit codes that are no trouble, whatever else is said.
const NORMAL: std::ops::RangeInclusive<i64> = 0..=2;

/// What a spam filter says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// No spam, or nobody knows.
    Fine,
    /// Spam.
    Spam,
    /// It did not work.
    Trouble,
    /// It was killed.
    Crashed,
}

/// A spam filter of the settings.
#[derive(Clone, Debug)]
pub struct SpamFilter {
    command: Vec<OsString>,
    spam: Option<i64>,
    fine: Vec<i64>,
}

impl SpamFilter {
    /// The program `command`, with `SPAMFILTERARGS`, and what
    /// `SPAMEXITCODE`, `HAMEXITCODE` and `UNSUREEXITCODE` say. Without a
    /// `SPAMEXITCODE` nothing is spam.
    pub fn new(command: &[u8], settings: &Settings) -> Result<Self, Error> {
        let mut line = words(command, settings)?;
        let set = |name| settings.variable(name).filter(|v: &&[u8]| !v.is_empty());
        if let Some(more) = set(SPAMFILTERARGS.variable) {
            line.extend(words(more, settings)?);
        }
        let code = |setting: &'static Setting| match set(setting.variable) {
            Some(_) => settings.integer(setting).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            command: line,
            spam: code(&SPAMEXITCODE)?,
            fine: [code(&HAMEXITCODE)?, code(&UNSUREEXITCODE)?]
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    /// The command, without a shell; PATH finds a bare name.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        command
    }

    /// What its end means.
    pub fn judgement(&self, ended: Ended) -> Judgement {
        let Ended::Code(code) = ended else {
            return Judgement::Crashed;
        };
        match i64::from(code) {
            code if Some(code) == self.spam => Judgement::Spam,
            code if self.fine.contains(&code) || NORMAL.contains(&code) => Judgement::Fine,
            _ => Judgement::Trouble,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::Home;

    #[test]
    fn exit_codes_mean_what_the_settings_say() {
        let judge = |variables: &[(&str, &str)], code| {
            let settings = Settings::of_files(&Home::at("/nowhere"));
            let variables = variables
                .iter()
                .map(|(name, value)| (*name, Some(value.as_bytes())));
            let settings = settings.overlaid(variables);
            let filter = SpamFilter::new(b"judge", &settings).unwrap();
            filter.judgement(Ended::Code(code))
        };
        for code in [0, 1, 2] {
            assert_eq!(judge(&[], code), Judgement::Fine);
        }
        assert_eq!(judge(&[], 3), Judgement::Trouble);
        let codes = [
            ("SPAMEXITCODE", "0"),
            ("HAMEXITCODE", "7"),
            ("UNSUREEXITCODE", "9"),
        ];
        assert_eq!(judge(&codes, 0), Judgement::Spam);
        assert_eq!(judge(&codes, 7), Judgement::Fine);
        assert_eq!(judge(&codes, 9), Judgement::Fine);
        assert_eq!(judge(&codes, 8), Judgement::Trouble);
        assert_eq!(judge(&[("SPAMEXITCODE", "")], 0), Judgement::Fine);
    }
}
