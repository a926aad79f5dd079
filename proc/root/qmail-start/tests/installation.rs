//! A single-user installation in a temporary directory.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Once;
use std::time::{Duration, Instant};

use os::account::{Account, Identity};
use os::child::{Setup, prepare};
use os::signal::Signal;
use queue::Layout;
use testkit::{copy_program, write_script};

/// Who runs it when the tests run as root: single-user mode is for others.
const NOBODY: Identity = Identity {
    uid: 65534,
    gid: 65534,
};
const PROGRAMS: [&str; 11] = [
    "qmail-daemon",
    "qmail-start",
    "qmail-send",
    "qmail-todo",
    "qmail-clean",
    "qmail-lspawn",
    "qmail-rspawn",
    "qmail-getpw",
    "qmail-local",
    "qmail-queue",
    "qmail-queued",
];
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Installation {
    directory: tempfile::TempDir,
    #[allow(dead_code)] // Kept until the end.
    in_memory: Option<tempfile::TempDir>,
    pub layout: Layout,
    running: Vec<Child>,
    /// As whom programs are started when the tests run as root.
    identity: Option<Identity>,
    /// The queue is where C software has it, and deliveries are real.
    is_classic: bool,
}

/// Builds the programs next to the one under test.
fn build() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet"]);
        for program in PROGRAMS {
            cargo.args(["-p", program]);
        }
        assert!(cargo.status().unwrap().success());
    });
    let program = PathBuf::from(env!("CARGO_BIN_EXE_qmail-start"));
    program.parent().unwrap().to_owned()
}

impl Installation {
    /// `local` and `remote` are the bodies of shell scripts.
    pub fn new(local: &str, remote: &str) -> Self {
        let programs = build();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        for name in [
            "bin",
            "control",
            "alias",
            "queue",
            "run",
            "run/queue",
            "users",
        ] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for program in PROGRAMS {
            copy_program(programs.join(program), root.join("bin"));
        }
        for (name, body) in [("local", local), ("remote", remote)] {
            let path = root.join("bin").join(name);
            write_script(&path, &format!("#!/bin/sh\n{body}\n"));
        }
        let queue = root.join("queue/queue1");
        queue::create(&queue, None).unwrap();
        let new = Self {
            directory,
            in_memory: None,
            layout: Layout::detect(&queue).unwrap(),
            running: Vec::new(),
            identity: os::account::is_root().then_some(NOBODY),
            is_classic: false,
        };
        new.control("me", "here.example\n");
        own_all(&root);
        new
    }

    /// The same with a user for each process; `None` where the tests do not
    /// run as root or the accounts do not exist.
    pub fn of_root(local: &str, remote: &str) -> Option<Self> {
        let gid = os::account::group("qmail")
            .ok()
            .filter(|_| os::account::is_root())?;
        let member = |name| {
            let uid = Account::by_name(name).ok()?.identity.uid;
            Some(Identity { uid, gid })
        };
        let owners = queue::Owners {
            qmailq: member("qmailq")?,
            qmails: member("qmails")?,
            qmailr: member("qmailr")?,
        };
        let alias = member("alias")?;
        let mut new = Self::new(local, remote);
        new.identity = None;
        for directory in ["bin", "control", "queue", "run", "users"] {
            chown(new.root().join(directory), Some(0), Some(0)).unwrap();
        }
        chown(new.root().join("alias"), Some(alias.uid), Some(gid)).unwrap();
        // The scripts of several users write beside each other.
        fs::set_permissions(new.root(), fs::Permissions::from_mode(0o777)).unwrap();
        queue::create(new.layout.root(), Some(&owners)).unwrap();
        Some(new)
    }

    /// Puts the queue where files cost little, so that a test can make very
    /// many; where there is no such place it stays.
    pub fn put_queue_into_memory(&mut self) {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return;
        };
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (queue, there) = (self.layout.root(), directory.path().join("queue1"));
        fs::remove_dir_all(queue).unwrap();
        queue::create(&there, None).unwrap();
        own_all(&there);
        std::os::unix::fs::symlink(&there, queue).unwrap();
        self.in_memory = Some(directory);
    }

    /// Puts a queue of another split in the place of ours, as C software made
    /// it.
    pub fn split_queue(&mut self, split: u64, todo_is_split: bool) {
        let queue = self.layout.root().to_owned();
        fs::remove_dir_all(&queue).unwrap();
        let todo: &[&str] = if todo_is_split {
            &["todo", "intd"]
        } else {
            &[]
        };
        for name in ["mess", "info", "local", "remote"].iter().chain(todo) {
            for n in 0..split {
                fs::create_dir_all(queue.join(name).join(n.to_string())).unwrap();
            }
        }
        queue::create(&queue, None).unwrap();
        own_all(&queue);
        self.layout = Layout::detect(&queue).unwrap();
    }

    /// Puts a queue in place as C software makes it, one and not in a
    /// collection, without anything of ours. Local deliveries are real then.
    pub fn make_classic(&mut self) {
        const SPLIT: u64 = 23;
        let queue = self.root().join("queue");
        fs::remove_dir_all(&queue).unwrap();
        for name in ["mess", "info", "local", "remote"] {
            for n in 0..SPLIT {
                fs::create_dir_all(queue.join(name).join(n.to_string())).unwrap();
            }
        }
        for name in ["pid", "intd", "todo", "bounce", "lock"] {
            fs::create_dir(queue.join(name)).unwrap();
        }
        fs::write(queue.join("lock/sendmutex"), "").unwrap();
        fs::write(queue.join("lock/tcpto"), [0; 1024]).unwrap();
        os::file::make_fifo(&queue.join("lock/trigger"), 0o622).unwrap();
        own_all(&queue);
        self.layout = Layout::detect(&queue).unwrap();
        self.is_classic = true;
    }

    /// Makes everything below a directory belong to the installation.
    pub fn own_all(&self, directory: &str) {
        own_all(&self.root().join(directory));
    }

    /// The user that programs run as.
    pub fn user(&self) -> Identity {
        self.identity.unwrap_or_else(Identity::of_this_process)
    }

    /// The process started last.
    pub fn pid(&self) -> u32 {
        self.running.last().unwrap().id()
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn control(&self, name: &str, content: &str) {
        fs::write(self.root().join("control").join(name), content).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root().join("bin").join(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.root())
            .env("QMAILLOCAL", self.root().join("bin/local"))
            .env("QMAILREMOTE", self.root().join("bin/remote"));
        if self.is_classic {
            command.env_remove("QMAILLOCAL").env("QUEUEDIR", "queue");
        }
        command
    }

    /// Starts the queue, with its log in a file.
    pub fn start(&mut self) {
        let mut command = self.command("qmail-start");
        command.arg("./Maildir/");
        self.spawn(command);
    }

    /// As [`Installation::start`], with a variable.
    pub fn start_with(&mut self, name: &str, value: &str) {
        let mut command = self.command("qmail-start");
        command.arg("./Maildir/").env(name, value);
        self.spawn(command);
    }

    /// Starts two queues; the second is made here.
    pub fn start_two_queues(&mut self) -> Layout {
        let second = self.root().join("queue/queue2");
        queue::create(&second, None).unwrap();
        own_all(&second);
        self.control("queue_count", "2\n");
        let mut command = self.command("qmail-daemon");
        command.arg("./Maildir/");
        self.spawn(command);
        Layout::detect(second).unwrap()
    }

    /// Makes a file written by the test belong to the installation.
    pub fn own(&self, path: &Path) {
        own(path);
    }

    /// Starts the persistent queue writer.
    pub fn start_writer(&mut self) {
        let command = self.command("qmail-queued");
        self.spawn(command);
        let socket = self.root().join("run/queue/socket");
        self.wait_for("the queue writer", || socket.exists());
    }

    fn spawn(&mut self, mut command: Command) {
        let log = || {
            let path = self.root().join("log");
            File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap()
        };
        let setup = Setup {
            descriptors: vec![(1, log().into()), (2, log().into())],
            identity: self.identity,
            new_session: true,
            ..Default::default()
        };
        prepare(&mut command, setup);
        self.running.push(command.spawn().unwrap());
    }

    pub fn signal(&self, signal: Signal) {
        os::signal::send(self.running.last().unwrap().id(), signal).unwrap();
    }

    /// Kills every process of the one started last, without warning.
    pub fn kill_all(&mut self) {
        let mut child = self.running.pop().unwrap();
        let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::killpg(group, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }

    /// Waits until the process started last exits; its exit code.
    pub fn wait_for_exit(&mut self) -> Option<i32> {
        let mut child = self.running.pop().unwrap();
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "it does not exit:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Puts a message into `todo` as qmail-queue would; its number.
    pub fn queue(&self, text: &str, sender: &str, recipients: &[&str]) -> u64 {
        self.queue_in(&self.layout, text, sender, recipients)
    }

    /// As [`Installation::queue`], in another queue.
    pub fn queue_in(&self, layout: &Layout, text: &str, sender: &str, recipients: &[&str]) -> u64 {
        self.queue_wishing(layout, text, sender, recipients, "")
    }

    /// As [`Installation::queue_in`], with lines for the `h` record.
    pub fn queue_wishing(
        &self,
        layout: &Layout,
        text: &str,
        sender: &str,
        recipients: &[&str],
        wishes: &str,
    ) -> u64 {
        let temporary = layout.root().join("pid/new");
        fs::write(&temporary, text).unwrap();
        let id = fs::metadata(&temporary).unwrap().ino();
        own_as(&temporary, &layout.root().join("mess"));
        fs::rename(&temporary, layout.mess(id)).unwrap();
        let mut envelope = format!("u1000\0p77\0F{sender}\0").into_bytes();
        for recipient in recipients {
            envelope.extend_from_slice(format!("T{recipient}\0").as_bytes());
        }
        envelope.extend_from_slice(b"hX-Indimail-Trace: 0123456789abcdef\nX-Colour: blue\n");
        envelope.extend_from_slice(wishes.as_bytes());
        envelope.push(0);
        let intd = layout.intd(id);
        fs::write(&intd, envelope).unwrap();
        own_as(&intd, &layout.root().join("mess"));
        fs::rename(&intd, layout.todo(id)).unwrap();
        if let Ok(mut trigger) = os::file::open_fifo_write(&layout.lock("trigger")) {
            let _ = trigger.write_all(b"\0");
        }
        id
    }

    /// Kills a qmail-queue that has read this text, which goes on unless there
    /// is an envelope, and this part of an envelope.
    pub fn kill_while_queueing(&self, text: &str, envelope: Option<&[u8]>) {
        let pair = || os::fd::pipe().unwrap();
        let ((text_end, text_pipe), (envelope_end, envelope_pipe)) = (pair(), pair());
        let setup = Setup {
            descriptors: vec![(0, text_end), (1, envelope_end)],
            identity: self.identity,
            ..Default::default()
        };
        let texts = || {
            let mess = self.layout.root().join("mess");
            let files = self.queue_files().into_iter();
            files.filter(|path| path.starts_with(&mess)).count()
        };
        let before = texts();
        let mut command = self.command("qmail-queue");
        prepare(&mut command, setup);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut text_pipe = File::from(text_pipe);
        text_pipe.write_all(text.as_bytes()).unwrap();
        let mut envelope_pipe = File::from(envelope_pipe);
        if let Some(part) = envelope {
            drop(text_pipe);
            envelope_pipe.write_all(part).unwrap();
            self.wait_for("its text", || before < texts());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root().join("log")).unwrap_or_default()
    }

    /// Waits until a line of the log ends so; all lines up to there that are
    /// not of the start.
    pub fn wait_for_line(&self, end: &str) -> Vec<String> {
        let lines = || -> Vec<String> { self.log().lines().map(str::to_owned).collect() };
        self.wait_for(end, || lines().iter().any(|line| line.ends_with(end)));
        lines()
    }

    pub fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "no {what} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every file of the queue but those of `lock`.
    pub fn queue_files(&self) -> Vec<PathBuf> {
        let names = [
            "pid", "mess", "intd", "todo", "info", "local", "remote", "bounce",
        ];
        let directories = names.iter().flat_map(|name| self.layout.directories(name));
        directories
            .flat_map(|directory| fs::read_dir(directory).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn own(path: &Path) {
    if os::account::is_root() {
        chown(path, Some(NOBODY.uid), Some(NOBODY.gid)).unwrap();
    }
}

/// Gives a file the owner of another.
fn own_as(path: &Path, like: &Path) {
    let owner = Identity::owner_of(like).unwrap();
    chown(path, Some(owner.uid), Some(owner.gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn own_all(path: &Path) {
    own(path);
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own_all(&entry.unwrap().path());
        }
    }
}
