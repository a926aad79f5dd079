//! Data that is missing or damaged.

use std::io::{Read, Write};

use super::*;

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

/// Everything a server says to a client that asks and leaves.
fn capabilities(port: u16, question: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    let mut told = String::new();
    let _ = stream.read_to_string(&mut told);
    told
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
        "qmail-imapd.143",
        "qmail-pop3d.110",
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
    let offers = |standard, question: &str, word: &str| {
        // They ask the signer for a while before they answer.
        wait_for("a mailbox port", SOON, || {
            std::net::TcpStream::connect(("127.0.0.1", server.port(standard))).is_ok()
        });
        let told = capabilities(server.port(standard), question);
        assert!(told.contains("CAPA") || told.contains("+OK"), "{told}");
        told.contains(word)
    };
    assert!(!offers(143, "a CAPABILITY\r\nb LOGOUT\r\n", "STARTTLS"));
    assert!(!offers(110, "CAPA\r\nQUIT\r\n", "STLS"));
    server.wait_for_log("imapd.143", "no TLS without certificate");
    server.wait_for_log("pop3d.110", "no TLS without certificate");
    fs::rename(&aside, &path).unwrap();
    wait_for("STARTTLS of IMAP", SOON, || {
        offers(143, "a CAPABILITY\r\nb LOGOUT\r\n", "STARTTLS")
    });
    wait_for("STLS", SOON, || offers(110, "CAPA\r\nQUIT\r\n", "STLS"));
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
