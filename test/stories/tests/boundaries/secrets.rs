//! What lies on the disk, and who is listened to.

use std::process::Command;

use testkit::{Installation, built_programs, run};

/// What a user may read of the places with secrets, and write anywhere.
struct Reach {
    user: &'static str,
    group: &'static str,
    reads: &'static [&'static str],
    writes: &'static [&'static str],
}

/// Sockets and the trigger are for everybody: who is answered is decided by
/// the kernel's word on who asks.
const FOR_ALL: [&str; 6] = [
    "run/trace/socket",
    "run/queue/socket",
    "run/inlookup/socket",
    "run/signer/socket",
    "run/verifier/socket",
    "queue/queue1/lock/trigger",
];

const REACH: &[Reach] = &[
    reach("nobody", "nogroup", &[], &[]),
    reach("qmaild", "nofiles", &[], &["qscanq/root/scanq"]),
    reach("qmailp", "nofiles", &[], &[]),
    reach("alias", "nofiles", &[], &["alias"]),
    reach("qmaill", "nofiles", &[], &["log/", "run/trace"]),
    reach(
        "qmailr",
        "qmail",
        // rspawn opens messages; the envelopes are none of its business.
        &["queue/queue1/mess/", "queue/queue1/lock/tcpto"],
        &["queue/queue1/lock/tcpto"],
    ),
    reach("qcerts", "qcerts", &["certs/"], &["certs", "run/signer"]),
];

const fn reach(
    user: &'static str,
    group: &'static str,
    reads: &'static [&'static str],
    writes: &'static [&'static str],
) -> Reach {
    Reach {
        user,
        group,
        reads,
        writes,
    }
}

/// What `find` finds below the root as this user.
fn find(server: &Installation, reach: &Reach, places: &[&str], test: &str) -> Vec<String> {
    let mut find = Command::new("setpriv");
    find.args([
        &format!("--reuid={}", reach.user),
        &format!("--regid={}", reach.group),
        "--clear-groups",
        "find",
    ]);
    find.args(places.iter().map(|place| server.root().join(place)));
    // A link says nothing about what it points to.
    find.args(["!", "-type", "l", test]);
    let root = server.root();
    let out = run(&mut find, b"").out;
    let below = out.lines().filter_map(|line| {
        let path = std::path::Path::new(line).strip_prefix(&root).ok()?;
        Some(path.to_string_lossy().into_owned())
    });
    below.collect()
}

#[test]
fn attack_26_no_user_reads_or_writes_what_is_not_its_own() {
    let server = Installation::start("example.org");
    // A message that stays in the queue, and one in a mailbox.
    for to in ["ann@example.org", "bob@unreachable.invalid"] {
        let mut inject = server.tool("sendmail");
        run(inject.args(["-i", to]), b"Subject: secret\n\nsecret\n").good();
    }
    server.wait_for_messages("ann", 1);
    for reach in REACH {
        let secret = ["certs", "db", "queue", "mail", "domains"];
        for path in find(&server, reach, &secret, "-readable") {
            let directory = server.root().join(&path).is_dir();
            let allowed = reach.reads.iter().any(|start| path.starts_with(start));
            assert!(directory || allowed, "{} reads {path}", reach.user);
        }
        for path in find(&server, reach, &["."], "-writable") {
            let own = reach.writes.iter().any(|start| path.starts_with(start));
            let allowed = own || FOR_ALL.contains(&&path[..]);
            assert!(allowed, "{} writes {path}", reach.user);
        }
    }
}

#[test]
fn attack_26_services_answer_only_those_who_have_business_there() {
    let server = Installation::start("example.org");
    let ask = |user: &str, service: &str| {
        let mut intruder = Command::new(built_programs().join("intruder"));
        intruder.args(["ask", user, service]).arg(server.root());
        run(&mut intruder, b"").good().out.trim().to_owned()
    };
    let users = [
        "root", "indimail", "qmaild", "qmailr", "qmailq", "qmails", "qmaill", "qmailp", "alias",
        "qcerts", "qadmin", "nobody",
    ];
    for (service, served) in [
        ("inlookup", &["root", "indimail", "qmaild"][..]),
        (
            "signer",
            &["root", "indimail", "qmaild", "qcerts", "qadmin"],
        ),
        // Only qmail-lspawn hands deliveries over.
        ("deliver", &["root"]),
    ] {
        for user in users {
            let expected = match served.contains(&user) {
                true => "answered",
                false => "refused",
            };
            assert_eq!(ask(user, service), expected, "{user} asks {service}");
        }
    }
}
