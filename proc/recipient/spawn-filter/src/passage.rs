//! A message on its way through the filters to the program that delivers it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use filter::{FilterLog, Judgement, Passed, Said, SpamFilter};
use inject::{Submission, Way};
use os::child::{Ended, Setup};
use run::{Home, Settings, Tracer};
use settings::front_ends::{
    FILTERARGS, FILTERS_BY_DOMAIN, REJECTSPAM, SPAM_FILTERS, SPAM_REDIRECTS, SPAM_REJECTS,
    SPAMFILTER, SPAMREDIRECT,
};
use settings::queue::QUEUEDIR;
use settings::receiving::DATABYTES;
use text::envrules::Change;

use crate::delivery::{Delivery, Direction, Outcome};
use crate::rules;

/// Programs that would filter a copy again.
const FILTER_VARIABLES: [&str; 4] = ["SPAMFILTER", "FILTERARGS", "QMAILQUEUE", "NULLQUEUE"];
/// Queue for copies, where a site has one.
const COPIES: &str = "nqueue";

/// A message and what is known about it.
pub struct Passage<'a> {
    home: &'a Home,
    /// With what the rules changed.
    settings: Settings,
    changes: Vec<Change>,
    delivery: Delivery,
    message: File,
    /// Descriptor 0 stays open, so that nothing else gets its number.
    _input: File,
}

impl<'a> Passage<'a> {
    /// Applies the rules, and looks at the size.
    pub fn begin(home: &'a Home, settings: &Settings, delivery: Delivery) -> Result<Self, Outcome> {
        let direction = delivery.direction;
        let later = |text: String| Outcome::later(direction, text);
        let trouble = |error: filter::Error| later(run::chain(&error));
        let changes = rules::changes(settings, &delivery)
            .map_err(|text| later(format!("unable to read rules (#4.3.0): {text}")))?;
        let overlay = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let settings = settings.overlaid(overlay);
        let input = os::fd::inherit_file(0)
            .ok_or_else(|| later("unable to read message (#4.3.0)".to_owned()))?;
        // Filters and programs read it from its start, again and again.
        let message = match input.metadata().is_ok_and(|found| found.is_file()) {
            true => input
                .try_clone()
                .map_err(|error| later(error.to_string()))?,
            false => filter::spool(&input).map_err(trouble)?,
        };
        let passage = Self {
            home,
            settings,
            changes,
            delivery,
            message,
            _input: input,
        };
        let most = passage
            .settings
            .integer(&DATABYTES)
            .map_err(|error| later(run::chain(&error)))?;
        if 0 < most && most.unsigned_abs() < passage.bytes() {
            let text = "sorry, that message size exceeds my databytes limit (#5.3.4)";
            return Err(Outcome::refused(direction, text));
        }
        Ok(passage)
    }

    fn bytes(&self) -> u64 {
        self.message.metadata().map_or(0, |found| found.len())
    }

    fn later(&self, text: impl Into<String>) -> Outcome {
        Outcome::later(self.delivery.direction, text)
    }

    fn refused(&self, text: &str) -> Outcome {
        Outcome::refused(self.delivery.direction, text)
    }

    fn trouble(&self, error: &dyn std::error::Error) -> Outcome {
        self.later(format!(
            "unable to run a filter (#4.3.0): {}",
            run::chain(error)
        ))
    }

    /// Filters, and becomes the program; what comes back is why not.
    pub fn go(mut self) -> Result<u8, Outcome> {
        let command = self.setting(SPAMFILTER.variable, &SPAM_FILTERS)?;
        if let Some(command) = command {
            let spared = rules::is_spared(&self.settings, &self.delivery.sender);
            if !spared.map_err(|text| self.later(text))? {
                self.judge(&command)?;
            }
        }
        if let Some(line) = self.setting(FILTERARGS.variable, &FILTERS_BY_DOMAIN)? {
            self.filter(&line)?;
        }
        Err(self.deliver())
    }

    /// A variable that is not empty, else the line of the file.
    fn setting(
        &self,
        variable: &str,
        file: &'static settings::Setting,
    ) -> Result<Option<Vec<u8>>, Outcome> {
        let value = match self.settings.variable(variable) {
            Some(value) => Some(value.to_vec()),
            None => rules::by_domain(&self.settings, file, &self.delivery)
                .map_err(|text| self.later(text))?,
        };
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The environment of everything that is started here.
    fn told<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for (name, value) in &self.changes {
            match value {
                Some(value) => command.env(name, OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn pass(&mut self, mut command: Command, said: Said) -> Result<(Ended, Vec<u8>), Outcome> {
        self.told(&mut command);
        let delivery = &self.delivery;
        for (name, value) in [
            ("DOMAIN", &delivery.domain),
            ("_EXT", &delivery.ext),
            ("_QQEH", &delivery.extra_headers),
            ("_SENDER", &delivery.sender),
            ("_RECIPIENT", &delivery.recipient),
        ] {
            command.env(name, OsStr::from_bytes(value));
        }
        let trouble = |error: &filter::Error| self.trouble(error);
        let mut passed = filter::pass(command, &self.message, said).map_err(|e| trouble(&e))?;
        let (ended, words) = (passed.ended, std::mem::take(&mut passed.said));
        let before = self.message.try_clone();
        let before = before.map_err(|error| self.trouble(&error))?;
        let after = Passed::message(passed, before).map_err(|error| self.trouble(&error))?;
        self.message = after;
        Ok((ended, words))
    }

    fn judge(&mut self, command: &[u8]) -> Result<(), Outcome> {
        // The FIFO of LOGFILTER is told wherever the filter was named.
        let named = [(SPAMFILTER.variable, Some(command))];
        let settings = self.settings.overlaid(named);
        let filter = SpamFilter::new(command, &settings).map_err(|e| self.trouble(&e))?;
        let log = FilterLog::begin(&settings).map_err(|error| self.trouble(&error))?;
        let mut command = filter.command();
        if let Some(log) = &log {
            let descriptor = log.descriptor().map_err(|error| self.trouble(&error))?;
            let setup = Setup {
                descriptors: vec![descriptor],
                ..Setup::default()
            };
            os::child::prepare(&mut command, setup);
        }
        let bytes = self.bytes();
        let (ended, _) = self.pass(command, Said::Inherit)?;
        if let Some(log) = &log {
            self.log(log, bytes)?;
        }
        match filter.judgement(ended) {
            Judgement::Fine => Ok(()),
            Judgement::Spam => self.spam(),
            Judgement::Trouble | Judgement::Crashed => {
                Err(self.later("temporary problem with SPAM filter (#4.3.0)"))
            }
        }
    }

    fn log(&self, log: &FilterLog, bytes: u64) -> Result<(), Outcome> {
        let line = format!(
            "{}: pid {} MAIL from <{}> RCPT <{}> Size: {bytes} {}",
            self.delivery.direction.program(),
            std::process::id(),
            text::log::safe(&self.delivery.sender),
            text::log::safe(&self.delivery.recipient),
            log.line()
        );
        log.tell(&line)
            .map_err(|error| self.later(format!("Unable to queue messages (#4.3.0): {error}")))
    }

    /// A copy may go to somebody who looks at spam; then `REJECTSPAM` decides.
    fn spam(&self) -> Result<(), Outcome> {
        if let Some(address) = self.setting(SPAMREDIRECT.variable, &SPAM_REDIRECTS)? {
            self.copy(address)?;
        }
        let reject = self.setting(REJECTSPAM.variable, &SPAM_REJECTS)?;
        let reject = reject.as_deref().and_then(text::control::integer);
        match reject.unwrap_or(0) {
            0 => Ok(()),
            1 => Err(self.refused("SPAM or junk mail threshold exceeded (#5.7.1)")),
            _ => {
                let tracer = Tracer::connect(self.home, "spawn-filter");
                tracer.discarded(Tracer::id_of_process(), "REJECTSPAM");
                Err(Outcome::dropped(self.delivery.direction))
            }
        }
    }

    /// Queues a copy, without a sender, that is not filtered again.
    fn copy(&self, address: Vec<u8>) -> Result<(), Outcome> {
        let later = |text: String| self.later(format!("unable to redirect spam: {text}"));
        let settings = self
            .settings
            .overlaid(FILTER_VARIABLES.map(|name| (name, None)));
        let queue = self.home.queues().join(COPIES);
        let changes: Vec<Change> = match queue.is_dir() {
            true => FILTER_VARIABLES
                .map(|name| (name.to_owned(), None))
                .into_iter()
                .chain([(
                    QUEUEDIR.variable.to_owned(),
                    Some(queue.as_os_str().as_bytes().to_vec()),
                )])
                .collect(),
            false => Vec::new(),
        };
        let way = Way::choose(self.home, &settings, &changes).map_err(|e| later(e.to_string()))?;
        let begun = Submission::begin(self.home, &way, Tracer::new_id(), None, b"");
        let mut copy = begun.map_err(|error| later(error.to_string()))?;
        let mut message = self.message.try_clone().map_err(|e| later(e.to_string()))?;
        message.rewind().map_err(|error| later(error.to_string()))?;
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = message.read(&mut piece).map_err(|e| later(e.to_string()))?;
            if length == 0 {
                break;
            }
            let written = copy.write(&piece[..length]);
            written.map_err(|error| later(error.to_string()))?;
        }
        let queued = copy.commit(b"", vec![address], Vec::new());
        queued.map_err(|error| later(error.to_string()))?;
        Ok(())
    }

    fn filter(&mut self, line: &[u8]) -> Result<(), Outcome> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(OsStr::from_bytes(line));
        let (ended, said) = self.pass(command, Said::Keep)?;
        match ended {
            Ended::Code(0) => Ok(()),
            Ended::Code(2) => {
                let tracer = Tracer::connect(self.home, "spawn-filter");
                tracer.discarded(Tracer::id_of_process(), "FILTERARGS");
                Err(Outcome::dropped(self.delivery.direction))
            }
            Ended::Code(100) => Err(self.refused("Mail Rejected (#5.7.1)")),
            Ended::Code(code) => {
                let said = text::log::printable(said.trim_ascii(), filter::SAID_BYTES_MAX);
                Err(self.later(format!("filter failed with {code} (#4.3.0): {said}")))
            }
            Ended::Signal(_) => Err(self.later("filter crashed (#4.3.0)")),
        }
    }

    fn deliver(self) -> Outcome {
        let direction = self.delivery.direction;
        let bytes = self.bytes();
        let mut message = match self.message.try_clone() {
            Ok(message) => message,
            Err(error) => return self.trouble(&error),
        };
        if let Err(error) = message.rewind() {
            return self.trouble(&error);
        }
        let path = self.home.bin().join(direction.program());
        let mut command = Command::new(&path);
        let arguments = self.delivery.arguments_for(bytes);
        self.told(&mut command)
            .arg0(direction.program())
            .args(arguments.iter().map(|word| OsStr::from_bytes(word)));
        let setup = Setup {
            descriptors: vec![(0, message.into())],
            ..Setup::default()
        };
        os::child::prepare(&mut command, setup);
        let error = command.exec();
        let later = match direction {
            Direction::Local => "Unable to run qmail-local",
            Direction::Remote => "Unable to run qmail-remote",
        };
        self.later(format!("{later} (#4.3.0): {}: {error}", path.display()))
    }
}
