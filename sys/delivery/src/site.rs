//! What all deliveries of one process share.

use std::os::unix::ffi::{OsStrExt, OsStringExt};

use os::group_sync::GroupSync;
use run::{Home, Settings, Tracer};
use settings::{local, site};

use crate::program::{Direct, Programs};

/// Search path of programs when nothing says otherwise.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables of this process that a user's program may see: what it needs to
/// run at all, and what our own programs need to find their way.
const PASSED: &[&str] = &[
    "TZ",
    "LANG",
    "MESSID",
    "QMAILDIR",
    "CONTROLDIR",
    "QMAILQUEUE",
    "QUEUE_BASE",
    "QUEUEDIR",
];

/// Variables a queue program must not inherit: facts of the message that came
/// in, not of the one that goes out.
const NOT_QUEUED: &[&str] = &[
    "QQEH",
    "SPAMFILTER",
    wire::trace::VARIABLE,
    wire::dsn::VARIABLE,
];

/// Names and values of variables.
pub type Environment = Vec<(Vec<u8>, Vec<u8>)>;

/// How the program line of a virtual domain is carried out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VirtualUsers {
    /// As any other program line.
    #[default]
    ByProgram,
    /// Here, without a process.
    InProcess,
}

/// An installation, as the deliveries of one process see it.
pub struct Site {
    /// Where things are.
    pub home: Home,
    /// What is set.
    pub settings: Settings,
    /// Name of this machine, for the names of messages.
    pub host: String,
    /// Name of this host in `Received` lines.
    pub me: String,
    /// How senders of forwarded mail are rewritten.
    pub srs: Option<srs::Srs>,
    /// Delivered-To lines of the recipient that are no loop yet; `None` for
    /// any number.
    pub delivered_to_max: Option<usize>,
    /// Domains of senders that some users take mail from.
    pub local_domains: Option<Vec<Vec<u8>>>,
    /// Collector of events.
    pub tracer: Tracer,
    /// Who runs programs.
    pub programs: Box<dyn Programs>,
    /// Who delivers to virtual users.
    pub virtual_users: VirtualUsers,
    /// Where the environment of users' programs starts.
    pub clean: Environment,
    /// The environment of queue programs.
    pub queue: Environment,
    /// Shares syncs between the threads of a program that delivers many
    /// messages at once.
    pub group: Option<GroupSync>,
}

impl Site {
    /// Takes what this process was started with; call once, at the start.
    pub fn open(program: &'static str, home: Home) -> Result<Self, run::SettingError> {
        let settings = Settings::of_process(&home);
        let host = os::account::host_name();
        let me = match settings.line(&site::ME)? {
            Some(name) => text::log::printable(&name, 255),
            None => host.clone(),
        };
        let inherited: Environment = std::env::vars_os()
            .map(|(name, value)| (name.into_vec(), value.into_vec()))
            .collect();
        Ok(Self {
            clean: clean_environment(&home, &settings, &inherited)?,
            queue: inherited
                .into_iter()
                .filter(|(name, _)| !NOT_QUEUED.iter().any(|n| n.as_bytes() == name))
                .collect(),
            srs: inject::srs::configured(&settings)?,
            delivered_to_max: usize::try_from(settings.integer(&local::MAXDELIVEREDTO)?).ok(),
            local_domains: settings.list(&local::LOCALDOMAINS)?,
            tracer: Tracer::connect(&home, program),
            programs: Box::new(Direct),
            virtual_users: VirtualUsers::ByProgram,
            group: None,
            home,
            settings,
            host,
            me,
        })
    }
}

/// `PATH`, what [`PASSED`] names, the settings of local delivery, and the
/// variables made from the headers that control `envheaders` lists.
fn clean_environment(
    home: &Home,
    settings: &Settings,
    inherited: &Environment,
) -> Result<Environment, run::SettingError> {
    let file = settings.variable("ENVHEADERS").unwrap_or(b"envheaders");
    let listed = match std::str::from_utf8(file) {
        Ok(name) if !name.is_empty() => settings.file(name)?.unwrap_or_default(),
        _ => Vec::new(),
    };
    let names: Vec<u8> = text::control::list(&listed)
        .flat_map(|line| {
            let name = line.split(|&b| b == b':').next().unwrap_or_default();
            [name, b":\n"].concat()
        })
        .collect();
    let from_headers = run::variables::of_headers(&names);
    let passed = |name: &[u8]| {
        let equal = |other: &str| other.as_bytes() == name;
        PASSED.iter().copied().any(equal)
            || name.starts_with(b"QUOTAWARN")
            || local::ALL.iter().any(|setting| equal(setting.variable))
            || from_headers.iter().any(|(variable, _)| equal(variable))
    };
    let path = inherited.iter().find(|(name, _)| name == b"PATH");
    let path = path.map_or(DEFAULT_PATH.as_bytes(), |(_, value)| value);
    let own = home.bin();
    let mut clean = vec![(
        b"PATH".to_vec(),
        [own.as_os_str().as_bytes(), b":", path].concat(),
    )];
    clean.extend(inherited.iter().filter(|(name, _)| passed(name)).cloned());
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_nothing_that_is_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        std::fs::write(
            directory.path().join("control/envheaders"),
            "X-Spam:20\nPATH\n",
        )
        .unwrap();
        let home = Home::at(directory.path());
        let pair = |n: &str, v: &str| (n.as_bytes().to_vec(), v.as_bytes().to_vec());
        let inherited = vec![
            pair("PATH", "/bin"),
            pair("LD_PRELOAD", "/x.so"),
            pair("SECRET", "x"),
            pair("X_SPAM", "yes"),
            pair("TZ", "UTC"),
            pair("NOALIAS", "1"),
        ];
        let clean = clean_environment(&home, &Settings::of_files(&home), &inherited).unwrap();
        let names: Vec<&[u8]> = clean.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, [&b"PATH"[..], b"X_SPAM", b"TZ", b"NOALIAS"]);
        assert!(clean[0].1.ends_with(b"/bin:/bin"));
    }
}
