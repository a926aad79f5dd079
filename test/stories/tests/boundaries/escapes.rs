//! Whoever takes a program over is still in its sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::{Background, Installation, built_programs, run};

/// First version of Landlock that keeps signals in, and so everything used
/// here.
const LANDLOCK_NEEDED: u32 = 6;

/// What a sandbox lets even root do.
struct Role {
    name: &'static str,
    user: &'static str,
    can: &'static [&'static str],
}

const fn role(name: &'static str, user: &'static str, can: &'static [&'static str]) -> Role {
    Role { name, user, can }
}

const QUEUE: [&str; 8] = [
    "read queue/queue1/info/0",
    "read queue/queue1/lock",
    "read queue/queue1/mess/0",
    "read queue/queue1/todo",
    "write queue/queue1/info/0",
    "write queue/queue1/lock",
    "write queue/queue1/mess/0",
    "write queue/queue1/todo",
];

const ROLES: &[Role] = &[
    role(
        "inlookup",
        "indimail",
        &[
            "read control",
            "read db",
            "read domains",
            "read mail",
            "read users",
            "write db",
            // Bulletins come with a login.
            "write mail",
        ],
    ),
    role("mailboxes", "indimail", &["read mail", "write mail"]),
    role("multilog", "qmaill", &[]),
    role("queue", "qmailq", &QUEUE),
    role("queued", "qmailq", &QUEUE),
    role("remote", "qmailr", &["connect tcp", "bind udp"]),
    role(
        "send",
        "qmails",
        &[
            "read control",
            QUEUE[0],
            QUEUE[1],
            QUEUE[2],
            QUEUE[3],
            QUEUE[4],
            QUEUE[5],
            QUEUE[6],
            QUEUE[7],
        ],
    ),
    role("signer", "qcerts", &["read certs"]),
    role(
        "smtpd",
        "qmaild",
        &[
            "read alias",
            "read control",
            "read etc",
            "read users",
            "read /etc/passwd",
        ],
    ),
    role("tracelog", "qmaill", &[]),
    role(
        "vdeliverd",
        "indimail",
        &[
            "read control",
            "read db",
            "read domains",
            "read mail",
            "read users",
            "write db",
            "write domains",
            "write mail",
        ],
    ),
];

fn probes(server: &Installation) {
    let intruder = built_programs().join("intruder");
    let places = run(Command::new(intruder).arg("places"), b"").good().out;
    for place in places.lines() {
        let path = server.root().join(place).join("probe");
        fs::write(&path, "x").unwrap();
        // Keys are for nobody else, wherever their directory lets one pass.
        let mode = if place == "certs" { 0o600 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// What an intruder can do as a user in the sandbox of a role, next to a
/// process of the same user.
fn escape(server: &Installation, user: &str, role: &str) -> Vec<String> {
    let mut victim = Command::new("setpriv");
    victim.args([
        &format!("--reuid={user}"),
        "--regid=65534",
        "--clear-groups",
        "sleep",
        "60",
    ]);
    let victim = Background(victim.spawn().unwrap());
    let mut intruder = Command::new(built_programs().join("intruder"));
    intruder
        // vdeliverd writes temporary files; the installation is not among
        // them, other than in tests.
        .env("TMPDIR", "/var/empty")
        .args(["escape", user, role])
        .arg(server.root())
        .arg(victim.0.id().to_string())
        .arg(server.port(25).to_string());
    let ran = run(&mut intruder, b"").good();
    let mut done: Vec<String> = ran.out.lines().map(str::to_owned).collect();
    assert_eq!(done.pop().as_deref(), Some("end"), "{}", ran.err);
    done
}

#[test]
fn attack_26_no_sandbox_lets_its_program_do_more_than_its_work() {
    let server = Installation::start("example.org");
    probes(&server);
    let version = os::sandbox::landlock_version();
    println!(
        "this kernel enforces Landlock {version}; {LANDLOCK_NEEDED} is needed for all of this"
    );
    let strict = LANDLOCK_NEEDED <= version;
    for role in ROLES {
        // As root, because then nothing but the sandbox is in the way.
        let mut done = escape(&server, "root", role.name);
        let mut allowed: Vec<_> = role.can.iter().map(|can| (*can).to_owned()).collect();
        done.sort();
        allowed.sort();
        if strict {
            assert_eq!(done, allowed, "{} as root", role.name);
        }
        for never in ["exec", "trace"] {
            assert!(
                !done.iter().any(|can| can == never),
                "{}: {never}",
                role.name
            );
        }
        for never in ["connect tcp", "bind udp"] {
            let may = role.can.contains(&never);
            assert!(
                may || !done.iter().any(|can| can == never),
                "{}: {never}",
                role.name
            );
        }
        let done = escape(&server, role.user, role.name);
        let secrets = [
            "read /etc/shadow",
            "read /proc/1/environ",
            "open memory",
            "write root",
        ];
        for can in done {
            let named = role.can.contains(&&can[..]);
            assert!(named || !strict, "{} as {}: {can}", role.name, role.user);
            assert!(
                !secrets.contains(&&can[..]),
                "{} as {}: {can}",
                role.name,
                role.user
            );
        }
    }
}

#[test]
fn attack_26_whoever_takes_over_rspawn_writes_nothing_but_its_table() {
    let server = Installation::start("example.org");
    probes(&server);
    let done = escape(&server, "qmailr", "rspawn");
    if LANDLOCK_NEEDED <= os::sandbox::landlock_version() {
        let writes = done.iter().find(|can| can.starts_with("write"));
        assert_eq!(writes, None);
    }
    for never in [
        "read certs",
        "read db",
        "read queue/queue1/info/0",
        "read /etc/shadow",
        "trace",
    ] {
        assert!(!done.iter().any(|can| can == never), "{never}");
    }
}
