//! What breaks is said, with its name and what to do; nothing is lost and
//! nobody panics.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Builder, Installation, SmallDisk, run, wait_for};

use crate::talk::Talk;

mod quickstart;

const SOON: Duration = Duration::from_secs(90);

/// A queue of a size that a test can fill.
const QUEUE_DISK: &str = "size=3m,nr_inodes=600,mode=755";

/// Sends a message as a stranger; the last reply.
fn send(server: &Installation, subject: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    let mut reply = String::new();
    for line in [
        "EHLO faults.example",
        "MAIL FROM:<bob@foreign.example>",
        "RCPT TO:<ann@example.org>",
        "DATA",
        &format!("Subject: {subject}\r\n\r\nhello\r\n."),
    ] {
        reply = talk.say(line);
        if !reply.starts_with(['2', '3']) {
            return reply;
        }
    }
    reply
}

/// The reply to one recipient.
fn recipient(server: &Installation, address: &str) -> String {
    let mut talk = Talk::to(server.port(25));
    talk.say("EHLO faults.example");
    talk.say("MAIL FROM:<bob@foreign.example>");
    talk.say(&format!("RCPT TO:<{address}>"))
}

#[track_caller]
fn accepted(reply: &str) {
    assert!(reply.starts_with("250"), "{reply}");
}

/// A temporary refusal with an enhanced code.
#[track_caller]
fn temporary(reply: &str) {
    assert!(
        reply.starts_with("451 4.") || reply.starts_with("452 4.") || reply.starts_with("421 4."),
        "{reply}"
    );
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            _ => 1,
        })
        .sum()
}

/// Waits until the queue holds no message and no piece of one.
#[track_caller]
fn wait_for_empty_queue(server: &Installation) {
    let queue = server.root().join("queue/queue1");
    let left = || -> usize {
        [
            "pid", "mess", "intd", "todo", "info", "local", "remote", "bounce",
        ]
        .iter()
        .map(|name| files_below(&queue.join(name)))
        .sum()
    };
    wait_for("an empty queue", SOON, || left() == 0);
}

/// Removes finished files that are kept to be written again.
fn no_spare_files(server: &Installation) {
    let spare = server.root().join("queue/queue1/spare");
    for entry in fs::read_dir(spare).into_iter().flatten().flatten() {
        fs::remove_file(entry.path()).expect("a spare file");
    }
}

/// `indimail check` finds something wrong with the subject and says this, and
/// how to mend it.
#[track_caller]
fn check_finds(server: &Installation, words: &[&str]) {
    let ran = server.indimail(&["check"]);
    let findings: Vec<&str> = ran.out.split_inclusive("mend: ").collect();
    let found = findings
        .iter()
        .any(|finding| words.iter().all(|word| finding.contains(word)));
    assert!(found && ran.code == 1, "{words:?} not in:\n{}", ran.out);
}

#[track_caller]
fn check_is_content(server: &Installation) {
    let mut ran = server.indimail(&["check"]);
    // Services may be starting still.
    for _ in 0..50 {
        if ran.code == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
        ran = server.indimail(&["check"]);
    }
    panic!("{}{}", ran.out, ran.err);
}

#[track_caller]
fn wait_for_status(server: &Installation, words: &[&str]) {
    let mut out = String::new();
    for _ in 0..100 {
        out = server.indimail(&["status"]).out;
        if out
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{words:?} not in:\n{out}");
}

/// Waits until a service that was told to stop has stopped.
#[track_caller]
fn wait_for_down(server: &Installation, service: &str) {
    let path = server.root().join("service").join(service);
    wait_for(service, SOON, || {
        run(server.tool("svstat").arg(&path), b"")
            .out
            .contains(": down ")
    });
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// No log has a word of a panic.
#[track_caller]
fn nobody_panicked(server: &Installation) {
    for entry in fs::read_dir(server.root().join("log")).unwrap().flatten() {
        let log = server.log(&entry.file_name().to_string_lossy());
        assert!(!log.contains("panicked"), "{:?}: {log}", entry.file_name());
    }
}

fn with_disk(place: &str, options: &str) -> (Installation, SmallDisk) {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    let disk = SmallDisk::at(&setup.root().join(place), options);
    (setup.start(), disk)
}

#[test]
fn a_full_queue_refuses_for_now_and_loses_nothing() {
    let (server, disk) = with_disk("queue", QUEUE_DISK);
    accepted(&send(&server, "before"));
    server.wait_for_messages("ann", 1);
    wait_for_empty_queue(&server);

    // A finished file that is kept takes one more small message.
    no_spare_files(&server);
    let full = disk.fill();
    let reply = send(&server, "refused");
    temporary(&reply);
    assert!(reply.contains("disk full"), "{reply}");
    let mut sendmail = server.tool("sendmail");
    let ran = run(
        sendmail.args(["-i", "ann@example.org"]),
        b"Subject: refused\n\nx\n",
    );
    assert!(ran.code != 0 && ran.err.contains("disk full"), "{ran:?}");
    wait_for_status(&server, &["qmail-queued", "No space left on device"]);
    check_finds(&server, &["queue", "free"]);
    drop(full);

    no_spare_files(&server);
    let full = disk.fill_inodes();
    let reply = send(&server, "refused");
    temporary(&reply);
    check_finds(&server, &["queue", "inodes"]);
    drop(full);

    accepted(&send(&server, "after"));
    let messages = server.wait_for_messages("ann", 2).join("\n");
    assert!(messages.contains("before") && messages.contains("after"));
    assert!(!messages.contains("refused"));
    wait_for_empty_queue(&server);
    nobody_panicked(&server);
}

#[test]
fn what_was_accepted_waits_while_the_queue_is_full_or_cannot_be_written() {
    let (server, disk) = with_disk("queue", QUEUE_DISK);
    let service = "qmail-send.25";
    for (n, fault) in ["full", "read-only"].into_iter().enumerate() {
        server.svc("-d", service);
        wait_for_down(&server, service);
        accepted(&send(&server, fault));
        let full = match fault {
            "full" => Some(disk.fill()),
            _ => {
                disk.remount("ro");
                None
            }
        };
        server.svc("-u", service);
        let cause = match fault {
            "full" => "No space left on device",
            _ => "Read-only file system",
        };
        temporary(&send(&server, "refused"));
        wait_for_status(&server, &[cause]);
        check_finds(&server, &["queue"]);
        if full.is_none() {
            disk.remount("rw");
        }
        drop(full);
        wait_for("mail", SOON, || {
            server.svc("-a", service);
            std::thread::sleep(Duration::from_millis(500));
            server.messages("ann").len() == n + 1
        });
        wait_for_empty_queue(&server);
    }
    assert!(!server.messages("ann").join("\n").contains("refused"));
    nobody_panicked(&server);
}

#[test]
fn a_full_mail_disk_defers_deliveries_and_says_so_everywhere() {
    let (server, disk) = with_disk("mail", "size=2m,nr_inodes=400,mode=755");
    let full = disk.fill();
    accepted(&send(&server, "deferred"));
    // Log lines and reports are one word each.
    let cause = "No_space_left_on_device";
    server.wait_for_log("deliver.25", cause);
    assert!(server.log("deliver.25").contains("deferral: "));
    wait_for_status(&server, &["deferral", cause]);
    let told = server.indimail(&["trace", "bob@foreign.example"]);
    assert!(
        told.out.contains("No space left") || told.out.contains(cause),
        "{}{}",
        told.out,
        told.err
    );
    check_finds(&server, &["mail", "free"]);
    assert!(server.messages("ann").is_empty());
    drop(full);
    wait_for("mail", SOON, || {
        server.svc("-a", "qmail-send.25");
        std::thread::sleep(Duration::from_millis(500));
        server.messages("ann").len() == 1
    });
    wait_for_empty_queue(&server);
    let left = files_below(&server.maildir("ann").join("tmp"));
    assert_eq!(left, 0, "a half-written message stays in tmp");
    nobody_panicked(&server);
}

#[test]
fn a_control_file_that_cannot_be_read_is_named_and_never_guessed() {
    let server = Installation::start("example.org");
    let control = server.root().join("control");
    // The file, the service to start again (all read some files only then),
    // and the log that names the file.
    for (file, service, log) in [
        ("rcpthosts", "qmail-smtpd.25", "smtpd.25"),
        ("badmailfrom", "qmail-smtpd.25", "smtpd.25"),
        ("me", "qmail-smtpd.25", "smtpd.25"),
        ("virtualdomains", "qmail-send.25", "deliver.25"),
        ("queuelifetime", "qmail-send.25", "deliver.25"),
        ("hash_method", "inlookup.infifo", "inlookup.infifo"),
        ("me", "qmail-queued", "qmail-queued"),
    ] {
        let path = control.join(file);
        let kept = fs::read(&path).ok();
        for fault in ["mode", "directory"] {
            match fault {
                "mode" => {
                    fs::write(&path, kept.as_deref().unwrap_or_default()).unwrap();
                    chmod(&path, 0);
                }
                _ => {
                    let _ = fs::remove_file(&path);
                    fs::create_dir(&path).unwrap();
                }
            }
            let before = server.log(log).matches(&format!("control/{file}")).count();
            server.svc("-t", service);
            let named = || {
                if log == "smtpd.25"
                    && std::net::TcpStream::connect(("127.0.0.1", server.port(25))).is_ok()
                {
                    let reply =
                        std::panic::catch_unwind(|| send(&server, file)).unwrap_or_default();
                    assert!(
                        reply.is_empty() || reply.starts_with('4'),
                        "{file} {fault}: {reply}"
                    );
                }
                before < server.log(log).matches(&format!("control/{file}")).count()
            };
            wait_for(&format!("{log} to name {file} ({fault})"), SOON, named);
            wait_for_status(&server, &[&format!("control/{file}")]);
            check_finds(&server, &[&format!("control/{file}")]);
            let _ = fs::remove_dir(&path);
            let _ = fs::remove_file(&path);
            if let Some(content) = &kept {
                fs::write(&path, content).unwrap();
                chmod(&path, 0o644);
            }
        }
    }
    wait_for("everything to be well again", SOON, || {
        std::panic::catch_unwind(|| send(&server, "after")).is_ok_and(|r| r.starts_with("250"))
    });
    server.wait_for_messages("ann", 1);
    nobody_panicked(&server);
}

#[test]
fn a_message_waits_while_qmail_remote_or_qmail_local_cannot_read_a_control_file() {
    let server = Installation::start("example.org");
    for (file, recipient, unroot) in [
        ("smtproutes", "carol@elsewhere.example", "remote"),
        ("me", "root@mx.example.org", "local"),
    ] {
        let path = server.root().join("control").join(file);
        let kept = fs::read(&path).ok();
        fs::write(&path, kept.as_deref().unwrap_or(b"\n")).unwrap();
        chmod(&path, 0o600);
        // qmail-queue reads `me` too, as its own user.
        let mut sendmail = server.tool("sendmail");
        let input = format!("Subject: {unroot}\n\nx\n");
        let ran = run(sendmail.args(["-i", recipient]), input.as_bytes());
        if file != "me" {
            ran.good();
            wait_for("a deferral", SOON, || {
                let log = server.log("deliver.25");
                log.lines()
                    .any(|line| line.contains("deferral: ") && line.contains(file))
            });
        } else if ran.code == 0 {
            server.wait_for_log("deliver.25", "deferral: ");
        }
        assert!(!server.log("deliver.25").contains("failure: "));
        fs::remove_file(&path).unwrap();
        if let Some(content) = kept {
            fs::write(&path, content).unwrap();
        }
    }
    nobody_panicked(&server);
}

#[test]
fn a_taken_port_is_named_in_log_status_and_check() {
    let server = Installation::start("example.org");
    for (standard, service, log) in [
        (25, "qmail-smtpd.25", "smtpd.25"),
        (143, "qmail-imapd.143", "imapd.143"),
        (995, "qmail-pop3d-ssl.995", "pop3d-ssl.995"),
    ] {
        server.svc("-d", service);
        let port = server.port(standard);
        let mut holder = None;
        wait_for("the port", SOON, || {
            holder = std::net::TcpListener::bind(("0.0.0.0", port)).ok();
            holder.is_some()
        });
        server.svc("-u", service);
        let port = port.to_string();
        wait_for("the log", SOON, || {
            let text = server.log(log);
            text.lines().any(|line| {
                line.contains("fatal") && line.contains(&port) && line.contains("in use")
            })
        });
        wait_for_status(&server, &[service, &port, "in use"]);
        assert_eq!(server.indimail(&["status"]).code, 1);
        check_finds(&server, &[service, &port]);
        drop(holder);
        wait_for("the service", SOON, || {
            std::net::TcpStream::connect(("127.0.0.1", server.port(standard))).is_ok()
        });
    }
    check_is_content(&server);
}

#[test]
fn smtpd_without_rcpthosts_does_not_start() {
    let server = Installation::start("example.org");
    let path = server.root().join("control/rcpthosts");
    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    server.svc("-t", "qmail-smtpd.25");
    server.wait_for_log("smtpd.25", "no control/rcpthosts");
    wait_for_status(&server, &["qmail-smtpd.25", "rcpthosts"]);
    check_finds(&server, &["rcpthosts", "missing"]);
    fs::write(&path, kept).unwrap();
    check_is_content(&server);
}

#[test]
fn a_program_that_may_not_run_is_named() {
    let server = Installation::start("example.org");
    for (program, service, log) in [
        ("qmail-smtpd", "qmail-smtpd.25", "smtpd.25"),
        ("qmail-start", "qmail-send.25", "deliver.25"),
        ("qmail-todo", "qmail-send.25", "deliver.25"),
        ("inlookup", "inlookup.infifo", "inlookup.infifo"),
    ] {
        let path = server.root().join("bin").join(program);
        chmod(&path, 0o644);
        server.svc("-t", service);
        wait_for(program, SOON, || {
            let text = server.log(log);
            text.lines().any(|line| {
                line.contains(program) && line.to_lowercase().contains("permission denied")
            })
        });
        wait_for_status(&server, &[program, "ermission denied"]);
        check_finds(&server, &[program, "executed"]);
        chmod(&path, 0o755);
    }
    let script = server.root().join("service/qmail-pop3d.110/run");
    chmod(&script, 0o644);
    server.svc("-t", "qmail-pop3d.110");
    wait_for_status(&server, &["qmail-pop3d.110", "ermission denied"]);
    check_finds(&server, &["qmail-pop3d.110/run", "executed"]);
    chmod(&script, 0o755);
    check_is_content(&server);
    accepted(&send(&server, "after"));
    server.wait_for_messages("ann", 1);
}

#[test]
fn a_damaged_user_database_refuses_for_now_and_never_bounces() {
    let server = Installation::start("example.org");
    let database = server.root().join("db/indimail.db");
    let kept = fs::read(&database).unwrap();
    let aside = server.root().join("db/aside");
    let clear = || {
        for suffix in ["-wal", "-shm"] {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            let _ = fs::remove_file(name);
        }
    };
    // As an administrator does it: with the services that have it open down.
    let users = ["inlookup.infifo", "vdeliverd"];
    let swap = |content: Option<&[u8]>| {
        users.iter().for_each(|service| server.svc("-d", service));
        users
            .iter()
            .for_each(|service| wait_for_down(&server, service));
        clear();
        match content {
            Some(content) => {
                run(Command::new("cp").arg("-a").args([&database, &aside]), b"");
                fs::write(&aside, content).unwrap();
                fs::rename(&aside, &database).unwrap();
            }
            None => fs::remove_file(&database).unwrap(),
        }
        users.iter().for_each(|service| server.svc("-u", service));
    };
    let whole = {
        swap(Some(&kept));
        fs::read(&database).unwrap()
    };
    let mut garbage_inside = whole.clone();
    garbage_inside[4096..].fill(0xa5);
    for (name, content) in [
        ("truncated", &whole[..whole.len() / 2]),
        ("empty", &b""[..]),
        (
            "garbage",
            &b"this is no database at all, not in the least"[..],
        ),
        ("garbage inside", &garbage_inside[..]),
    ] {
        // A message that is in the queue already.
        accepted(&{
            let mut reply = String::new();
            wait_for("inlookup", SOON, || {
                server.svc("-d", "qmail-send.25");
                reply = send(&server, name);
                reply.starts_with("250")
            });
            reply
        });
        swap(Some(content));
        server.svc("-u", "qmail-send.25");
        wait_for("inlookup to answer", SOON, || {
            let reply = recipient(&server, "ann@example.org");
            assert!(reply.starts_with('4'), "{name}: {reply}");
            !reply.contains("inlookup up?")
        });
        let reply = recipient(&server, "nobody-at-all@example.org");
        temporary(&reply);
        wait_for("a deferral", SOON, || {
            server.log("deliver.25").contains("deferral: ")
        });
        assert!(!server.log("deliver.25").contains("failure: "), "{name}");
        wait_for_status(&server, &["indimail.db"]);
        check_finds(&server, &["indimail.db"]);
        swap(Some(&whole));
    }
    wait_for("all four", SOON, || {
        server.svc("-a", "qmail-send.25");
        std::thread::sleep(Duration::from_millis(500));
        server.messages("ann").len() == 4
    });
    check_is_content(&server);
    nobody_panicked(&server);
}

#[test]
fn without_a_certificate_plain_ports_serve_and_tls_ports_say_why_not() {
    let server = Installation::start("example.org");
    let path = server.root().join("certs/servercert.pem");
    let kept = fs::read(&path).unwrap();
    let aside = server.root().join("certs/aside.pem");
    fs::rename(&path, &aside).unwrap();
    for service in [
        "signer",
        "qmail-smtpd.25",
        "qmail-smtpd.465",
        "qmail-imapd-ssl.993",
    ] {
        server.svc("-t", service);
    }
    wait_for_status(&server, &["signer", "servercert.pem"]);
    wait_for_status(&server, &["qmail-smtpd.465", "servercert.pem"]);
    wait_for_status(&server, &["qmail-imapd-ssl.993", "signer"]);
    check_finds(&server, &["servercert.pem"]);
    wait_for("port 25", SOON, || {
        std::net::TcpStream::connect(("127.0.0.1", server.port(25))).is_ok()
    });
    let greeting = Talk::to(server.port(25)).say("EHLO faults.example");
    assert!(!greeting.contains("STARTTLS"), "{greeting}");
    accepted(&send(&server, "in the clear"));
    server.wait_for_messages("ann", 1);
    fs::rename(&aside, &path).unwrap();
    wait_for("STARTTLS", SOON, || {
        Talk::to(server.port(25))
            .say("EHLO faults.example")
            .contains("STARTTLS")
    });
    fs::write(&path, "no certificate\n").unwrap();
    check_finds(&server, &["servercert.pem"]);
    fs::write(&path, kept).unwrap();
    check_is_content(&server);
}

#[test]
fn a_missing_or_damaged_users_cdb_defers_and_never_bounces() {
    let server = Installation::start("example.org");
    let path = server.root().join("users/cdb");
    let kept = fs::read(&path).unwrap();
    for (n, fault) in ["missing", "damaged", "empty"].into_iter().enumerate() {
        server.svc("-d", "qmail-send.25");
        let mut reply = String::new();
        wait_for("an answer", SOON, || {
            reply = send(&server, fault);
            reply.starts_with("250")
        });
        match fault {
            "missing" => fs::remove_file(&path).unwrap(),
            "damaged" => fs::write(&path, &kept[..kept.len() / 2]).unwrap(),
            _ => fs::write(&path, b"").unwrap(),
        }
        server.svc("-u", "qmail-send.25");
        wait_for("a deferral", SOON, || {
            server.log("deliver.25").matches("deferral: ").count() > n
        });
        let reply = recipient(&server, "ann@example.org");
        assert!(!reply.starts_with('5'), "{fault}: {reply}");
        assert!(!server.log("deliver.25").contains("failure: "), "{fault}");
        wait_for_status(&server, &["users/cdb"]);
        check_finds(&server, &["users/cdb"]);
        fs::write(&path, &kept).unwrap();
        wait_for("mail", SOON, || {
            server.svc("-a", "qmail-send.25");
            std::thread::sleep(Duration::from_millis(500));
            server.messages("ann").len() == n + 1
        });
    }
    check_is_content(&server);
    nobody_panicked(&server);
}

#[test]
fn a_missing_queue_is_named() {
    let server = Installation::start("example.org");
    let queue = server.root().join("queue/queue1");
    let aside = server.root().join("queue/aside");
    fs::rename(&queue, &aside).unwrap();
    for service in ["qmail-queued", "qmail-send.25"] {
        server.svc("-t", service);
    }
    wait_for_status(&server, &["qmail-queued", "queue1"]);
    wait_for_status(&server, &["deliver.25", "queue1"]);
    temporary(&send(&server, "refused"));
    check_finds(&server, &["queue"]);
    fs::rename(&aside, &queue).unwrap();
    wait_for("mail to flow", SOON, || {
        send(&server, "after").starts_with("250")
    });
    server.wait_for_messages("ann", 1);
    check_is_content(&server);
}

#[test]
fn a_dead_helper_makes_refusals_temporary() {
    let server = Installation::start("example.org");
    server.svc("-d", "inlookup.infifo");
    wait_for("inlookup to be gone", SOON, || {
        recipient(&server, "ann@example.org").starts_with('4')
    });
    let reply = recipient(&server, "nobody-at-all@example.org");
    temporary(&reply);
    check_finds(&server, &["inlookup", "down"]);
    server.svc("-u", "inlookup.infifo");
    wait_for("inlookup", SOON, || {
        recipient(&server, "ann@example.org").starts_with('2')
    });
    server.svc("-d", "qmail-queued");
    wait_for("qmail-queued to be gone", SOON, || {
        server.indimail(&["status"]).code == 1
    });
    temporary(&send(&server, "refused"));
    server.svc("-u", "qmail-queued");
    wait_for("qmail-queued", SOON, || {
        send(&server, "after").starts_with("250")
    });
    server.wait_for_messages("ann", 1);
}

#[test]
fn few_descriptors_slow_the_server_down_and_break_nothing() {
    let server = Installation::start("example.org");
    let script = server.root().join("service/qmail-smtpd.25/run");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(
        &script,
        text.replace("exec envdir", "ulimit -n 24\nexec envdir"),
    )
    .unwrap();
    let starts = || server.log("smtpd.25").matches("listening on").count();
    let before = starts();
    server.svc("-t", "qmail-smtpd.25");
    wait_for("the service with few descriptors", SOON, || {
        before < starts()
    });
    let idle: Vec<_> = (0..60)
        .filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", server.port(25))).ok())
        .collect();
    server.wait_for_log("smtpd.25", "cannot accept");
    drop(idle);
    wait_for("mail to flow", SOON, || {
        std::panic::catch_unwind(|| send(&server, "after")).is_ok_and(|r| r.starts_with("250"))
    });
    server.wait_for_messages("ann", 1);
    nobody_panicked(&server);
}
