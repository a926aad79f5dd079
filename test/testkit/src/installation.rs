//! An IndiMail of a test's own, made by `indimail quickstart`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::ports::PortRange;
use crate::program::{Background, Ran, run, wait_for};

/// Password of postmaster and of users added without one.
pub const USER_PASSWORD: &str = "correct horse 7";

const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(60);
const DELIVERY_MAX: Duration = Duration::from_secs(90);

/// An installation that is not running yet, to be arranged.
#[derive(Debug)]
pub struct Builder {
    directory: tempfile::TempDir,
    ports: PortRange,
    domain: String,
    unprivileged: bool,
}

/// A running installation.
#[derive(Debug)]
pub struct Installation {
    // First, so that the services end before their directory goes.
    server: Background,
    setup: Builder,
    /// What quickstart printed up to "ready".
    pub printed: String,
}

impl Builder {
    /// Installs for a domain without starting.
    ///
    /// # Panics
    /// When quickstart fails.
    pub fn new(domain: &str) -> Self {
        Self::with(domain, false)
    }

    /// As [`Builder::new`], installed by and running as an ordinary user.
    ///
    /// # Panics
    /// When quickstart fails.
    pub fn unprivileged(domain: &str) -> Self {
        Self::with(domain, true)
    }

    fn with(domain: &str, unprivileged: bool) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("indimail-")
            .tempdir()
            .expect("a directory");
        let mode =
            std::os::unix::fs::PermissionsExt::from_mode(if unprivileged { 0o777 } else { 0o755 });
        fs::set_permissions(directory.path(), mode).expect("permissions");
        fs::write(
            directory.path().join("password"),
            format!("{USER_PASSWORD}\n"),
        )
        .expect("write");
        let setup = Self {
            directory,
            ports: PortRange::take(),
            domain: domain.to_owned(),
            unprivileged,
        };
        if unprivileged {
            setup.copy_programs();
        }
        run(setup.quickstart().arg("--no-start"), b"").good();
        setup
    }

    /// Writes a control file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn control(&self, name: &str, content: &str) -> &Self {
        fs::write(self.root().join("control").join(name), content).expect("control file");
        self
    }

    /// The root of the installation.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// The port of a service, by its standard number.
    pub fn port(&self, standard: u16) -> u16 {
        self.ports.base + standard
    }

    /// Runs one of the installation's programs.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = self.as_user(self.root().join("bin").join(name));
        command
            .env("QMAILDIR", self.root())
            .env_remove("CONTROLDIR");
        command
    }

    /// Adds a user with [`USER_PASSWORD`].
    ///
    /// # Panics
    /// When the user cannot be added.
    pub fn add_user(&self, name: &str) -> &Self {
        let address = format!("{name}@{}", self.domain);
        run(self.tool("vadduser").args([&address, USER_PASSWORD]), b"").good();
        self
    }

    /// Starts the services and waits for "ready".
    ///
    /// # Panics
    /// When they do not become ready.
    pub fn start(self) -> Installation {
        let (server, printed) = start(&self);
        Installation {
            setup: self,
            server,
            printed,
        }
    }

    fn as_user(&self, program: impl AsRef<Path>) -> Command {
        if !self.unprivileged {
            return Command::new(program.as_ref());
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program.as_ref());
        command
    }

    /// Where quickstart and what it installs are taken from.
    fn programs(&self) -> PathBuf {
        if self.unprivileged {
            self.directory.path().join("programs")
        } else {
            crate::built_programs()
        }
    }

    /// An ordinary user may not reach where cargo builds.
    fn copy_programs(&self) {
        fs::create_dir(self.programs()).expect("a directory");
        let built = fs::read_dir(crate::built_programs()).expect("programs");
        for entry in built.map(|entry| entry.expect("an entry")) {
            let is_program = entry.file_type().is_ok_and(|kind| kind.is_file())
                && !entry.file_name().to_string_lossy().contains('.');
            let to = self.programs().join(entry.file_name());
            if is_program && fs::hard_link(entry.path(), &to).is_err() {
                run(Command::new("cp").arg(entry.path()).arg(to), b"").good();
            }
        }
    }

    fn quickstart(&self) -> Command {
        let mut command = self.as_user(self.programs().join("indimail"));
        command
            .arg("quickstart")
            .arg(&self.domain)
            .arg("--root")
            .arg(self.root())
            .args(["--port-base", &self.ports.base.to_string()])
            .arg("--password-file")
            .arg(self.directory.path().join("password"));
        command
    }
}

fn start(setup: &Builder) -> (Background, String) {
    let errors = fs::File::create(setup.directory.path().join("quickstart.err")).expect("a file");
    let mut child = setup
        .quickstart()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("quickstart starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let server = Background(child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut printed = String::new();
    loop {
        match receiver.recv_timeout(READY_MAX) {
            Ok(line) if line == "indimail: ready" => return (server, printed),
            Ok(line) => printed += &(line + "\n"),
            Err(_) => {
                let errors = fs::read_to_string(setup.directory.path().join("quickstart.err"));
                let status = run(setup.tool("indimail").arg("status"), b"");
                panic!("not ready: {printed}\n{errors:?}\n{}", status.out);
            }
        }
    }
}

impl Installation {
    /// Stops the services and hands over everything they leave.
    pub fn into_directory(self) -> tempfile::TempDir {
        let Self { server, setup, .. } = self;
        drop(server);
        setup.directory
    }

    /// Installs and starts with one user, `ann`.
    pub fn start(domain: &str) -> Self {
        let setup = Builder::new(domain);
        setup.add_user("ann");
        setup.start()
    }

    /// The process of quickstart, above all services.
    pub fn pid(&self) -> u32 {
        self.server.0.id()
    }

    /// Writes control letters to a service, as `svc -OPTION` does.
    ///
    /// # Panics
    /// When svc cannot reach it.
    #[track_caller]
    pub fn svc(&self, option: &str, service: &str) {
        let path = self.root().join("service").join(service);
        run(self.tool("svc").arg(option).arg(path), b"").good();
    }

    /// Stops all services; the exit code of quickstart.
    pub fn stop(&mut self) -> Option<i32> {
        self.server.stop(STOP_MAX)
    }

    /// Stops and starts again.
    ///
    /// # Panics
    /// When the services do not become ready again.
    pub fn restart(&mut self) {
        self.stop();
        let (server, printed) = start(&self.setup);
        self.server = server;
        self.printed = printed;
    }

    /// Messages in a Maildir folder of a user: the files' content.
    ///
    /// # Panics
    /// When a message cannot be read.
    pub fn messages(&self, user: &str) -> Vec<String> {
        let mut found = Vec::new();
        for part in ["new", "cur"] {
            let directory = self.maildir(user).join(part);
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let bytes = fs::read(entry.path()).expect("a message");
                found.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        found
    }

    /// The Maildir of a user of the domain.
    pub fn maildir(&self, user: &str) -> PathBuf {
        let address = format!("{user}@{}", self.setup.domain);
        let shown = run(self.tool("vuserinfo").args(["-d", &address]), b"")
            .good()
            .out;
        let home = shown
            .lines()
            .find_map(|line| line.split_once('/'))
            .map(|(_, path)| format!("/{path}"));
        PathBuf::from(home.unwrap_or_default().trim()).join("Maildir")
    }

    /// Waits until a user has this many messages.
    ///
    /// # Panics
    /// When they do not arrive.
    #[track_caller]
    pub fn wait_for_messages(&self, user: &str, count: usize) -> Vec<String> {
        let maildir = self.maildir(user);
        let files = |part| {
            fs::read_dir(maildir.join(part))
                .map(Iterator::count)
                .unwrap_or(0)
        };
        wait_for("mail", DELIVERY_MAX, || {
            count <= files("new") + files("cur")
        });
        self.messages(user)
    }

    /// Everything in a service's current log.
    pub fn log(&self, name: &str) -> String {
        let path = self.root().join("log").join(name).join("current");
        let bytes = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a log says something.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_log(&self, name: &str, text: &str) {
        wait_for(text, DELIVERY_MAX, || self.log(name).contains(text));
    }

    /// `indimail` with arguments.
    pub fn indimail(&self, arguments: &[&str]) -> Ran {
        let mut command = self.tool("indimail");
        command.args(arguments).arg("--root").arg(self.root());
        run(&mut command, b"")
    }
}

/// What can be asked of an installation can be asked of a running one.
impl std::ops::Deref for Installation {
    type Target = Builder;

    fn deref(&self) -> &Builder {
        &self.setup
    }
}
