//! The process set of queue-and-delivery.md §4.1 and the pipes between them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use os::account::{Account, AccountError, Identity, group};
use os::beneath::Directory;
use os::child::{Setup, prepare};
use queue::Queues;
use run::{Exit, Home, Settings};

/// As whom the processes run; all the same in a single-user installation.
struct Identities {
    send: Identity,
    clean: Identity,
    local: Identity,
    remote: Identity,
    log: Identity,
}

impl Identities {
    fn look_up() -> Result<Self, AccountError> {
        let me = Identity::of_this_process();
        if !os::account::is_root() {
            return Ok(Self {
                send: me,
                clean: me,
                local: me,
                remote: me,
                log: me,
            });
        }
        let gid = group("qmail")?;
        let member = |name| {
            let uid = Account::by_name(name)?.identity.uid;
            Ok::<_, AccountError>(Identity { uid, gid })
        };
        Ok(Self {
            send: member("qmails")?,
            clean: member("qmailq")?,
            local: Identity { uid: 0, gid },
            remote: member("qmailr")?,
            log: Account::by_name("qmaill")?.identity,
        })
    }
}

/// Both directions between qmail-send and another process.
struct Pair {
    /// Ends of qmail-send: write, read.
    ours: [OwnedFd; 2],
    /// Ends of the other: read, write.
    theirs: [OwnedFd; 2],
}

impl Pair {
    fn new() -> io::Result<Self> {
        let (their_read, our_write) = os::fd::pipe()?;
        let (our_read, their_write) = os::fd::pipe()?;
        Ok(Self {
            ours: [our_write, our_read],
            theirs: [their_read, their_write],
        })
    }
}

/// What all starts need.
struct Starter {
    bin: PathBuf,
    root: PathBuf,
    queue: PathBuf,
    log: OwnedFd,
    identities: Identities,
}

/// Starts everything and becomes qmail-send; comes back only with an error.
pub fn start(default_delivery: &OsStr, logger: &[OsString]) -> Exit {
    match try_start(default_delivery, logger) {
        Ok(never) => match never {},
        Err(exit) => exit,
    }
}

fn try_start(
    default_delivery: &OsStr,
    logger: &[OsString],
) -> Result<std::convert::Infallible, Exit> {
    let fatal = |what: &str, error: &dyn std::fmt::Display| {
        Exit::new(run::TEMPORARY, format!("{what}: {error}"))
    };
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let queues = Queues::configured(&home, &settings)
        .map_err(|error| fatal("cannot find the queue", &error))?;
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| fatal("cannot find the queue", &error))
    };
    let queue = absolute(queues.first())?;
    // Found out here, so that one clear message says it instead of five.
    queue::Layout::detect(&queue).map_err(|error| fatal("cannot use the queue", &error))?;
    let mut starter = Starter {
        bin: absolute(&home.bin())?,
        root: absolute(home.root())?,
        queue,
        log: io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| fatal("cannot use descriptor 1", &error))?,
        identities: Identities::look_up().map_err(|error| fatal("cannot start", &error))?,
    };
    // A queue of another release has none; without it nothing can be held.
    let owner = os::account::is_root().then_some(starter.identities.send);
    if let Err(error) = queue::create_holds(&starter.queue, owner) {
        let hold = starter.queue.join("hold");
        run::warn(
            "qmail-start",
            &format!("cannot make {}: {error}", hold.display()),
        );
    }
    os::account::set_umask(0o077);
    std::env::set_current_dir("/").map_err(|error| fatal("cannot change to /", &error))?;
    let unable = |error: io::Error| fatal("cannot start the processes of the queue", &error);
    if let Some((program, arguments)) = logger.split_first() {
        starter.log = starter.logger(program, arguments).map_err(unable)?;
    }
    starter.everything(default_delivery).map_err(unable)
}

impl Starter {
    fn everything(&self, default_delivery: &OsStr) -> io::Result<std::convert::Infallible> {
        let mess = self.queue.join("mess");
        let ids = &self.identities;
        let (local, remote, clean) = (Pair::new()?, Pair::new()?, Pair::new()?);
        let (todo, todo_clean) = (Pair::new()?, Pair::new()?);

        let mut lspawn = self.program("qmail-lspawn", &mess);
        lspawn.arg(default_delivery);
        self.spawn(lspawn, standard(local.theirs), ids.local)?;
        let rspawn = self.program("qmail-rspawn", &mess);
        self.spawn(rspawn, standard(remote.theirs), ids.remote)?;
        // Shared by all who change `todo`, and locked by qmail-todo: the next
        // one does not begin before the last of these has ended, even when
        // they outlive a killed qmail-send.
        let todo_lock: OwnedFd = Directory::open(&self.queue)?.directory("todo")?.into();
        for theirs in [clean.theirs, todo_clean.theirs] {
            let clean = self.program("qmail-clean", &self.queue);
            let mut descriptors = standard(theirs);
            descriptors.push((3, todo_lock.try_clone()?));
            self.spawn(clean, descriptors, ids.clean)?;
        }
        let [read, write] = todo.theirs;
        let [clean_write, clean_read] = todo_clean.ours;
        let descriptors = vec![
            (0, read),
            (1, write),
            (2, clean_write),
            (3, clean_read),
            (4, self.log.try_clone()?),
            (5, todo_lock),
        ];
        let setup = Setup {
            descriptors,
            identity: Some(ids.send),
            ..Setup::default()
        };
        let mut command = self.program("qmail-todo", &self.queue);
        prepare(&mut command, setup);
        spawn(&mut command)?;

        let mut descriptors: Vec<(RawFd, OwnedFd)> = vec![(0, self.log.try_clone()?)];
        for [write, read] in [local.ours, remote.ours, clean.ours, todo.ours] {
            let number = descriptors.len() as RawFd;
            descriptors.push((number, write));
            descriptors.push((number + 1, read));
        }
        let setup = Setup {
            descriptors,
            identity: Some(ids.send),
            // Changing the user takes away what qmail-daemon asked for.
            signal_when_parent_ends: os::child::signal_when_parent_ends(),
            ..Setup::default()
        };
        let mut send = self.program("qmail-send", &self.queue);
        prepare(&mut send, setup);
        let error = send.exec();
        Err(named(&send, error))
    }

    fn program(&self, name: &str, directory: &Path) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .current_dir(directory)
            .env("QMAILDIR", &self.root)
            .env("QUEUEDIR", &self.queue);
        command
    }

    /// Starts a process with its log on descriptor 2.
    fn spawn(
        &self,
        mut command: Command,
        mut descriptors: Vec<(RawFd, OwnedFd)>,
        identity: Identity,
    ) -> io::Result<()> {
        descriptors.push((2, self.log.try_clone()?));
        let setup = Setup {
            descriptors,
            identity: Some(identity),
            ..Setup::default()
        };
        prepare(&mut command, setup);
        spawn(&mut command)
    }

    /// Starts the logger; where to write to it.
    fn logger(&self, program: &OsStr, arguments: &[OsString]) -> io::Result<OwnedFd> {
        let (read, write) = os::fd::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments);
        let setup = Setup {
            descriptors: vec![(0, read)],
            identity: Some(self.identities.log),
            ..Setup::default()
        };
        prepare(&mut command, setup);
        spawn(&mut command)?;
        Ok(write)
    }
}

fn spawn(command: &mut Command) -> io::Result<()> {
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(error) => Err(named(command, error)),
    }
}

/// Says which program it was.
fn named(command: &Command, error: io::Error) -> io::Error {
    let program = Path::new(command.get_program()).display();
    io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
}

fn standard([read, write]: [OwnedFd; 2]) -> Vec<(RawFd, OwnedFd)> {
    vec![(0, read), (1, write)]
}
