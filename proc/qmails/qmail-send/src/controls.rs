//! What the control files say.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use address::VirtualDomains;
use run::{SettingError, Settings};
use schedule::{Channel, Lines};
use settings::sending as names;

use crate::bouncing::Bouncing;

/// Values of one queue; which of them HUP changes is in [`Controls::reread`].
#[derive(Debug)]
pub struct Controls {
    /// Deliveries at once wanted, by channel.
    pub limits: [usize; 2],
    /// Channels that start nothing.
    pub held: [bool; 2],
    /// To undo what qmail-todo put in front of recipients.
    pub virtual_domains: VirtualDomains,
    /// How long messages are tried.
    pub lifetime_seconds: i64,
    /// How long messages without sender are tried.
    pub bounce_lifetime_seconds: i64,
    /// How bounces are made, unless a rule changes that.
    pub bouncing: Bouncing,
    /// Rules may change how bounces are made.
    pub has_bounce_rules: bool,
    /// Age at which senders who asked for it hear of a delay.
    pub delay_seconds: i64,
    /// Seconds until an abandoned text is removed.
    pub ossified_seconds: i64,
    /// Where rates of domains are.
    pub rates_directory: PathBuf,
    /// Seconds after which their counts begin again.
    pub rates_seconds: i64,
}

impl Controls {
    /// Reads them all.
    pub fn read(settings: &Settings, queue_name: &str) -> Result<Self, SettingError> {
        let lifetime = settings.integer(&names::QUEUELIFETIME)?.max(0);
        let bounce_lifetime = match settings.is_set(&names::BOUNCELIFETIME)? {
            true => settings.integer(&names::BOUNCELIFETIME)?.clamp(0, lifetime),
            false => lifetime,
        };
        Ok(Self {
            limits: limits(settings, queue_name)?,
            held: held(settings)?,
            virtual_domains: virtual_domains(settings)?,
            lifetime_seconds: lifetime,
            bounce_lifetime_seconds: bounce_lifetime,
            bouncing: Bouncing::read(settings)?,
            has_bounce_rules: settings.list(&names::BOUNCERULES)?.is_some(),
            delay_seconds: settings.integer(&names::DELAYNOTICE)?.max(0),
            ossified_seconds: settings.integer(&settings::queue::OSSIFIED)?,
            rates_directory: match settings.variable(names::RATELIMIT_DIR.variable) {
                Some(path) if !path.is_empty() => OsStr::from_bytes(path).into(),
                _ => "ratelimit".into(),
            },
            rates_seconds: settings.integer(&names::RATELIMIT_INTERVAL)?,
        })
    }

    /// Reads again what HUP changes; a file that cannot be read keeps its old
    /// value and is named.
    pub fn reread(&mut self, settings: &Settings, queue_name: &str) -> Vec<SettingError> {
        let mut errors = Vec::new();
        let mut keep = |result: Result<(), SettingError>| errors.extend(result.err());
        keep(limits(settings, queue_name).map(|limits| self.limits = limits));
        keep(held(settings).map(|held| self.held = held));
        keep(virtual_domains(settings).map(|domains| self.virtual_domains = domains));
        errors
    }

    /// Says whether this process starts programs, and so cannot be confined.
    pub fn starts_programs(&self) -> bool {
        let Bouncing {
            queue_program,
            processor,
            ..
        } = &self.bouncing;
        queue_program.is_some() || processor.is_some() || self.has_bounce_rules
    }

    /// How long a message of this sender is tried.
    pub fn lifetime_of(&self, sender: &[u8]) -> i64 {
        if sender.is_empty() {
            self.bounce_lifetime_seconds
        } else {
            self.lifetime_seconds
        }
    }
}

fn virtual_domains(settings: &Settings) -> Result<VirtualDomains, SettingError> {
    let lines = settings.list(&names::VIRTUALDOMAINS)?.unwrap_or_default();
    Ok(VirtualDomains::new(&lines))
}

/// The queue's own file wins over the global one.
fn limits(settings: &Settings, queue_name: &str) -> Result<[usize; 2], SettingError> {
    let limit = |setting, short: &str| {
        let own = settings.file(&format!("concurrency{short}.{queue_name}"))?;
        let value = match own.as_deref().and_then(text::control::integer) {
            Some(value) => value,
            None => settings.integer(setting)?,
        };
        Ok(usize::try_from(value).unwrap_or(0))
    };
    Ok([
        limit(&names::CONCURRENCYLOCAL, "l")?,
        limit(&names::CONCURRENCYREMOTE, "r")?,
    ])
}

fn held(settings: &Settings) -> Result<[bool; 2], SettingError> {
    let is_held = |setting| Ok(settings.integer(setting)? != 0);
    Ok([is_held(&names::HOLDLOCAL)?, is_held(&names::HOLDREMOTE)?])
}

/// How log lines look: with one queue as in the guide.
pub fn lines(settings: &Settings, queue_name: &str) -> Lines {
    match settings.integer(&settings::queue::QUEUE_COUNT) {
        Ok(count) if 1 < count => Lines::of_queue(queue_name),
        _ => Lines::of_single_queue(),
    }
}

/// Applies what qmail-lspawn and qmail-rspawn can do.
pub fn capped(limits: [usize; 2], spawn_limits: [usize; 2]) -> [usize; 2] {
    Channel::ALL.map(|channel| limits[channel.index()].min(spawn_limits[channel.index()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_own_limit_wins_and_hup_rereads_it() {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        std::fs::create_dir(&control).unwrap();
        let home = run::Home::at(directory.path());
        let settings = Settings::of_files(&home);
        std::fs::write(control.join("concurrencyremote"), "30\n").unwrap();
        let mut controls = Controls::read(&settings, "queue1").unwrap();
        assert_eq!(controls.limits, [10, 30]);
        assert_eq!(controls.bouncing.bytes_max, 50_000);
        assert_eq!(controls.bouncing.wording.double_to, b"postmaster");
        std::fs::write(control.join("concurrencyr.queue1"), "5\n").unwrap();
        std::fs::write(control.join("holdlocal"), "1\n").unwrap();
        assert!(controls.reread(&settings, "queue1").is_empty());
        assert_eq!((controls.limits, controls.held), ([10, 5], [true, false]));
        assert_eq!(capped(controls.limits, [500, 2]), [10, 2]);
    }

    #[test]
    fn an_empty_doublebounceto_is_not_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        std::fs::write(directory.path().join("control/doublebounceto"), "\n").unwrap();
        let settings = Settings::of_files(&run::Home::at(directory.path()));
        assert_eq!(
            Controls::read(&settings, "q")
                .unwrap()
                .bouncing
                .wording
                .double_to,
            b""
        );
    }
}
