//! A great many users: bulk import, look-ups, logins, one user more, and the
//! tree of their homes.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use directory::tree::Counters;
use run::Link;
use testkit::{Builder, Mariadb, USER_PASSWORD, run};
use wire::lookup::{self, Login, Mailbox, Reply, Request, Service};

use crate::Arguments;

/// What `--case` calls them.
pub const NAMES: [&str; 3] = ["users", "users-mariadb", "homes"];

const USERS: usize = 1_000_000;
const DOMAIN: &str = "bench.example";
/// The hash of no password.
const NO_PASSWORD: &str = "$6$bench$";
/// Who asks at once.
const CLIENTS: usize = 8;
const LOOKUPS: usize = 50_000;
/// Questions a client sends before it reads their answers.
const PIPELINE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
/// Different users that are asked for.
const ASKED_FOR: usize = 10_000;
const LOGINS: usize = 5_000;
/// Users added one by one.
const SINGLES: usize = 20;
/// Users of the tree that is only counted.
const TREE_USERS: i64 = 23_000_000;

/// Runs one of [`NAMES`].
pub fn measure(arguments: &Arguments, name: &str) {
    if name == "homes" {
        return homes();
    }
    let count = arguments.users.unwrap_or(USERS);
    println!("{name}: {count} users of one domain");
    let mut database = None;
    let setup = Builder::new(DOMAIN);
    if name == "users-mariadb" {
        let server = Mariadb::start(&["innodb-flush-log-at-trx-commit=1"]);
        let url = format!(
            "mysql://root@localhost/mail?socket={}",
            server.socket().display()
        );
        let mut migrate = setup.tool("indimail");
        migrate
            .args(["db", "migrate", "--to", &url, "--root"])
            .arg(setup.root());
        run(&mut migrate, b"").good();
        database = Some(server);
    }
    import(&setup, count);
    let mut server = setup.start();
    let socket = server.root().join("run/inlookup/socket");
    run(
        server
            .tool("vadduser")
            .args(["-d", &format!("real@{DOMAIN}"), USER_PASSWORD]),
        b"",
    )
    .good();
    lookups(&socket, count);
    logins(&socket);
    singles(&server);
    let memory = crate::tree::memory_by_name(server.pid(), "inlookup");
    println!(
        "{:<28} {:>10.1} MiB",
        "memory of inlookup",
        memory as f64 / f64::from(1 << 20)
    );
    server.stop();
    drop(database);
}

fn import(setup: &Builder, count: usize) {
    let path = setup.root().join("doc/users.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    writeln!(file, "address,hash").expect("a line");
    for n in 0..count {
        writeln!(file, "user{n}@{DOMAIN},{NO_PASSWORD}").expect("a line");
    }
    drop(file);
    let started = Instant::now();
    run(setup.tool("vimport").arg(&path), b"").good();
    told("vimport", count, started.elapsed());
}

/// Prints how many a second.
fn told(what: &str, count: usize, time: Duration) {
    let per_second = count as f64 / time.as_secs_f64();
    println!("{what:<28} {per_second:>10.0}/s");
}

/// Asks from several clients; prints the rate and the slowest of a hundred.
fn ask(
    what: &str,
    socket: &Path,
    count: usize,
    question: impl Fn(usize) -> Request + Sync,
    is_right: impl Fn(&Reply) -> bool + Sync,
) {
    let client = |client: usize| {
        let mut link = Link::connect(socket, lookup::VERSION, PATIENCE).expect("inlookup listens");
        let mut times = Vec::new();
        let numbers: Vec<usize> = (client..count).step_by(CLIENTS).collect();
        for numbers in numbers.chunks(PIPELINE) {
            let asked = Instant::now();
            for number in numbers {
                link.send(&question(*number)).expect("inlookup reads");
            }
            for _ in numbers {
                let reply: Option<Reply> = link.receive().expect("an answer");
                assert!(reply.as_ref().is_some_and(&is_right), "{reply:?}");
                times.push(asked.elapsed());
            }
        }
        times
    };
    let started = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let client = &client;
        let start = |number| scope.spawn(move || client(number));
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        let times = clients
            .into_iter()
            .map(|client| client.join().expect("a client"));
        times.flatten().collect()
    });
    told(what, count, started.elapsed());
    times.sort();
    let p99 = times[(times.len() - 1) * 99 / 100].as_secs_f64() * 1e3;
    println!("{:<28} {p99:>10.2} ms", format!("{what}, p99"));
}

fn lookups(socket: &Path, users: usize) {
    let known = users.min(ASKED_FOR);
    let question = |n: usize| Request::Recipient {
        address: format!("user{}@{DOMAIN}", n * 7 % known).into_bytes(),
    };
    let is_right = |reply: &Reply| matches!(reply, Reply::Recipient(Mailbox::Fine));
    ask("look-ups, first", socket, known, question, is_right);
    ask("look-ups, warm", socket, LOOKUPS, question, is_right);
}

fn logins(socket: &Path) {
    let question = |_| Request::Password {
        service: Service::Imap,
        user: format!("real@{DOMAIN}").into_bytes(),
        password: USER_PASSWORD.as_bytes().to_vec(),
        remote_ip: "127.0.0.1".to_owned(),
    };
    let is_right = |reply: &Reply| matches!(reply, Reply::Login(Login::Granted(_)));
    ask("logins", socket, LOGINS, question, is_right);
}

fn singles(server: &testkit::Installation) {
    let started = Instant::now();
    for n in 0..SINGLES {
        let address = format!("single{n}@{DOMAIN}");
        run(
            server.tool("vadduser").args(["-e", &address, NO_PASSWORD]),
            b"",
        )
        .good();
    }
    let each = started.elapsed().as_secs_f64() * 1e3 / SINGLES as f64;
    println!("{:<28} {each:>10.1} ms", "vadduser of one user more");
}

/// The homes of very many users whose names all begin alike: the worst case.
fn homes() {
    let started = Instant::now();
    let mut counters = Counters::default();
    let mut most = (0, 0);
    let mut here = String::new();
    for _ in 0..TREE_USERS {
        let directory = counters.next(directory::tree::USERS_PER_LEVEL);
        most.1 = if directory == here { most.1 + 1 } else { 1 };
        most.0 = most.0.max(most.1);
        here = directory;
    }
    let each = started.elapsed().as_secs_f64() * 1e9 / TREE_USERS as f64;
    println!(
        "homes: {TREE_USERS} users of one tree, at most {} of them in a directory in a row, {each:.0} ns each",
        most.0
    );
}
