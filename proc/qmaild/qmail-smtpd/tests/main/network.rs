//! `--listen`: many clients.

use crate::client::Client;
use crate::world::{World, talk};

#[test]
fn a_message_goes_from_the_network_into_the_queue() {
    let world = World::new();
    world.queue_writer(0);
    world.inlookup();
    let collector = world.collector();
    let mut server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    assert_eq!(client.say("MAIL FROM:<Joe@far.test>"), "250 2.1.0 ok\r\n");
    for (recipient, reply) in [
        ("ann@v.test", "250 2.1.5 ok\r\n"),
        ("info@host.test", "250 2.1.5 ok\r\n"),
        ("anybody@backup.test", "250 2.1.5 ok\r\n"),
        ("nobody@v.test", "550 5.1.1 "),
        ("no-such-user@host.test", "550 5.1.1 "),
        (
            "x@other.test",
            "553 5.7.1 sorry, that domain isn't allowed to be relayed thru",
        ),
    ] {
        let said = client.say(&format!("RCPT TO:<{recipient}>"));
        assert!(said.starts_with(reply), "{recipient}: {said}");
    }
    assert_eq!(client.say("DATA"), "354 go ahead\r\n");
    let reply = client.say("Subject: hi\r\n\r\n..dot\r\n.");
    assert!(
        reply.starts_with("250 2.0.0 ok ") && reply.contains(" qp 4242 trace "),
        "{reply}"
    );
    assert!(client.say("QUIT").starts_with("221 2.0.0 mx.test"));
    let queued = world.queued.lock().unwrap().clone();
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].sender, "Joe@far.test");
    assert_eq!(
        queued[0].recipients,
        ["ann@v.test", "info@host.test", "anybody@backup.test"]
    );
    assert!(queued[0].content.starts_with(
        "Received: from unknown (HELO client.test) (127.0.0.1)\n  by mx.test with ESMTP id "
    ));
    assert!(queued[0].content.ends_with("\nSubject: hi\n\n.dot\n"));
    server.wait_for_log("pid 1 from 127.0.0.1 HELO <client.test> MAIL from <Joe@far.test> RCPT <ann@v.test> AUTH <local-rcpt> Size: 18 TLS=No");
    server.wait_for_log("Invalid RELAY client: MAIL from <Joe@far.test> RCPT <x@other.test>");
    let mut kinds = Vec::new();
    let mut buffer = [0; 20_000];
    while kinds.last().map(String::as_str) != Some("received") {
        let length = collector.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        let kind = if text.contains("\"received\"") {
            "received"
        } else {
            "refused"
        };
        kinds.push(kind.to_owned());
    }
    assert_eq!(kinds.len(), 4);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn without_rcpthosts_it_does_not_start() {
    let world = World::new();
    std::fs::remove_file(world.path("control/rcpthosts")).unwrap();
    let mut command = world.command();
    command.args(["--listen", "127.0.0.1:0"]);
    let (_, log, code) = talk(command, "");
    assert_eq!(code, Some(100));
    assert!(log.contains("rcpthosts"), "{log}");
}

#[test]
fn no_queue_writer_is_a_temporary_failure_and_later_it_works() {
    let world = World::new();
    world.inlookup();
    let server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    let mut envelope = || {
        assert!(client.say("MAIL FROM:<>").starts_with("250"));
        assert!(client.say("RCPT TO:<ann@v.test>").starts_with("250"));
        client.say("DATA")
    };
    assert!(envelope().starts_with("451 4.3.0 "));
    server.wait_for_log("is qmail-queued up?");
    world.queue_writer(0);
    assert!(envelope().starts_with("354"));
    assert!(client.say("x\r\n.").starts_with("250 "));
}

#[test]
fn refusals_of_the_queue_become_replies() {
    for (code, reply) in [(31, "554 5.3.0 "), (53, "451 4.3.0 "), (11, "554 5.1.3 ")] {
        let world = World::new();
        world.inlookup();
        world.queue_writer(code);
        let server = world.start(&["--tls", "none"]);
        let mut client = Client::greeted(server.address);
        client.say("MAIL FROM:<>");
        client.say("RCPT TO:<ann@v.test>");
        client.say("DATA");
        let said = client.say(".");
        assert!(said.starts_with(reply), "{said}");
        server.wait_for_log("as told");
    }
}

#[test]
fn users_submit_over_tls_and_passwords_need_it() {
    let world = World::new();
    world.queue_writer(0);
    world.inlookup();
    world.signer();
    world.rules("127.:allow,REQUIREAUTH=\"\"\n");
    let server = world.start(&["--submission", "--tls", "starttls"]);
    let mut client = Client::greeted(server.address);
    assert!(
        client
            .say("MAIL FROM:<ann@v.test>")
            .starts_with("530 5.7.1 ")
    );
    // Attack 5: what comes with STARTTLS is not executed after it.
    client.write(b"STARTTLS\r\n");
    assert!(client.reply().starts_with("220 "));
    client.secure();
    assert!(client.say("MAIL FROM:<ann@v.test>").starts_with("503 "));
    let hello = client.say("EHLO me");
    assert!(hello.contains("AUTH PLAIN LOGIN SCRAM-SHA-256\r\n") && !hello.contains("STARTTLS"));
    // \0ann@v.test\0secret
    assert!(
        client
            .say("AUTH PLAIN AGFubkB2LnRlc3QAc2VjcmV0")
            .starts_with("235 ")
    );
    assert!(client.say("MAIL FROM:<ann@v.test>").starts_with("250 "));
    assert!(client.say("RCPT TO:<x@other.test>").starts_with("250 "));
    client.say("DATA");
    assert!(client.say("Subject: x\r\n\r\nhi\r\n.").starts_with("250 "));
    let queued = world.queued.lock().unwrap().clone();
    let content = &queued[0].content;
    assert!(content.contains(" with ESMTPSA (TLSv1.3 "), "{content}");
    assert!(
        content.contains("\nDate: ") && content.contains("\nMessage-ID: <"),
        "{content}"
    );
    server.wait_for_log("AUTH <ann@v.test: AUTH PLAIN> Size: 15 TLS=TLSv1.3");
}

#[test]
fn implicit_tls_is_tls_before_the_greeting() {
    let world = World::new();
    world.signer();
    let server = world.start(&["--tls", "implicit"]);
    let mut client = Client::connect(server.address);
    client.secure();
    client.write(b"");
    assert!(client.reply().starts_with("220 mx.test"));
    assert!(client.say("QUIT").starts_with("221 "));
}

#[test]
fn attack_1_over_the_wire_in_pieces() {
    let world = World::new();
    world.queue_writer(0);
    world.inlookup();
    let server = world.start(&["--tls", "none"]);
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r"] {
        let mut client = Client::greeted(server.address);
        client.say("MAIL FROM:<>");
        client.say("RCPT TO:<ann@v.test>");
        client.say("DATA");
        client.write(b"x");
        for byte in end.bytes() {
            client.write(&[byte]);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        client.write(b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<ann@v.test>\r\nDATA\r\n.\r\n");
        assert!(client.reply().starts_with("554 5.6.0 "), "{end:?}");
        assert_eq!(client.reply(), "");
    }
    assert!(world.queued.lock().unwrap().is_empty());
}

#[test]
fn rules_deny_relay_and_limit() {
    let world = World::new();
    world.queue_writer(0);
    world.rules("127.0.0.1:allow,RELAYCLIENT=\"\",MAXPERIP=\"1\"\n");
    let server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    client.say("MAIL FROM:<a@b.test>");
    assert!(client.say("RCPT TO:<x@other.test>").starts_with("250 "));
    assert_eq!(Client::connect(server.address).reply(), "");
    server.wait_for_log("perIPlimit 1");
    client.say("QUIT");
    // Rules are read for each connection.
    world.rules(":deny\n");
    assert_eq!(Client::connect(server.address).reply(), "");
    server.wait_for_log("tcpserver: deny");
}

#[test]
fn control_files_apply_to_the_next_session() {
    let world = World::new();
    let server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    assert!(client.say("MAIL FROM:<a@evil.test>").starts_with("250 "));
    world.control("badmailfrom", "@evil.test\n");
    let mut client = Client::greeted(server.address);
    assert!(
        client
            .say("MAIL FROM:<a@evil.test>")
            .starts_with("553 5.7.1 ")
    );
    std::fs::remove_file(world.path("control/rcpthosts")).unwrap();
    assert!(Client::connect(server.address).reply().starts_with("451 "));
}

#[test]
fn rules_change_settings_for_one_sender() {
    let world = World::new();
    world.control("from.envrules", "*@big.test:DATABYTES=50,REQUIREAUTH=1\n");
    let server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    assert!(client.say("MAIL FROM:<a@big.test>").starts_with("530 "));
    assert!(
        client
            .say("MAIL FROM:<a@small.test> SIZE=60")
            .starts_with("250 ")
    );
    server.wait_for_log("Setting EnvRule No 1: MAIL from <a@big.test>");
}

#[test]
fn sigterm_says_421_and_ends() {
    let world = World::new();
    let mut server = world.start(&["--tls", "none"]);
    let mut client = Client::greeted(server.address);
    let started = std::time::Instant::now();
    let pid = server.child.id();
    os::signal::send(pid, os::signal::Signal::SIGTERM).unwrap();
    let reply = client.reply();
    assert!(reply.starts_with("421 4.3.2 mx.test"), "{reply:?}");
    drop(client);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(started.elapsed().as_secs() < 30);
}

#[test]
fn the_sandbox_is_closed_before_the_first_client() {
    let world = World::new();
    let server = world.start(&["--tls", "none"]);
    let _client = Client::greeted(server.address);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
}

#[test]
fn two_hundred_sessions_are_served_at_once() {
    let world = World::new();
    let server = world.start(&["--tls", "none"]);
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(server.address)).collect();
    for client in &mut clients {
        assert!(client.reply().starts_with("220 "));
    }
    for client in &mut clients {
        assert!(client.say("NOOP").starts_with("250 "));
    }
}

#[test]
fn a_balancer_says_who_connects_and_nobody_else_may() {
    let world = World::new();
    world.control("nodnscheck", "*\n");
    world.control("proxyhosts", "127.0.0.0/8\n");
    world.rules("192.0.2.77:allow,RELAYCLIENT=\"\"\n192.0.2.66:deny\n:allow\n");
    let server = world.start(&["--tls", "none"]);
    let announced = |client: &str| {
        let mut talk = Client::connect(server.address);
        talk.write(format!("PROXY TCP4 {client} 198.51.100.7 4000 25\r\n").as_bytes());
        talk
    };
    let relays = |mut talk: Client| {
        assert!(talk.reply().starts_with("220 "));
        talk.say("EHLO client.test");
        talk.say("MAIL FROM:<a@b.test>");
        let reply = talk.say("RCPT TO:<x@other.test>");
        reply.starts_with("250")
    };
    assert!(relays(announced("192.0.2.77")));
    server.wait_for_log("[198.51.100.7]25 [192.0.2.77]:4000");
    assert!(!relays(announced("192.0.2.78")));
    assert_eq!(announced("192.0.2.66").reply(), "");
    // The balancer itself must say who it is.
    let mut silent = Client::connect(server.address);
    silent.write(b"EHLO client.test\r\n");
    assert_eq!(silent.reply(), "");
    server.wait_for_log("PROXY header of 127.0.0.1: no PROXY header");
    // Whom we do not trust is no balancer.
    world.control("proxyhosts", "10.0.0.1\n");
    let mut stranger = Client::connect(server.address);
    assert!(stranger.reply().starts_with("220 "));
    let reply = stranger.say("PROXY TCP4 192.0.2.77 198.51.100.7 4000 25");
    assert!(reply.starts_with("500 "), "{reply}");
}
