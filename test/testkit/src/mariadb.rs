//! A database server of our own, on a Unix socket in a temporary directory.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::program::wait_for;

/// How long a slow machine may take.
const START_MAX: Duration = Duration::from_secs(300);
/// Where packages have the tables a server needs for itself.
const SYSTEM_TABLES: [[&str; 2]; 2] = [
    [
        "/usr/share/mysql/mysql_system_tables.sql",
        "/usr/share/mysql/mysql_system_tables_data.sql",
    ],
    [
        "/usr/share/mariadb/mariadb_system_tables.sql",
        "/usr/share/mariadb/mariadb_system_tables_data.sql",
    ],
];
/// Small and without syncs: nothing in it outlives the test.
const OPTIONS: [&str; 9] = [
    "--no-defaults",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-use-native-aio=0",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=0",
];
/// Runs the server until its input ends, which it does when the test program
/// is gone, however it went; then kills it and removes everything.
const WATCH: &str = r#"
dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 & pid=$!
echo $pid >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
read -r word
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
[ "$word" = keep ] || rm -rf "$dir"
"#;

/// A running mariadbd. Its account `root` needs no password on the socket.
#[derive(Debug)]
pub struct Mariadb {
    directory: PathBuf,
    options: Vec<String>,
    watch: Option<(Child, ChildStdin)>,
}

impl Mariadb {
    /// The server that all tests of this program share, each with a database
    /// of its own. It ends with the program.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Mariadb> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// A server of one test's own, with further options like `port=3307`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(options: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mariadb")
            .tempdir_in("/tmp")
            .expect("a directory can be made")
            .keep();
        // Services of other users connect, too.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&directory, open).expect("permissions");
        let mut server = Self {
            options: options.iter().map(|option| format!("--{option}")).collect(),
            directory,
            watch: None,
        };
        server.make_system_tables();
        server.begin();
        server
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// The name of a database that nobody else uses. It does not exist yet.
    pub fn new_name() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Kills it, keeping its data.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        if let Some((mut watch, mut input)) = self.watch.take() {
            let _ = input.write_all(b"keep\n");
            drop(input);
            watch.wait().expect("a child can be waited for");
            let _ = std::fs::remove_file(self.socket());
        }
    }

    /// Starts it again after [`Mariadb::kill`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn begin(&mut self) {
        let mut watch = Command::new("/bin/sh");
        watch
            .args(["-c", WATCH, "watch"])
            .arg(&self.directory)
            .arg(program())
            .args(OPTIONS)
            .args(as_root())
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--tmpdir={}", self.directory.display()))
            .arg(format!(
                "--pid-file={}/mariadbd.pid",
                self.directory.display()
            ))
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !self
            .options
            .iter()
            .any(|option| option.starts_with("--port"))
        {
            watch.arg("--skip-networking");
        }
        let mut child = watch.spawn().expect("sh starts");
        let input = child.stdin.take().expect("piped");
        self.watch = Some((child, input));
        let log = self.directory.join("log");
        wait_for(
            &format!("the database server, see {}", log.display()),
            START_MAX,
            || UnixStream::connect(self.socket()).is_ok(),
        );
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn make_system_tables(&self) {
        std::fs::create_dir(self.data()).expect("a directory can be made");
        let mut input =
            b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n".to_vec();
        let files = SYSTEM_TABLES
            .iter()
            .find(|files| Path::new(files[0]).exists())
            .expect("Debian's package mariadb-server-core is installed");
        for file in files {
            input.extend(std::fs::read(file).expect("the package is whole"));
            input.push(b'\n');
        }
        let mut bootstrap = Command::new(program());
        bootstrap
            .args(OPTIONS)
            .args(as_root())
            .arg("--bootstrap")
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--tmpdir={}", self.directory.display()));
        crate::program::run(&mut bootstrap, &input).good();
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        if let Some((mut watch, input)) = self.watch.take() {
            drop(input);
            let _ = watch.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// It is in a directory that ordinary users do not search.
fn program() -> &'static str {
    "/usr/sbin/mariadbd"
}

/// As root it wants to be told so.
fn as_root() -> Option<&'static str> {
    nix::unistd::geteuid().is_root().then_some("--user=root")
}
