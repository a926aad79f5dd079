//! intruder: what somebody could do who has taken over one of our programs.
//!
//! `intruder escape USER ROLE ROOT VICTIM PORT` becomes a user, closes the
//! very sandbox the program of that role closes, tries everything, and prints
//! one line for each thing that worked. `intruder ask USER SERVICE ROOT` is
//! somebody who asks a service, and prints whether it answered.
//!
//! Only tests start it, as root. It is no part of an installation.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use os::account::Account;
use os::sandbox::Sandbox;
use os::signal::Signal;
use run::{Home, Link, sandboxes};

const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Where a test has put a file `probe` that everybody may read.
const PLACES: [&str; 17] = [
    "alias",
    "bin",
    "certs",
    "control",
    "db",
    "doc",
    "domains",
    "etc",
    "log",
    "mail",
    "queue/queue1/info/0",
    "queue/queue1/lock",
    "queue/queue1/mess/0",
    "queue/queue1/todo",
    "run",
    "service",
    "users",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["places"] => println!("{}", PLACES.join("\n")),
        ["escape", user, role, root, victim, port] => {
            let home = Home::at(root);
            let (Some(sandbox), Ok(victim), Ok(port)) =
                (sandbox(role, &home), victim.parse(), port.parse())
            else {
                return ExitCode::from(run::PERMANENT);
            };
            become_user(user);
            sandbox.enter();
            for done in attempts(&home, victim, port) {
                println!("{done}");
            }
            println!("end");
        }
        ["ask", user, service, root] => {
            become_user(user);
            println!("{}", ask(service, &Home::at(root)));
        }
        _ => return ExitCode::from(run::PERMANENT),
    }
    ExitCode::SUCCESS
}

fn become_user(name: &str) {
    let account = Account::by_name(name).expect("the user exists");
    account.identity.assume().expect("root may become anybody");
}

fn sandbox(role: &str, home: &Home) -> Option<Sandbox> {
    let queue = home.queues().join("queue1");
    let log = home.log().join("smtpd.25");
    Some(match role {
        "inlookup" => sandboxes::inlookup(home, &sandboxes::Reach::Nothing),
        "mailboxes" => sandboxes::mailboxes(home),
        "multilog" => sandboxes::multilog(std::iter::once(log.as_path())),
        "queue" => sandboxes::queue(&queue),
        "queued" => sandboxes::queued(&[queue]),
        "remote" => sandboxes::remote(home),
        "rspawn" => sandboxes::rspawn(&queue),
        "send" => sandboxes::send(home, &queue),
        "signer" => sandboxes::signer(home),
        "smtpd" => sandboxes::smtpd(home),
        "tracelog" => sandboxes::tracelog(),
        "vdeliverd" => sandboxes::vdeliverd(home, &[]),
        _ => return None,
    })
}

fn attempts(home: &Home, victim: u32, port: u16) -> Vec<String> {
    let mut done = Vec::new();
    let mut note = |worked: bool, what: &str| {
        if worked {
            done.push(what.to_owned());
        }
    };
    for place in PLACES {
        let directory = home.root().join(place);
        note(
            fs::read(directory.join("probe")).is_ok(),
            &format!("read {place}"),
        );
        note(writes(&directory), &format!("write {place}"));
    }
    note(writes(home.root()), "write root");
    for path in ["/etc/shadow", "/etc/passwd", "/proc/1/environ"] {
        note(fs::read(path).is_ok(), &format!("read {path}"));
    }
    for path in ["/", "/etc", "/tmp", "/var/tmp", "/dev/shm", "/root"] {
        note(writes(Path::new(path)), &format!("write {path}"));
    }
    note(
        Command::new("/bin/sh").args(["-c", ":"]).status().is_ok(),
        "exec",
    );
    note(
        TcpStream::connect(("127.0.0.1", port)).is_ok(),
        "connect tcp",
    );
    note(UdpSocket::bind("127.0.0.1:0").is_ok(), "bind udp");
    let pid = nix::unistd::Pid::from_raw(victim.cast_signed());
    note(nix::sys::ptrace::attach(pid).is_ok(), "trace");
    note(
        fs::File::open(format!("/proc/{victim}/mem")).is_ok(),
        "open memory",
    );
    note(os::signal::send(victim, Signal::SIGCONT).is_ok(), "signal");
    done
}

/// Says whether a file can be made there; it is gone again.
fn writes(directory: &Path) -> bool {
    let path: PathBuf = directory.join(format!("intruder.{}", std::process::id()));
    let made = fs::write(&path, "x").is_ok();
    let _ = fs::remove_file(&path);
    made
}

fn ask(service: &str, home: &Home) -> &'static str {
    let path = home.socket(service);
    let answered = |version, request: &dyn Fn(&mut Link) -> bool| {
        Link::connect(&path, version, ANSWER_MAX).is_ok_and(|mut link| request(&mut link))
    };
    let answered = match service {
        "inlookup" => answered(wire::lookup::VERSION, &|link| {
            let question = wire::lookup::Request::Mechanisms;
            link.ask::<_, wire::lookup::Reply>(&question).is_ok()
        }),
        "signer" => answered(wire::sign::VERSION, &|link| {
            let key = "servercert.pem".to_owned();
            let question = wire::sign::Request::Describe { key };
            matches!(link.ask(&question), Ok(wire::sign::Reply::Key { .. }))
        }),
        // Whoever may connect is listened to.
        _ => std::os::unix::net::UnixStream::connect(&path).is_ok(),
    };
    if answered { "answered" } else { "refused" }
}
